"""Load balancers with a loopback address; target health as it is; draining."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from moto.elbv2.models import (
    ELBv2Backend,
    FakeHealthStatus,
    FakeLoadBalancer,
    FakeTargetGroup,
)

from olrunbook.rehearsal.api.patching import override

if TYPE_CHECKING:
    from olrunbook.rehearsal.balancers.draining import Draining
    from olrunbook.rehearsal.balancers.health import TargetRecord

__all__ = ["install"]


class Records(Protocol):
    """Has a record for each target."""

    def record(self, group_arn: str, target_id: str) -> TargetRecord | None:
        """Return what is known of a target."""


def install(
    health: Records,
    draining: Draining,
    next_address: Callable[[], str],
    changed: Callable[[], None],
) -> None:
    """Repair load balancers and target health.

    Args:
        health: How the targets are.
        draining: What drains.
        next_address: Gives the next load balancer its address.
        changed: Wakes the control loop.

    """

    @override(ELBv2Backend)
    def create_load_balancer(
        original: Any, backend: ELBv2Backend, *args: Any, **kwargs: Any
    ) -> FakeLoadBalancer:
        balancer: FakeLoadBalancer = original(backend, *args, **kwargs)
        balancer.dns_name = next_address()
        changed()
        return balancer

    @override(ELBv2Backend)
    def deregister_targets(
        original: Any,
        backend: ELBv2Backend,
        group_arn: str,
        targets: list[dict[str, Any]],
    ) -> None:
        for target in targets:
            draining.leave(group_arn, target["Id"])
        original(backend, group_arn, targets)
        changed()

    @override(FakeTargetGroup)
    def health_for(
        original: Any, group: FakeTargetGroup, target: dict[str, Any], ec2_backend: Any
    ) -> FakeHealthStatus:
        known = group.targets.get(target["Id"])
        asked_port = target.get("Port", group.port)

        def status(
            state: str, reason: str | None = None, text: str | None = None
        ) -> Any:
            port = known["Port"] if known else asked_port
            check = group.health_check_port
            return FakeHealthStatus(target["Id"], port, check, state, reason, text)

        if known is None:
            if draining.is_draining(group.arn, target["Id"]):
                text = "Target deregistration is in progress"
                return status("draining", "Target.DeregistrationInProgress", text)
            return original(group, target, ec2_backend)
        if target["Id"].startswith("i-"):
            instance = ec2_backend.get_instance_by_id(target["Id"])
            if instance and instance.state != "running":
                text = f"Target is in the {instance.state} state"
                return status("unused", "Target.InvalidState", text)
        record = health.record(group.arn, target["Id"])
        if record is None:
            text = "Target registration is in progress"
            return status("initial", "Elb.RegistrationInProgress", text)
        return status(record.state, record.reason, record.text)
