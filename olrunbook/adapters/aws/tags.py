"""Read the tags of an Auto Scaling group."""

from __future__ import annotations

from olrunbook.adapters.aws.answers import asked, pages
from olrunbook.targets import Target

__all__ = ["group_tags"]


def group_tags(target: Target, group: str) -> dict[str, str]:
    """Return the tags of a group as they are now.

    Args:
        target: The target whose account it is in.
        group: The group's physical name.

    Raises:
        ToolError: The API does not answer.

    """
    wanted = [{"Name": "auto-scaling-group", "Values": [group]}]
    with asked(f"the tags of {group}"):
        found = list(pages(target.client("autoscaling").describe_tags, Filters=wanted))
    return {tag["Key"]: tag.get("Value", "") for page in found for tag in page["Tags"]}
