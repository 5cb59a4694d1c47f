"""A buoy: a lighthouse that floats. It takes the newest image there is."""

import pulumi
from harbor.stacks import fleet, newest

stage = pulumi.get_stack().lower()
fleet(f"buoy-{stage}", newest("lighthouse-server-*"), 1, balanced=False)
