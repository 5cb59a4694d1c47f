"""The way back: the newest image set that served well in a stage before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from olrunbook.adapters.aws.answers import AwsError
from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi.settings import settings_pin
from olrunbook.archive.place import RunPlace
from olrunbook.errors import OlrunbookError, RefusedError
from olrunbook.project.imageset import format_images
from olrunbook.record.files import minute, short
from olrunbook.record.model import RollbackRecord
from olrunbook.steps.approval.lineage import Lineage
from olrunbook.steps.order import ROLLOUT, Found, given_up, not_verified, succeeded


class WayBack(NamedTuple):
    """Where a stage goes back to."""

    images: dict[str, str]  # the image set
    record: RollbackRecord  # what the run's record says of it


def way_back(ctx: Context) -> WayBack:
    """Return the newest image set that served well in a stage, and is not its own now.

    It had a succeeded rollout there, in this cloud; it exists, and is not revoked; and
    no rollback has left it since. Where there is none, the newest that a rollback left,
    else the newest that is revoked, and its record says so.

    Raises:
        RefusedError: There is none.
        ToolError: The account does not answer.

    """
    account = Account(ctx.target)
    groups = [g for g in account.groups(ctx.app, ctx.stage) if g.name]
    left = {group.node_type: account.template(group.name).image for group in groups}
    passed: dict[str, str] = {}
    spare: list[tuple[Found, str, str]] = []
    for found, left_at in _served(ctx, left):
        images = found.record.images
        name = format_images(images)
        seen = account.images(list(images.values())).values()
        if gone := [one.id for one in seen if one.state != "available"]:
            passed[name] = f"{', '.join(gone)} is gone"
            continue
        revoked = next((f"revoked {one.revoked}" for one in seen if one.revoked), "")
        again = f"a rollback left it at {minute(left_at)}" if left_at else ""
        if not (revoked or again):
            return _back(ctx, found, left, passed)
        spare.append((found, revoked, again))
        how = f"olrunbook release {ctx.app_name} --to {ctx.stage} --images {name}"
        passed[name] = revoked or f"{again} (roll it out again: {how}{ctx.onto})"
    if spare:
        found, revoked, again = min(spare, key=lambda one: bool(one[1]))
        del passed[format_images(found.record.images)]
        all_else = f"all else that served well in {ctx.stage} is"
        if revoked:
            text = f"{all_else} revoked; this is the newest of it, {revoked}"
            return _back(ctx, found, left, passed, revoked=text)
        text = f"{all_else} gone, revoked or left by a rollback; of this set: {again}"
        return _back(ctx, found, left, passed, rolled_back=text)
    msg = f"no other image set served well in {ctx.stage} before"
    msg = "; ".join([msg, *(f"{name}: {why}" for name, why in passed.items())])
    hint = f"Deploy one that {ctx.stage} never had, or build one: olrunbook release"
    hint += ctx.onto
    raise RefusedError(msg, hint)


def in_words(ctx: Context) -> str:
    """Return how a stage goes back, or why it cannot; it never fails."""
    command = f"olrunbook rollback {ctx.app_name} {ctx.stage}{ctx.onto}"
    try:
        found = way_back(ctx)
    except AwsError as error:
        return f"To go back: {command} (to what is not known: {error})"
    except OlrunbookError as error:
        return f"There is no way back: {error}. {error.hint}".rstrip()
    first = f" First by hand: {found.record.by_hand}" if found.record.by_hand else ""
    text = f"To go back to {format_images(found.images)}, which served well in "
    return f"{text}{ctx.stage}: {command}{first}"


def taken_up(place: RunPlace) -> WayBack | None:
    """Return what the run that this one takes up goes back to; None: it takes up none.

    It stays the same: once the update is done, another set would be the last good one.
    """
    for record in Lineage.of(place).records[1:]:
        if record.rollback:
            return WayBack(dict(record.images), record.rollback)
    return None


def _served(
    ctx: Context, left: Mapping[str, str]
) -> Iterator[tuple[Found, datetime | None]]:
    """Yield rollouts of the sets that served well, each once, newest first.

    With each: when a rollback has left it since; None: none has.
    """
    gone = given_up(ctx, ctx.stage)
    known = [dict(left)]
    for found in succeeded(ctx, ctx.stage, ROLLOUT):
        images = found.record.images
        if images in known or set(images) != set(ctx.app.node_types):
            continue
        known.append(images)
        at = gone.get(frozenset(images.items()))
        yield found, at if at and at > found.record.started_at else None


def _back(
    ctx: Context,
    found: Found,
    left: dict[str, str],
    passed: dict[str, str],
    **why: str,
) -> WayBack:
    """Return the way back to a set, and what people must know of it."""
    images, which = dict(found.record.images), short(found.record.run_id)
    was, to = format_images(left) or "nothing", format_images(images)
    text = f"A rollback from {was} to {to}, which served well in {ctx.stage}: rolled "
    lines = [f"{text}out at {minute(found.record.ended_at)}, run {which}."]
    lines += [f"Passed over: {name}: {why}." for name, why in passed.items()]
    if wrong := not_verified(found):
        lines.append(f"Look at the archive: {wrong}.")
    if by_hand := ctx.app.rollback:
        lines.append(f"First by hand: {by_hand}")
    lines.append(_pin(ctx, images, left))
    record = RollbackRecord(
        left=left,
        run_id=found.record.run_id,
        lines=lines,
        by_hand=by_hand,
        **why,
    )
    return WayBack(images, record)


def _pin(ctx: Context, images: Mapping[str, str], left: Mapping[str, str]) -> str:
    """Return whether the set stays pinned for updates that olrunbook does not make."""
    if settings_pin(ctx) == images:
        return "The stack's own settings pin this set: it holds outside olrunbook too."
    text = "The pin holds in olrunbook only: the stack's own settings do not name this "
    text += "set. An update outside olrunbook looks for the newest image, and may undo "
    return f"{text}it. Revoke {format_images(dict(left)) or 'that image'} against that."
