"""What serves in a stage now. It is shown before anything is done, and never fails."""

from __future__ import annotations

from olrunbook.adapters.aws.reads import Account, require_identity
from olrunbook.adapters.aws.seen import GroupSeen, short
from olrunbook.adapters.context import Context
from olrunbook.errors import OlrunbookError


def serving_now(ctx: Context) -> str:
    """Return what serves in this stage, in a line; or why that cannot be said."""
    try:
        require_identity(ctx)
        groups = Account(ctx.target).groups(ctx.app, ctx.stage)
    except OlrunbookError as error:
        return f"not known: {error}"
    return "; ".join(in_words(group, many=len(groups) > 1) for group in groups)


def in_words(group: GroupSeen, *, many: bool = False) -> str:
    """Return what a group serves: `2 of 2 healthy on ami-0df7…408`."""
    prefix = f"{group.label}: " if many else ""
    if not group.name:
        return f"{prefix}nothing yet"
    serving = [instance for instance in group.instances if instance.serves]
    images = sorted({short(instance.image) for instance in serving})
    where = f" on {' and '.join(images)}" if images else ""
    return f"{prefix}{len(serving)} of {group.desired} healthy{where}"
