"""How each tool must be stopped: which signals, to whom, how long to wait."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PACKER", "POLITE", "PULUMI", "StopPolicy"]


@dataclass(frozen=True, slots=True)
class StopPolicy:
    """How a tool must be stopped.

    Args:
        steps: Signals in order, each with the seconds to wait for the end after it.
        grace_s: Seconds after the first signal until the tool is reported as
            "still finishing" to whoever waits; the supervisor itself waits on.
        group: Send the signals to the tool's whole process group. False: to the tool
            alone, because it tells its children itself.
        orphan: The signal the system sends to the tool alone if its supervisor is
            killed.

    """

    steps: tuple[tuple[str, float], ...]
    grace_s: float = 8.0
    group: bool = False
    orphan: str = "SIGINT"


# A second SIGINT makes the Pulumi engine drop the calls in flight: resources that exist
# and are in nobody's state (facts: pulumi-real C). So one, and then only patience.
PULUMI = StopPolicy((("SIGINT", float("inf")),))
# Packer needs minutes to delete its instance, key pair and security group. It runs in
# two processes, and the outer one drops a SIGINT (panicwrap): like Ctrl-C on a terminal
# the signal must reach the whole group. Its plugins ignore it, its scripts end by it.
PACKER = StopPolicy(
    (("SIGINT", 900.0), ("SIGTERM", 60.0), ("SIGKILL", 5.0)),
    group=True,
    orphan="SIGTERM",  # the outer process drops the other
)
POLITE = StopPolicy((("SIGINT", 4.0), ("SIGTERM", 3.0), ("SIGKILL", 5.0)), group=True)
