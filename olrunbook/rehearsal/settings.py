"""How fast and how strictly the cloud on loopback behaves; shown by `status`."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Settings(BaseModel, frozen=True, extra="forbid"):
    """What can be set about a rehearsal cloud.

    Args:
        containers: Instances are containers and balancers are haproxy. False: both are
            only records that reach their state after a moment (for fast tests).
        bridge: Instances have docker's addresses on this machine's bridge instead of
            loopback ones: for a machine whose own sshd holds port 22 on all addresses.
            Security groups then open nothing and close nothing.
        aws_order: An instance is InService as soon as it runs and is registered, as on
            AWS. False: InService waits for its first healthy answer, too.
        time_scale: Factor on AWS's own durations: warm-up, checkpoints, bake time, the
            one-hour limit of a refresh, the deregistration delay.
        health_scale: Factor on the interval between two health checks.
        launch_s: Seconds a refresh gives a new instance before it first looks at it.
        boot_s: Without containers: seconds until an instance runs.
        tick_s: Seconds between two turns of the control loop.
        token_s: The longest that the keys of an assumed role live, in seconds; 0: as
            long as asked.

    Grace periods are never scaled: containers really boot.

    """

    containers: bool = True
    bridge: bool = False
    aws_order: bool = False
    time_scale: float = Field(0.02, gt=0, le=1)
    health_scale: float = Field(0.1, gt=0, le=1)
    launch_s: float = Field(1.0, ge=0, le=60)
    boot_s: float = Field(0.1, ge=0, le=60)
    tick_s: float = Field(0.1, gt=0, le=5)
    token_s: float = Field(0, ge=0, le=3600)

    def describe(self) -> list[str]:
        """Return the settings in words, one line each."""
        machines = "containers" if self.containers else "records (no containers)"
        if self.bridge:
            machines += " addressed on docker's bridge, not on loopback"
        order = (
            "as soon as it runs (AWS's order)"
            if self.aws_order
            else "after its first healthy answer"
        )
        return [
            f"instances are {machines}",
            f"an instance is InService {order}",
            f"AWS's durations are multiplied by {self.time_scale:g}",
            f"health check intervals are multiplied by {self.health_scale:g}",
            "grace periods are not shortened",
            *([f"keys of a role live {self.token_s:g} s"] if self.token_s else []),
        ]
