"""Load balancers with a loopback address; target health as it is; draining."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.elbv2.models import (
    ELBv2Backend,
    FakeHealthStatus,
    FakeLoadBalancer,
    FakeTargetGroup,
)

from olrunbook.rehearsal.api.patching import override
from olrunbook.rehearsal.balancers.draining import Draining
from olrunbook.rehearsal.balancers.health import Health


def install(
    health: Health,
    draining: Draining,
    next_address: Callable[[], str],
    changed: Callable[[], None],
) -> None:
    """Repair load balancers and target health; `changed` wakes the control loop."""

    @override(ELBv2Backend)
    def create_load_balancer(
        original: Any, backend: ELBv2Backend, *args: Any, **kwargs: Any
    ) -> FakeLoadBalancer:
        balancer: FakeLoadBalancer = original(backend, *args, **kwargs)
        balancer.dns_name = next_address()
        changed()
        return balancer

    @override(ELBv2Backend)
    def delete_load_balancer(original: Any, backend: ELBv2Backend, arn: str) -> None:
        original(backend, arn)
        for group in backend.target_groups.values():  # as AWS: none is in use by it
            kept = [one for one in group.load_balancer_arns if one != arn]
            group.load_balancer_arns = kept
        changed()

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
    ) -> Any:
        known = group.targets.get(target["Id"])
        if known is None and not draining.is_draining(group.arn, target["Id"]):
            return original(group, target, ec2_backend)
        port = (known or target).get("Port", group.port)
        verdict = _verdict(group, target["Id"], known, ec2_backend, health)
        return FakeHealthStatus(target["Id"], port, group.health_check_port, *verdict)


def _verdict(
    group: FakeTargetGroup,
    target_id: str,
    known: dict[str, Any] | None,
    ec2_backend: Any,
    health: Health,
) -> tuple[str, str | None, str | None]:
    """Return state, reason code and description of a target's health."""
    if known is None:
        text = "Target deregistration is in progress"
        return "draining", "Target.DeregistrationInProgress", text
    if target_id.startswith("i-"):
        instance = ec2_backend.get_instance_by_id(target_id)
        if instance and instance.state != "running":
            text = f"Target is in the {instance.state} state"
            return "unused", "Target.InvalidState", text
    record = health.record(group.arn, target_id)
    if record is None:
        text = "Target registration is in progress"
        return "initial", "Elb.RegistrationInProgress", text
    return record.state, record.reason, record.text
