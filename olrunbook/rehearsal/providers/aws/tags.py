"""Tags: Pulumi has a map, each AWS API has a list of its own shape."""

from __future__ import annotations

from typing import Any

from olrunbook.rehearsal.providers.handler import Caller
from olrunbook.rehearsal.providers.values import Props, keep_form


def listed(tags: Props | None) -> list[dict[str, str]]:
    """Return a map of tags as the APIs take it."""
    return [
        {"Key": key, "Value": str(value)} for key, value in sorted((tags or {}).items())
    ]


def tags_argument(tags: Props | None) -> dict[str, Any]:
    """Return the Tags argument of a creation; none for no tags: ELB refuses []."""
    return {"Tags": listed(tags)} if tags else {}


def from_api(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Return a list of tags as a map, without the ones AWS keeps for itself."""
    return {
        tag["Key"]: tag.get("Value", "")
        for tag in tags or []
        if not tag["Key"].startswith("aws:")
    }


def tag_specification(kind: str, tags: Props | None) -> list[dict[str, Any]]:
    """Return the TagSpecifications argument of a creation; none for no tags."""
    return [{"ResourceType": kind, "Tags": listed(tags)}] if tags else []


def ec2_tags(call: Caller, ident: str, old: Props | None, new: Props | None) -> None:
    """Make an EC2 resource's tags what they should be, removal included."""
    if gone := sorted(set(old or {}) - set(new or {})):
        call.api("ec2").delete_tags(
            Resources=[ident], Tags=[{"Key": key} for key in gone]
        )
    if new:
        call.api("ec2").create_tags(Resources=[ident], Tags=listed(new))


def seen_tags(call: Caller, state: Props, tags: list[dict[str, str]] | None) -> Any:
    """Return a resource's own tags as they are, in the recorded form where equal."""
    own = {k: v for k, v in from_api(tags).items() if k not in call.default_tags}
    return keep_form(state.get("tags"), own)
