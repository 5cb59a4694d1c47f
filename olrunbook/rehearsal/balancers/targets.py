"""Look up moto's load balancers and target groups, wherever they are."""

from __future__ import annotations

from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup, elbv2_backends

__all__ = ["load_balancers", "target_group", "target_groups"]


def target_groups() -> list[FakeTargetGroup]:
    """Return every target group of every account and region."""
    return [
        group
        for account in list(elbv2_backends.values())
        for backend in list(account.values())
        for group in list(backend.target_groups.values())
    ]


def target_group(arn: str) -> FakeTargetGroup | None:
    """Return a target group by its ARN."""
    return next((group for group in target_groups() if group.arn == arn), None)


def load_balancers() -> list[FakeLoadBalancer]:
    """Return every load balancer of every account and region."""
    return [
        balancer
        for account in list(elbv2_backends.values())
        for backend in list(account.values())
        for balancer in list(backend.load_balancers.values())
    ]
