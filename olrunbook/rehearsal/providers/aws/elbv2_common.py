"""What the handlers of load balancers and target groups share: tags and attributes."""

from __future__ import annotations

from typing import Any

from olrunbook.rehearsal.providers.aws import tags
from olrunbook.rehearsal.providers.handler import Caller
from olrunbook.rehearsal.providers.values import Props


def retag(call: Caller, ident: str, old: Props | None, new: Props | None) -> None:
    """Make the tags what they should be, removal included."""
    elb = call.api("elbv2")
    if gone := sorted(set(old or {}) - set(new or {})):
        elb.remove_tags(ResourceArns=[ident], TagKeys=gone)
    if new:
        elb.add_tags(ResourceArns=[ident], Tags=tags.listed(new))


def seen_tags(call: Caller, ident: str, state: Props) -> Any:
    """Return the tags as they are, in the recorded form where equal."""
    found = call.api("elbv2").describe_tags(ResourceArns=[ident])["TagDescriptions"]
    return tags.seen_tags(call, state, found[0]["Tags"] if found else None)


def attributes(wanted: Props, names: dict[str, str]) -> list[dict[str, str]]:
    """Return properties as the attributes of the API."""
    return [
        {"Key": names[key], "Value": str(wanted[key]).lower()}
        for key in names
        if wanted.get(key) is not None
    ]


def read_attributes(found: list[dict[str, str]], names: dict[str, str]) -> Props:
    """Return attributes of the API as properties."""
    values = {item["Key"]: item["Value"] for item in found}
    return {key: values[name] for key, name in names.items() if name in values}
