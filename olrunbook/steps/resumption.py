"""Take up a run or a release again: what is kept, and what must be the same."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.pulumi.state import look_at
from olrunbook.archive.place import RunPlace, list_runs, place_of, read_record
from olrunbook.errors import OlrunbookError, RefusedError
from olrunbook.project.catalog import Project
from olrunbook.project.imageset import format_images
from olrunbook.record.files import sha256_file, short
from olrunbook.record.model import RunRecord
from olrunbook.steps.approval.lineage import (
    PLANS,
    Lineage,
    refuse_rejected,
    require_verified,
)
from olrunbook.steps.board import changed
from olrunbook.steps.flow import RELEASE
from olrunbook.steps.order import Found
from olrunbook.targets import find_target

MASK = "[masked:"


def require_resumable(found: Found) -> None:
    """Raise RefusedError where a run cannot be taken up again."""
    record = found.record
    name = f"{record.notebook} {record.app} {record.stage}".strip()
    if record.status == "succeeded":
        msg = f"{name} ({short(record.run_id)}) succeeded: there is nothing to resume"
        given = {k: str(v) for k, v in record.parameters.items() if v != ""}
        words = ["run", record.notebook]
        for key, value in given.items():
            words += ["-p", key, value]
        if record.notebook == RELEASE:
            words = ["release", record.app]
            words += [
                f"--{key}={given[key]}" for key in ("to", "images") if key in given
            ]
        raise RefusedError(msg, f"Run it again: olrunbook {shlex.join(words)}")
    if record.executed_by != "olrunbook":
        msg = f"{name} ({short(record.run_id)}) was executed by {record.executed_by}"
        raise RefusedError(msg, "Continue in that notebook, or run it headless.")
    require_verified(found.place)
    refuse_rejected(found.place)
    for later, takes_up in _later(found.place):
        if takes_up and later.record.status == "succeeded":
            which = short(later.record.run_id)
            msg = f"{name} ({short(record.run_id)}) was taken up by {which}, "
            msg += "which succeeded"
            raise RefusedError(msg, f"Look at it: olrunbook show {which}")


def changed_since(found: Found) -> list[str]:
    """Return which later runs have changed a run's stage, but those that take it up."""
    return [
        f"{found.record.stage} was changed since by {later.record.notebook} "
        f"{short(later.record.run_id)}, {format_images(later.record.images)}"
        for later, takes_up in _later(found.place)
        if not takes_up and any(map(changed, later.record.steps))
    ]


def _later(place: RunPlace) -> Iterator[tuple[Found, bool]]:
    """Yield the later runs of a room that have ended, and whether they take one up."""
    where = {"target": place.target, "app": place.app, "room": place.room}
    for run in list_runs(place.outputs, **where):
        if run.run_id > place.run_id and (record := read_record(run)):
            yield Found(run, record), place.run_id in Lineage.of(run).ids


def masked_parameters(record: RunRecord) -> list[str]:
    """Return the parameters whose values the record does not hold."""
    return [
        name
        for name, value in record.parameters.items()
        if isinstance(value, str) and MASK in value
    ]


def differences(
    record: RunRecord,
    notebook: Path,
    *,
    cloud_id: str = "",
    parameters: dict[str, Any] | None = None,
) -> list[str]:
    """Return what is not as it was, in words; empty: the run can be taken up.

    The image set is none of it: it is that of the run that is taken up. `cloud_id` is
    the incarnation of the cloud that is up (empty: none is needed), `parameters` the
    values it will get now (None: those of the record).
    """
    found = []
    if record.source_sha256 != (now := sha256_file(notebook)):
        was = record.source_sha256[:8] or "not known"
        found.append(f"{notebook.name} has changed: sha256 {was}… then, {now[:8]}… now")
    if record.cloud_id and cloud_id and record.cloud_id != cloud_id:
        found.append(f"the cloud {record.cloud_id} is gone; {cloud_id} is up")
    hidden, parameters = masked_parameters(record), parameters or record.parameters
    for name, value in parameters.items():
        before = record.parameters.get(name)
        if value != before and name not in hidden:
            found.append(f"parameter {name} was {before!r} and is {value!r}")
    return found


def outdated(project: Project, record: RunRecord) -> str:
    """Return why what the preview of a run has shown cannot be done any more.

    Empty: it can; or nobody knows, for the target is not up or does not answer.
    """
    place = find_target(record.target, project, record.stage)
    plan = record.result(PLANS[0])
    app = project.catalog.app(record.app)
    if place is None or plan is None or app.stack is None:
        return ""
    if place.cloud_id != record.cloud_id:
        return f"the cloud {record.cloud_id} is gone; {place.cloud_id} is up"
    back, stack = record.rollback, app.stack.stack_name(record.stage)
    with suppress(OlrunbookError):
        for image in Account(place).images([*record.images.values()]).values():
            if not image.state:
                return f"{image.id} does not exist any more"
            if image.revoked and not (back and back.revoked):
                return f"{image.id} was revoked {image.revoked}"
        seen = look_at(place, project, app, record.stage)
        shown = (plan["version"], plan["state"])
        if seen.made and (seen.version, seen.digest) != shown:
            return f"the state of {stack} has changed since the preview"
    return ""


@dataclass(slots=True)
class Parts:
    """The runs of a release, by notebook and stage."""

    # those that succeeded: they are kept
    done: dict[tuple[str, str], Found] = field(default_factory=dict)
    # those that did not: they are taken up
    cut: dict[tuple[str, str], Found] = field(default_factory=dict)

    @property
    def images(self) -> dict[str, str]:
        """The image set that was built; empty where none was."""
        sets = (found.record.images for (_, at), found in self.done.items() if not at)
        return next((dict(images) for images in sets if images), {})


def parts_of(outputs: Path, release: Found) -> Parts:
    """Return the runs of a release, also those its own record does not name.

    A release that was killed has not written down the run it was in; that run names the
    release.
    """
    place, record = release.place, release.record
    folders = (place_of(outputs / part.record) for part in record.parts)
    runs = [run for run in folders if run and run.folder.is_dir()]
    named = {run.run_id for run in runs}
    for run in list_runs(outputs, target=place.target, app=place.app):
        later = run.at >= place.at and run.run_id not in named
        if later and run.room != RELEASE:
            runs.append(run)
    found = Parts()
    for run in sorted(runs, key=lambda r: (r.at, r.run_id)):
        its = read_record(run)
        if its is None or (run.run_id not in named and its.release != record.run_id):
            continue
        key = (its.notebook, its.stage)
        found.done.pop(key, None)
        found.cut.pop(key, None)
        where = found.done if its.status == "succeeded" else found.cut
        where[key] = Found(run, its)
    return found
