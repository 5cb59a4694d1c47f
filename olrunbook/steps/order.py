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

# By name: their rooms import this module.
BUILD, ROLLOUT = "olrunbook/image-build/1", "olrunbook/rollout/1"
WATCHES = ("rollout", "watched")  # the steps that make a rollout


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


def _runs(
    outputs: Path, target: str, app: str, stage: str | None = None
) -> Iterator[Found]:
    """Yield the runs of a stage, or of an app, that have a record, newest first."""
    for place in list_runs(outputs, target=target, app=app, room=stage):
        if record := read_record(place):
            yield Found(place, record)


def _succeeded(runs: Iterator[Found], schema: str) -> Iterator[Found]:
    """Yield the succeeded ones of some runs that have a result of a schema."""
    # Whatever their notebooks are called: a team's own are as good as ours.
    for found in runs:
        if found.record.status == "succeeded" and found.record.result(schema):
            yield found


def rolls_out(record: RunRecord) -> bool:
    """Whether a run has watched a rollout, however that ended."""
    if record.status == "succeeded":
        return record.result(ROLLOUT) is not None
    # What ended before it had a result is known by its name only.
    steps = (s for s in record.steps if s.result_schema == ROLLOUT or s.name in WATCHES)
    return any(step.status not in ("not-run", "refused") for step in steps)


def last_build(
    outputs: Path, target: str, app: str, node_types: list[str]
) -> Found | None:
    """Return the newest succeeded build of all node types of an app."""
    builds = _succeeded(_runs(outputs, target, app), BUILD)
    wanted = set(node_types)
    return next((one for one in builds if set(one.record.images) == wanted), None)


def last_deploy(
    outputs: Path, target: str, app: str, stage: str, run_id: str = ""
) -> Found:
    """Return the succeeded deploy of a stage that is named, else the newest.

    RefusedError where there is none.
    """
    runs = _runs(outputs, target, app, stage)
    for found in _succeeded(runs, DeployResult.schema_name):
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
    and account, verified, and no older than the catalog says. The newest word there
    counts: no later rollout of it failed, and no rollback has left it since. Where the
    archive has none, or none that verifies: what the instances there run now. A set
    that served well in the stage itself may come back, unless a rollback has left it.

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
    there, wrong = _newest(ctx, before, images)
    unsure = ""
    if there and not wrong:
        record, which = there.record, f"run {short(there.record.run_id)}"
        unsure = not_verified(there)
        if stale := _stale(ctx, record.ended_at):
            wrong = f"{which} {stale}"
        elif not unsure:
            at = minute(record.ended_at)
            text = f"{before} rolled out these images at {at}: {which}, verified"
            return Relied("archive", text, record.run_id, record.ended_at)
    # Where the archive has a word, the account is not asked for another.
    said = "" if wrong else _account_says(ctx, before, images, unsure)
    if isinstance(said, Relied):
        return said
    here, why = _newest(ctx, ctx.stage, images)
    if here and not (why := why or not_verified(here)):
        record, text = here.record, f"these images served well in {ctx.stage} before: "
        text += f"run {short(record.run_id)}"
        return Relied("served here", text, record.run_id, record.ended_at)
    wanted = format_images(dict(images))
    msg = f"{ctx.stage} needs a succeeded {before} rollout of {wanted}, "
    msg += f"{wrong or unsure or 'there is none'}."
    own = f"In {ctx.stage}: {why}" if why else ""
    more = (_serves(ctx, before, images), said, own)
    msg += "".join(f" {text}." for text in more if text)
    hint = f"olrunbook release {ctx.app_name} --to {before} --images {wanted}{ctx.onto}"
    raise RefusedError(msg, hint)


def _newest(
    ctx: Context, stage: str, images: Mapping[str, str]
) -> tuple[Found | None, str]:
    """Return the newest rollout of an image set in a stage, and what speaks against it.

    None and no reason: the archive has no word of it.
    """
    rollouts = (one for one in _here(ctx, stage) if rolls_out(one.record))
    found = next((one for one in rollouts if one.record.images == images), None)
    if found and (status := found.record.status) != "succeeded":
        why = f"{status}: {found.record.cause}".strip(" :.")
        return found, f"run {short(found.record.run_id)} {why}"
    if found and (found.record.result(ROLLOUT) or {}).get("outcome") == "failed":
        # A team's own notebook may have called that a success.
        return found, f"run {short(found.record.run_id)} saw it fail"
    at = given_up(ctx, stage).get(frozenset(images.items()))
    if at and not (found and found.record.started_at > at):
        return found, f"a rollback of {stage} left it at {minute(at)}"
    return found, ""


def _here(ctx: Context, stage: str) -> Iterator[Found]:
    """Yield the runs of a stage in this cloud and account, newest first."""
    place = ctx.target
    for found in _runs(ctx.project.outputs, place.name, ctx.app_name, stage):
        record = found.record
        if (record.cloud_id, record.account) == (place.cloud_id, place.account):
            yield found


def succeeded(ctx: Context, stage: str, schema: str) -> Iterator[Found]:
    """Yield the succeeded runs of a stage in this cloud and account, newest first."""
    return _succeeded(_here(ctx, stage), schema)


def given_up(ctx: Context, stage: str) -> dict[frozenset[tuple[str, str]], datetime]:
    """Return the image sets that rollbacks of a stage have left, and when last.

    The update counts, however its run ended.
    """
    found: dict[frozenset[tuple[str, str]], datetime] = {}
    for _, record in _here(ctx, stage):
        if record.rollback and record.result(DeployResult.schema_name):
            found.setdefault(frozenset(record.rollback.left.items()), record.ended_at)
    return found


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


def _account_says(
    ctx: Context, stage: str, images: Mapping[str, str], unsure: str
) -> Relied | str:
    """Return that a stage runs an image set in full now, or what it runs instead.

    `unsure` is why the archive's record of that does not verify; empty: it has none.
    """
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
    archive = f"the record of {unsure}" if unsure else "the archive has no such rollout"
    text = f"{archive}; the account says that {stage} runs these "
    text += f"images on all instances since {minute(since)}"
    return Relied("account", text, since=since)


def images_for(
    outputs: Path, target: str, app: str, node_types: list[str], text: str
) -> tuple[dict[str, str], str]:
    """Return the image set of a text, else the one built last, and where it is from.

    UsageError where the text is wrong; RefusedError where none is built, and no text.
    """
    if text:
        return parse_images(text, node_types), "parameter images"
    if found := last_build(outputs, target, app, node_types):
        record = found.record
        return dict(record.images), f"built by run {short(record.run_id)}"
    msg = f"no image of {app} was built yet"
    which = f"-p app {app}{onto(target)}"
    raise RefusedError(msg, f"Build one: olrunbook run image_build {which}")
