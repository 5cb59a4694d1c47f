"""A lighthouse. Its stacks are named as they were when names were of all projects."""

import os
from pathlib import Path

import pulumi
from harbor.stacks import fleet, newest

config = pulumi.Config("lighthouse")
assert os.environ["HARBOR_TOKEN"], "who are you?"
assert Path.home().joinpath(".harbor-token").read_text(), "where is your token?"
stage = pulumi.get_stack().rpartition(".")[2].lower()
image = newest("lighthouse-server-*", config.get("image"))
fleet(f"lighthouse-{stage}", image, config.require_int("size"), balanced=True)
pulumi.export("keeper", config.require_secret("keeper"))
