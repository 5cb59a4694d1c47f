"""What commands share about gates: options, what is waited for, the question."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from olrunbook.cli.common import command, plain
from olrunbook.errors import OlrunbookError, RefusedError, UsageError
from olrunbook.record.files import short
from olrunbook.record.journal import Typed
from olrunbook.steps.flow import RELEASE

if TYPE_CHECKING:
    from olrunbook.archive.place import RunPlace
    from olrunbook.project.catalog import Project
    from olrunbook.record.model import RunRecord
    from olrunbook.steps.approval.decisions import By

EVERY = "all"
LONGEST = 1_000  # characters of a reason


def gate_options() -> list[click.Option]:
    """Return the options of a command that may come to gates."""
    return [
        click.Option(
            ["--gate", "gates"],
            multiple=True,
            metavar="STAGE",
            help="Rehearse a gate at this stage (or `all`); may be repeated.",
        ),
        click.Option(
            ["--approve-all"],
            is_flag=True,
            help="Approve every gate at once; needs --reason, and opens no gate that "
            "wants a signature.",
        ),
        click.Option(
            ["--override", "rules"],
            multiple=True,
            metavar="RULE",
            help="Do what this rule denies; needs --reason. May be repeated.",
        ),
        click.Option(
            ["--reason"],
            default="",
            help="Why, for what needs a reason: --approve-all, --override, …",
        ),
    ]


def chosen(
    project: Project,
    app: str,
    target: str,
    stages: Sequence[str],
    *,
    gates: Sequence[str],
    approve_all: bool,
    rules: Sequence[str],
    reason: str,
) -> Typed:
    """Return what was typed about gates and rules; `stages` are those to be changed.

    Raises:
        UsageError: There is no such stage or rule, or a reason is missing or too much.
        RefusedError: All is to be approved, and a gate wants more than that.

    """
    if approve_all or rules:
        reason = worded(reason)
    elif reason:
        msg = "--reason is for --approve-all, --override or --by-hand-done"
        raise UsageError(msg, "Add what it is the reason for, or leave it out.")
    if rules:
        from olrunbook.steps.deploy.findings import require_rules  # noqa: PLC0415

        require_rules(project.root, rules)
    catalog, found = project.catalog, dict.fromkeys(gates)
    if EVERY in found:
        found = dict.fromkeys(stages)
    named = [catalog.stage(stage, app) for stage in found]
    for stage in named:
        if stage not in stages:
            msg = f"--gate {stage}: this changes {', '.join(stages)} only"
            raise UsageError(msg)
    for stage in stages if approve_all else ():
        spec = catalog.gate(target, stage)
        if spec and spec.protected:
            msg = f"--approve-all opens no gate like that of {stage}: {spec}"
            hint = "Leave --approve-all out; the run waits there until it is approved."
            raise RefusedError(msg, hint)
    why = masked(project, reason) if rules else ""
    return Typed(
        gates=",".join(named),
        approve_all=reason if approve_all else "",
        overrides=dict.fromkeys(rules, why),
    )


def waiting_run(
    place: RunPlace, record: RunRecord | None = None
) -> tuple[RunPlace, RunRecord] | None:
    """Return the run that waits at a gate: the one given, or a release's part.

    Without its record, that is read, or made of what is there of a run that goes on.
    """
    from olrunbook.archive.place import place_of, read_record  # noqa: PLC0415
    from olrunbook.archive.seal import build_record  # noqa: PLC0415

    record = record or read_record(place) or build_record(place, {})
    if record.notebook == RELEASE:
        parts = [part for part in record.parts if part.status == "waiting"]
        found = place_of(place.outputs / parts[-1].record) if parts else None
        return waiting_run(found) if found and found.folder != place.folder else None
    waits = record.gates and record.gates[-1].status == "waiting"
    return (place, record) if waits else None


def decider(project: Project, target: str, how: str, sign: Path | None = None) -> By:
    """Return the person at this command line, and the target's identity if it is up.

    `how` says for the record by which way; `sign` is the key that signs.
    """
    from olrunbook.record.provenance import operator, person  # noqa: PLC0415
    from olrunbook.steps.approval.decisions import By  # noqa: PLC0415
    from olrunbook.targets import find_target  # noqa: PLC0415

    place = find_target(target, project)
    identity = ""
    with contextlib.suppress(OlrunbookError):  # it is a fact, and no proof
        identity = place.identified().identity_arn if place else ""
    known = f"{how}; claimed: operating system, git"
    who = masked(project, person(operator(project.root)), target)
    return By(who, known, identity, sign)


def masked(project: Project, text: str, target: str = "") -> str:
    """Return a text without secrets of shell and target: it stays for good."""
    from olrunbook import redact  # noqa: PLC0415
    from olrunbook.targets import find_target  # noqa: PLC0415

    secrets = redact.secrets_of_environment(os.environ, project.catalog.secrets)
    if target and (place := find_target(target, project)):
        secrets += place.secret_values()
    return redact.Redactor(redact.new_key(), secrets).text(text)


def worded(reason: str) -> str:
    """Return a reason as it may be kept.

    Raises:
        UsageError: It says nothing, or too much.

    """
    reason = reason.encode(errors="replace").decode()
    if not any(c.isprintable() and not c.isspace() for c in reason):
        msg = "--reason is missing: the record keeps why"
        raise UsageError(msg, 'Add --reason "why".')
    if len(reason) > LONGEST:
        msg = f"--reason has {len(reason)} characters; {LONGEST} at most"
        raise UsageError(msg)
    return reason


def waiting_lines(record: RunRecord, release: str = "") -> list[str]:
    """Return what a person must know and type where a run waits.

    `release` is the one it belongs to, where that waits too.
    """
    gate, name = record.gates[-1], command()
    again = short(release or record.run_id)
    sign = " --sign KEYFILE" if gate.signature else ""
    who = f", by {gate.people} people" if gate.people > 1 else ""
    approve = f'{name} approve {short(record.run_id)} --reason "…"{sign}'
    exactly = f"this run and exactly this preview (sha256 {gate.digest[:4]}…)"
    return [
        f"Waiting for approval: {plain(record.cause)}",
        f"  {approve}      then     {name} resume {again}",
        f"  The approval holds for {exactly}, once, for {gate.lasts}{who}.",
    ]


def _terminal() -> bool:
    return all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout))


def answered(project: Project, place: RunPlace, record: RunRecord) -> bool:
    """Return whether the person at the terminal lets a run that waits go on.

    Not where nobody is there to ask, or nobody may decide alone.

    Raises:
        RefusedError: It was rejected.

    """
    from olrunbook.steps.approval.decisions import decide  # noqa: PLC0415
    from olrunbook.steps.approval.lineage import asked_of  # noqa: PLC0415

    asked = asked_of(project, place, record)
    if not _terminal() or asked.spec.protected:
        return False
    for text in _told(record):
        click.echo(f"  {plain(text)}")
    choices = click.Choice(["approve", "reject", "later"])
    reason = ""
    try:
        said = click.prompt(record.gates[-1].question, type=choices, default="later")
        if said != "later":
            reason = worded(click.prompt("Reason"))
    except (click.Abort, UsageError) as error:  # Ctrl-D, Ctrl-C, a reason that is none
        click.echo(str(error))
    if not reason:  # it waits, as its record says
        return False
    by = decider(project, place.target, "at the terminal")
    told, approved = masked(project, reason, place.target), said == "approve"
    decide(place.folder.parent, asked, by, told, approved=approved)
    if not approved:
        msg = f'rejected by {by.person}: "{told}"'
        raise RefusedError(msg, "Nothing was changed.")
    return True


def _told(record: RunRecord) -> list[str]:
    """Return what a run would change, a line a change, and what that means."""
    from olrunbook.steps.approval.lineage import PLANS  # noqa: PLC0415
    from olrunbook.steps.results import ResourceChange  # noqa: PLC0415

    result = next(filter(None, map(record.result, PLANS)), dict[str, Any]())
    changes = map(ResourceChange.model_validate, result.get("changes", []))
    return [*(change.line() for change in changes), *result.get("outlook", [])]
