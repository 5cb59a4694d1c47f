"""Rules that look at the archive: what must have happened before this may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olrunbook.archive.place import RunPlace, list_runs, read_record
from olrunbook.errors import RefusedError
from olrunbook.project.catalog import Catalog
from olrunbook.project.imageset import format_images, parse_images
from olrunbook.record.files import short
from olrunbook.record.model import RunRecord
from olrunbook.steps.images.results import ImageBuildResult
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.model import RolloutResult

__all__ = [
    "Found",
    "images_for",
    "last_build",
    "last_deploy",
    "require_stage_before",
]


@dataclass(frozen=True, slots=True)
class Found:
    """A run in the archive, with its record."""

    place: RunPlace
    record: RunRecord


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
) -> tuple[dict[str, str], str] | None:
    """Return the image set built last for an app and the run that built it.

    Only succeeded builds of all node types count.
    """
    for found in _succeeded(outputs, target, app, None, ImageBuildResult.schema_name):
        record = found.record
        if set(record.images) == set(node_types):
            return dict(record.images), record.run_id
    return None


def last_deploy(
    outputs: Path, target: str, app: str, stage: str, run_id: str = ""
) -> Found:
    """Return a succeeded deploy of a stage: the one named, else the newest.

    Raises:
        RefusedError: There is none.

    """
    for found in _succeeded(outputs, target, app, stage, DeployResult.schema_name):
        if run_id in ("", found.record.run_id):
            return found
    which = f"run {run_id} is not a" if run_id else "no"
    msg = f"{which} succeeded deploy of {app} to {stage} in the archive"
    hint = f"Deploy first: olrunbook run deploy -p app {app} -p stage {stage}"
    raise RefusedError(msg, hint)


def require_stage_before(
    outputs: Path,
    catalog: Catalog,
    *,
    target: str,
    cloud_id: str,
    app: str,
    stage: str,
    images: dict[str, str],
) -> str:
    """Return the run that rolled this image set out in the stage before.

    Args:
        outputs: The archive.
        catalog: Gives the order of the stages.
        target: The target.
        cloud_id: This incarnation of the cloud; records of another feed no rule.
        app: The app.
        stage: The stage that is to be deployed.
        images: The image set.

    Returns:
        The run id; empty for the first stage.

    Raises:
        RefusedError: The stage before has no succeeded rollout of this image set.

    """
    before = catalog.before(stage, app)
    if before is None:
        return ""
    serves = ""
    for found in _succeeded(outputs, target, app, before, RolloutResult.schema_name):
        record = found.record
        if record.cloud_id != cloud_id:
            continue
        if record.images == images:
            return record.run_id
        if not serves:
            since = f"{record.ended_at:%Y-%m-%d %H:%M} UTC (run {short(record.run_id)})"
            serves = f" {before} serves {format_images(record.images)} since {since}."
    msg = (
        f"{stage} needs a succeeded {before} rollout of {format_images(images)}, "
        f"there is none.{serves}"
    )
    hint = f"olrunbook release {app} --to {before} --images {format_images(images)}"
    raise RefusedError(msg, hint)


def images_for(
    outputs: Path, target: str, app: str, node_types: list[str], text: str
) -> tuple[dict[str, str], str]:
    """Return the image set to deploy and where it comes from.

    Args:
        outputs: The archive.
        target: The target.
        app: The app.
        node_types: Its node types.
        text: `server=ami-…`; empty: the set built last.

    Raises:
        UsageError: The text is wrong.
        RefusedError: No text, and nothing was built yet.

    """
    if text:
        return parse_images(text, node_types), "parameter images"
    if found := last_build(outputs, target, app, node_types):
        return found[0], f"built by run {short(found[1])}"
    msg = f"no image of {app} was built yet"
    raise RefusedError(msg, f"Build one: olrunbook run image_build -p app {app}")
