"""What a rollout waits for: a deploy of the archive, or what the groups say alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from olrunbook.adapters.aws.reads import Account, require_identity
from olrunbook.adapters.aws.seen import GroupSeen, RefreshSeen
from olrunbook.adapters.context import Context
from olrunbook.errors import RefusedError, UsageError
from olrunbook.steps.results import DeployResult, Value

__all__ = ["Awaited", "by_groups", "of_deploy"]


class Awaited(Value):
    """An update whose rollout is watched.

    Args:
        images: The image set that is wanted.
        before: The groups before the update began.
        url: Where the load balancer answers; empty: the stage has none.
        started_at: When the update began (UTC).
        updated: The update changed something.
        recorded: It is known from a deploy's record, not from the groups alone.

    """

    images: dict[str, str]
    before: list[GroupSeen]
    url: str
    started_at: datetime
    updated: bool = True
    recorded: bool = True


def of_deploy(deploy: DeployResult) -> Awaited:
    """Return what a deploy's record says."""
    return Awaited(
        images=deploy.images,
        before=deploy.before,
        url=deploy.url,
        started_at=deploy.started_at,
        updated=bool(deploy.changes),
    )


def by_groups(ctx: Context, images: dict[str, str], since: str) -> Awaited:
    """Return what the groups themselves say of an update that no record is here of.

    Args:
        ctx: The step's context.
        images: The image set that is wanted.
        since: When the update began, as `2026-11-29T18:05`, UTC unless it says another
            zone; empty: since the newest refresh of each group began, or the group.

    Raises:
        UsageError: `since` is no time.
        RefusedError: There is no such group, or the identity is not the target's.

    """
    given = _moment(since) if since else None
    require_identity(ctx)
    account = Account(ctx.target)
    seen = account.observe(ctx.app, ctx.stage)
    if absent := [group.tag_name for group, _ in seen if not group.name]:
        msg = f"there is no group tagged Name={absent[0]}"
        raise RefusedError(msg, "Without a deploy there is nothing to watch.")
    began = [given or _newest(group, refreshes) for group, refreshes in seen]
    return Awaited(
        images=images,
        before=[
            _before(group, refreshes, at)
            for (group, refreshes), at in zip(seen, began, strict=True)
        ],
        url=account.url([group for group, _ in seen]),
        started_at=min(began),
        recorded=False,
    )


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        msg = f"since {text!r} is not a time"
        raise UsageError(msg, "Write it as 2026-11-29T18:05 (UTC).") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _newest(group: GroupSeen, refreshes: list[RefreshSeen]) -> datetime:
    """Return when the last thing began that changed a group's instances."""
    times = [refresh.started_at for refresh in refreshes] or [group.created_at]
    return max((at for at in times if at), default=datetime.min.replace(tzinfo=UTC))


def _before(
    group: GroupSeen, refreshes: list[RefreshSeen], since: datetime
) -> GroupSeen:
    """Return what of a group was there before a moment."""
    news: dict[str, Any] = {
        "refresh_ids": [
            one.id for one in refreshes if one.started_at and one.started_at < since
        ],
        "instances": [
            one
            for one in group.instances
            if one.launched_at and one.launched_at < since
        ],
    }
    if group.created_at and group.created_at >= since:
        news |= {"name": "", "desired": 0}
    return group.model_copy(update=news)
