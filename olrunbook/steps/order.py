"""What must have happened before this may: by the archive, else by the account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.context import Context
from olrunbook.archive.place import RunPlace, list_runs, read_record
from olrunbook.errors import RefusedError
from olrunbook.project.gates import duration
from olrunbook.project.imageset import format_images, parse_images
from olrunbook.record.files import minute, short
from olrunbook.record.model import RollbackRecord, RunRecord
from olrunbook.steps.approval.lineage import require_verified
from olrunbook.steps.results import DeployResult
from olrunbook.steps.serving import in_words
from olrunbook.targets import onto

__all__ = [
    "ROLLOUT",
    "Found",
    "images_for",
    "last_build",
    "last_deploy",
    "not_verified",
    "require_stage_before",
    "succeeded",
]

# By name: their rooms import this module.
BUILD, ROLLOUT = "olrunbook/image-build/1", "olrunbook/rollout/1"


class Found(NamedTuple):
    """A run in the archive, with its record."""

    place: RunPlace
    record: RunRecord


class Relied(NamedTuple):
    """What allowed an image set in a stage."""

    # of which kind it is
    on: Literal["first stage", "archive", "account", "served here", "rollback"]
    text: str  # in words
    run_id: str = ""  # the run whose record it is; empty: it is none
    since: datetime | None = None  # the moment of it (UTC)


def _succeeded(
    outputs: Path, target: str, app: str, stage: str | None, schema: str
) -> Iterator[Found]:
    """Yield the succeeded runs that have a result of a schema, newest first."""
    # Whatever their notebooks are called: a team's own are as good as ours.
    for place in list_runs(outputs, target=target, app=app, room=stage):
        record = read_record(place)
        if record and record.status == "succeeded" and record.result(schema):
            yield Found(place, record)


def last_build(
    outputs: Path, target: str, app: str, node_types: list[str]
) -> Found | None:
    """Return the newest succeeded build of all node types of an app."""
    builds = _succeeded(outputs, target, app, None, BUILD)
    wanted = set(node_types)
    return next((one for one in builds if set(one.record.images) == wanted), None)


def last_deploy(
    outputs: Path, target: str, app: str, stage: str, run_id: str = ""
) -> Found:
    """Return the succeeded deploy of a stage that is named, else the newest.

    RefusedError where there is none.
    """
    for found in _succeeded(outputs, target, app, stage, DeployResult.schema_name):
        if run_id in ("", found.record.run_id):
            return found
    which = f"run {run_id} is not a" if run_id else "no"
    msg = f"{which} succeeded deploy of {app} to {stage} in the archive"
    hint = f"Deploy first: olrunbook run deploy -p app {app} -p stage {stage}"
    hint += onto(target)
    raise RefusedError(msg, hint)


def require_stage_before(
    ctx: Context, images: Mapping[str, str], rollback: RollbackRecord | None = None
) -> Relied:
    """Return what allows an image set in a stage.

    That is a succeeded rollout of the same set in the stage before: same target, cloud
    and account, verified, and no older than the catalog says. Where the archive has
    none: what the instances there run now. A set that served well in the stage itself
    may come back.

    Raises:
        RefusedError: Nothing allows it.
        ToolError: The account had to be asked, and does not answer.

    """
    if rollback:
        which = short(rollback.run_id)
        text = f"a rollback: these images served well in {ctx.stage}, run {which}"
        return Relied("rollback", text, rollback.run_id)
    before = ctx.project.catalog.before(ctx.stage, ctx.app_name)
    if before is None:
        return Relied("first stage", "this is the first stage")
    why = []
    for found in succeeded(ctx, before, ROLLOUT):
        record, at = found.record, minute(found.record.ended_at)
        which = f"run {short(record.run_id)}"
        if record.images != images:
            continue
        if wrong := not_verified(found):
            why.append(wrong)
        elif stale := _stale(ctx, record.ended_at):
            why.append(f"{which} {stale}")
        else:
            text = f"{before} rolled out these images at {at}: {which}, verified"
            return Relied("archive", text, record.run_id, record.ended_at)
    said = _account_says(ctx, before, images)
    if isinstance(said, Relied):
        return said
    for found in succeeded(ctx, ctx.stage, ROLLOUT):
        record = found.record
        if record.images == images and not not_verified(found):
            text = f"these images served well in {ctx.stage} before: "
            text += f"run {short(record.run_id)}"
            return Relied("served here", text, record.run_id, record.ended_at)
    there, wanted = "; ".join(why) or "there is none", format_images(dict(images))
    msg = f"{ctx.stage} needs a succeeded {before} rollout of {wanted}, {there}."
    msg += "".join(f" {text}." for text in (_serves(ctx, before, images), said) if text)
    hint = f"olrunbook release {ctx.app_name} --to {before} --images {wanted}{ctx.onto}"
    raise RefusedError(msg, hint)


def succeeded(ctx: Context, stage: str, schema: str) -> Iterator[Found]:
    """Yield the succeeded runs of a stage in this cloud and account, newest first."""
    place = ctx.target
    where = (ctx.project.outputs, place.name, ctx.app_name, stage)
    for found in _succeeded(*where, schema):
        record = found.record
        if (record.cloud_id, record.account) == (place.cloud_id, place.account):
            yield found


def _serves(ctx: Context, stage: str, wanted: Mapping[str, str]) -> str:
    """Return what a stage serves by its newest rollout that verifies.

    Empty: that is of the wanted set, or there is none.
    """
    rollouts = succeeded(ctx, stage, ROLLOUT)
    found = next((one for one in rollouts if not not_verified(one)), None)
    if found is None or found.record.images == wanted:
        return ""
    at, run = minute(found.record.ended_at), short(found.record.run_id)
    return f"{stage} serves {format_images(found.record.images)} since {at} (run {run})"


def not_verified(found: Found) -> str:
    """Return why a record is no evidence; empty: it verifies, and its chain."""
    try:
        require_verified(found.place)
    except RefusedError as error:
        return str(error)
    return ""


def _stale(ctx: Context, at: datetime) -> str:
    """Return that a moment is too long ago; empty: it is not."""
    spec = ctx.project.catalog.targets.get(ctx.target.name)
    fresh = spec.fresh if spec else None
    if fresh is None or ctx.clock() - at <= fresh:
        return ""
    return f"is of {minute(at)}, older than {duration(fresh)}"


def _account_says(ctx: Context, stage: str, images: Mapping[str, str]) -> Relied | str:
    """Return that a stage runs an image set in full now, or what it runs instead."""
    runs, moments, whole = [], [], True
    for group in Account(ctx.target).groups(ctx.app, stage):
        wanted = images.get(group.node_type)
        staying = [one for one in group.instances if not one.leaving]
        good = [one for one in staying if one.serves and one.image == wanted]
        whole = whole and len(good) == len(staying) >= max(group.desired, 1)
        moments += [one.launched_at for one in good if one.launched_at]
        runs.append(in_words(group, many=len(images) > 1))
    if not whole or not moments:
        return f"The account says of {stage} now: {'; '.join(runs)}"
    if wrong := _stale(ctx, since := max(moments)):
        return f"The account says that {stage} runs it, but that {wrong}"
    text = f"the archive has no such rollout; the account says that {stage} runs these "
    text += f"images on all instances since {minute(since)}"
    return Relied("account", text, since=since)


def images_for(
    outputs: Path, target: str, app: str, node_types: list[str], text: str
) -> tuple[dict[str, str], str]:
    """Return the image set of a text, else the one built last, and where it is from.

    Raises:
        UsageError: The text is wrong.
        RefusedError: No text, and nothing was built yet.

    """
    if text:
        return parse_images(text, node_types), "parameter images"
    if found := last_build(outputs, target, app, node_types):
        record = found.record
        return dict(record.images), f"built by run {short(record.run_id)}"
    msg = f"no image of {app} was built yet"
    which = f"-p app {app}{onto(target)}"
    raise RefusedError(msg, f"Build one: olrunbook run image_build {which}")
