"""What a rollout waits for: a deploy of the archive, or what the groups say alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from olrunbook.adapters.aws.reads import Account, require_identity
from olrunbook.adapters.aws.seen import GroupSeen, RefreshSeen
from olrunbook.adapters.context import Context
from olrunbook.errors import RefusedError, UsageError
from olrunbook.project.imageset import parse_images
from olrunbook.project.moments import FORMS, moment
from olrunbook.project.stack import called
from olrunbook.steps.results import DeployResult, Value


class Awaited(Value):
    """An update whose rollout is watched."""

    images: dict[str, str]  # the image set that is wanted
    before: list[GroupSeen]  # the groups before the update began
    url: str  # where the load balancer answers; empty: the stage has none
    started_at: datetime  # when the update began (UTC)
    updated: bool = True  # the update changed something
    recorded: bool = True  # it is known from a deploy's record, not the groups alone


def chosen(
    ctx: Context,
    deploy: Callable[[str], DeployResult],
    deploy_run: str,
    images: str,
    since: str,
) -> Awaited:
    """Return what is to be watched, by a deploy's record or by images.

    `deploy` returns a deploy by its run id; empty: the last that succeeded. `since` is
    as for `by_groups`. UsageError where a deploy and images were named, or `since`
    without images.
    """
    if (deploy_run and images) or (since and not images):
        msg = "a rollout is watched by deploy_run, or by images and perhaps since"
        raise UsageError(msg, "Give deploy_run alone, or images without it.")
    if not images:
        return of_deploy(deploy(deploy_run))
    return by_groups(ctx, parse_images(images, ctx.app.node_types), since)


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

    `since` is when the update began, as `2026-11-29T18:05` or `20min`, UTC unless it
    says another zone; empty: since the newest refresh of each group, or itself, began.

    Raises:
        UsageError: `since` is no time, or is still to come.
        RefusedError: There is no such group, nothing brings the image there, or the
            identity is not the target's.

    """
    given = _moment(since, ctx.clock()) if since else None
    require_identity(ctx)
    account = Account(ctx.target)
    seen = account.observe(ctx.app, ctx.stage)
    if absent := [group.tag_name for group, _ in seen if not group.name]:
        msg = f"there is no group {called(absent[0])}"
        raise RefusedError(msg, "Without a deploy there is nothing to watch.")
    for group, refreshes in seen:
        wanted, has = images[group.node_type], account.template(group.name).image
        there = wanted in {has, *(one.image for one in group.instances)}
        # A refresh may bring a template that the group has only at its end.
        if not there and not any(refresh.active for refresh in refreshes):
            msg = f"{group.name} launches {has or 'an image unknown'}, not {wanted}"
            raise RefusedError(msg, "Nobody has deployed that set: deploy it first.")
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


SKEW = timedelta(minutes=1)  # clocks differ


def _moment(text: str, now: datetime) -> datetime:
    try:
        at = moment(text, now, zone=UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"since {text!r} is not a time"
        raise UsageError(msg, f"Write it in UTC, as one of: {FORMS}") from None
    if at > now + SKEW:
        msg = f"since {text!r} is still to come: it is {now:%Y-%m-%dT%H:%M} UTC"
        raise UsageError(msg, "It says when the update began.")
    return at


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
            r.id for r in refreshes if r.started_at and r.started_at < since
        ],
        "instances": [
            i for i in group.instances if i.launched_at and i.launched_at < since
        ],
    }
    if group.created_at and group.created_at >= since:
        news |= {"name": "", "desired": 0}
    return group.model_copy(update=news)
