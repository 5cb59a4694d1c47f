"""What failed units said goes to the console, where the rollout reads it."""

from __future__ import annotations

import io

from pyinfra.api.operation import OperationMeta
from pyinfra.operations import files

# For every service: after an end that was none of success, also before a restart.
DROP_IN = """\
[Service]
ExecStopPost=-+/bin/sh -c '[ "$$SERVICE_RESULT" = success ] || \
{ echo "== $$0 ended: $$SERVICE_RESULT $$EXIT_STATUS"; journalctl --sync; \
journalctl --no-pager --output=short-iso --lines=40 --unit="$$0"; } >/dev/console' %n
"""


def failures_to_console() -> OperationMeta:
    """Send the journal of each service that fails to the console (a pyinfra operation).

    Returns:
        What the operation did; systemd must be reloaded where that is a change.

    """
    return files.put(
        name="Send the journal of failed units to the console",
        src=io.StringIO(DROP_IN),
        dest="/etc/systemd/system/service.d/console.conf",
        mode="644",
    )
