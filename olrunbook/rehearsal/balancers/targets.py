"""Look up moto's load balancers and target groups, wherever they are."""

from __future__ import annotations

from typing import Any

from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup, elbv2_backends


def _every(kind: str) -> list[Any]:
    backends = [b for one in list(elbv2_backends.values()) for b in list(one.values())]
    return [item for one in backends for item in list(getattr(one, kind).values())]


def target_groups() -> list[FakeTargetGroup]:
    """Return every target group of every account and region."""
    return _every("target_groups")


def target_group(arn: str) -> FakeTargetGroup | None:
    """Return a target group by its ARN."""
    return next((group for group in target_groups() if group.arn == arn), None)


def load_balancers() -> list[FakeLoadBalancer]:
    """Return every load balancer of every account and region."""
    return _every("load_balancers")
