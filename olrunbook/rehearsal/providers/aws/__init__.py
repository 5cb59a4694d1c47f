"""The stand-in `aws` provider: the resource types and functions the stacks use."""

from __future__ import annotations

from collections.abc import Mapping

from olrunbook.rehearsal.providers.aws import (
    autoscaling,
    ec2,
    elbv2,
    iam,
    launch_template,
    lookups,
    route53,
)
from olrunbook.rehearsal.providers.clients import AwsClients
from olrunbook.rehearsal.providers.handler import Caller, Handler
from olrunbook.rehearsal.providers.values import Props

__all__ = ["FUNCTIONS", "RESOURCES", "connect"]

RESOURCES: dict[str, Handler] = {
    **autoscaling.RESOURCES,
    **ec2.RESOURCES,
    **elbv2.RESOURCES,
    **iam.RESOURCES,
    **launch_template.RESOURCES,
    **route53.RESOURCES,
}
FUNCTIONS = lookups.FUNCTIONS


def connect(config: Props, environment: Mapping[str, str]) -> Caller:
    """Return the caller of a provider configuration (`region`, `defaultTags`)."""
    clients = AwsClients(environment, str(config.get("region") or ""))
    tags = (config.get("defaultTags") or {}).get("tags") or {}
    return Caller(clients, region=clients.region, default_tags=tags)
