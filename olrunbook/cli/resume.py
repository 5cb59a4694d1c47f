"""`olrunbook resume RUN|RELEASE`: take up what did not succeed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from olrunbook.archive.place import RunPlace, read_record
from olrunbook.cli.common import command, ensure_cloud, notebook_path, project
from olrunbook.cli.complete import complete_run, run_named
from olrunbook.cli.state import UNREADABLE, settle, state_of
from olrunbook.errors import RefusedError, UsageError
from olrunbook.record.files import short
from olrunbook.record.journal import Typed
from olrunbook.steps.flow import RELEASE

if TYPE_CHECKING:
    from olrunbook.project.catalog import Project
    from olrunbook.record.model import RunRecord
    from olrunbook.steps.order import Found

NOT_DONE = ("waiting", "interrupted", "failed", "timed-out", "kernel-died")


@click.command(
    epilog="""\b
Examples:
  olrunbook resume 0193…c98                    a release, at its first step not done
  olrunbook resume 0193…d02                    a run: what was built or changed is kept
  olrunbook resume 0193…d02 --anyway --reason "fixed a typo in the text\""""
)
@click.argument("reference", metavar="RUN", shell_complete=complete_run)
@click.option("--anyway", is_flag=True, help="Resume although something differs.")
@click.option("--reason", default="", help="Why, for the record; needed with --anyway.")
@click.option(
    "-p",
    "--parameter",
    "given",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Give a parameter again that is masked in the record.",
)
@click.option(
    "--notebook",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The notebook, where the run was made by its path.",
)
@click.option("--json", "as_json", is_flag=True, help="Print run.json.")
def resume(
    reference: str,
    *,
    anyway: bool,
    reason: str,
    given: tuple[tuple[str, str], ...],
    notebook: Path | None,
    as_json: bool,
) -> int:
    """Resume RUN, or a whole release, that did not succeed, as a new run.

    Steps that only read run again. Steps that build or change something and were done
    are kept, with their result, and so is the image set. Notebook, parameters and cloud
    must be unchanged; else it is refused and says what differs. A run that waits for
    approval previews again, and goes on if that is what was approved; a rejected one
    cannot.
    """
    if anyway and not reason.strip():
        msg = "--anyway needs --reason"
        raise UsageError(msg, 'Add --reason "why".')
    if reason and not anyway:
        msg = "--reason is for --anyway only"
        raise UsageError(msg)
    settle()
    place = run_named(reference, NOT_DONE)
    return take_up(
        place, dict(given), notebook=notebook, reason=reason, as_json=as_json
    )


def take_up(
    place: RunPlace,
    given: dict[str, str] | None = None,
    *,
    notebook: Path | None = None,
    reason: str = "",
    as_json: bool = False,
) -> int:
    """Resume a run or a release as its options say, and return its exit code.

    Raises:
        RefusedError: It cannot be resumed.

    """
    from olrunbook.steps.order import Found  # noqa: PLC0415
    from olrunbook.steps.resumption import require_resumable  # noqa: PLC0415

    record = read_record(place)
    if record is None and state_of(place) == UNREADABLE:
        msg = f"{place.folder.name}: its run.json cannot be read"
        hint = f"Look at it: {command()} verify {short(place.run_id)}"
        raise RefusedError(msg, hint)
    if record is None:
        msg = f"{place.folder.name} has no record yet: it is still running"
        raise RefusedError(msg, "Wait until it ends: olrunbook runs")
    found = Found(place, record)
    require_resumable(found)
    if record.notebook == RELEASE:
        return _release(found, reason, as_json=as_json)
    return _run(found, given or {}, notebook, reason, as_json=as_json)


def _agreed(differs: list[str], reason: str) -> list[str]:
    """Return what the record must say of what differs; refuse without a reason."""
    if differs and not reason:
        msg = f"it cannot be resumed: {'; '.join(differs)}"
        hint = 'Run it again, or: olrunbook resume … --anyway --reason "why"'
        raise RefusedError(msg, hint)
    return [f"resumed anyway ({reason}) though {text}" for text in differs]


def _notebook(here: Project, record: RunRecord) -> Path:
    """Return the notebook of the project a run was made of."""
    try:
        return notebook_path(here, record.notebook)
    except UsageError as error:
        hint = f"It was run by its path: {command()} resume {short(record.run_id)}"
        raise UsageError(str(error), f"{hint} --notebook PATH") from None


def _run(
    found: Found,
    given: dict[str, str],
    notebook: Path | None,
    reason: str,
    *,
    as_json: bool,
) -> int:
    from olrunbook.cli.run import execute, targets_of  # noqa: PLC0415
    from olrunbook.project.params import check, declared, read_notebook  # noqa: PLC0415
    from olrunbook.steps import resumption  # noqa: PLC0415
    from olrunbook.steps.board import changed  # noqa: PLC0415
    from olrunbook.steps.order import rolls_out  # noqa: PLC0415

    here, record = project(), found.record
    path = notebook.absolute() if notebook else _notebook(here, record)
    hidden = resumption.masked_parameters(record)
    if missing := [name for name in hidden if name not in given]:
        msg = (
            f"the record does not hold the value of {', '.join(missing)}: it is masked"
        )
        raise RefusedError(msg, f"Give it again: -p {missing[0]} VALUE")
    parameters = declared(read_notebook(path), here.catalog)
    values = check({**record.parameters, **given}, parameters, record.notebook)
    cloud_id = ""
    if record.cloud_id and (needed := targets_of(parameters, values)):
        place = ensure_cloud(here, needed[0], start=False, stage=record.stage)
        cloud_id = place.cloud_id
    differs = resumption.differences(record, path, cloud_id=cloud_id, parameters=values)
    if rolls_out(record) or any(map(changed, record.steps)):
        differs += resumption.changed_since(found)  # what it did is not what is there
    warnings = _agreed(differs, reason)
    more = {"resumes": found.place, "warnings": warnings, "release": record.release}
    code = execute(path, values, parameters, as_json=as_json, **more)
    if record.release and not code:
        text = f"It is done for its release, which goes on by: {command()} resume "
        click.echo(f"  {text}{short(record.release)}", err=True)
    return code


def _release(found: Found, reason: str, *, as_json: bool) -> int:
    from olrunbook.cli.release import run_release  # noqa: PLC0415
    from olrunbook.steps.approval import lineage  # noqa: PLC0415
    from olrunbook.steps.resumption import changed_since, differences, parts_of  # noqa: PLC0415

    here, record, asked = project(), found.record, found.record.parameters
    parts = parts_of(here.outputs, found)
    place = ensure_cloud(here, record.target, start=False, stage=asked.get("to", ""))
    differs: list[str] = []
    warnings: list[str] = []
    going = {stage for _, stage in parts.cut}
    for part in parts.cut.values():
        lineage.require_verified(part.place)
        lineage.refuse_rejected(part.place)
    for part in [*parts.done.values(), *parts.cut.values()]:
        path = notebook_path(here, part.record.notebook)
        kept = part.record.status == "succeeded"
        texts = differences(part.record, path, cloud_id=place.cloud_id)
        # What is kept is not executed: only its cloud must be there.
        differs += [text for text in texts if not kept or "cloud" in text]
        # What is to be done is done where it was; what is kept may be old by now.
        since = changed_since(part) if part.record.stage else []
        (differs if part.record.stage in going else warnings).extend(since)
    agreed = _agreed(list(dict.fromkeys(differs)), reason)
    return run_release(
        here,
        record.app,
        record.target,
        to=asked.get("to", ""),
        images="" if parts.images else asked.get("images", ""),
        variables=asked.get("variables", ""),
        typed=Typed(gates=asked.get("gates", ""), overrides=record.overrides),
        as_json=as_json,
        resumes=record.run_id,
        parts=parts,
        warnings=[*agreed, *dict.fromkeys(warnings)],
    )
