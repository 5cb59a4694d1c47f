"""What people say at a gate: `olrunbook approve RUN`, `reject`, `countersign`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from olrunbook.archive.place import RunPlace, read_record
from olrunbook.cli.common import command, plain, project
from olrunbook.cli.complete import complete_run, run_named
from olrunbook.cli.gates import decider, masked, waiting_run, worded
from olrunbook.cli.state import settle
from olrunbook.errors import RefusedError, UsageError
from olrunbook.record.files import short

if TYPE_CHECKING:
    from olrunbook.steps.approval.model import Asked


def _arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands take."""
    key = click.Path(exists=True, dir_okay=False, path_type=Path)
    text = "Sign it with this SSH key (ssh-keygen -Y sign)."
    function = click.option("--sign", type=key, metavar="KEYFILE", help=text)(function)
    why = "Why; the chain keeps it."
    function = click.option("--reason", default="", help=why)(function)
    run = click.argument("reference", metavar="RUN", shell_complete=complete_run)
    return run(function)


@click.command(
    epilog="""\b
Examples:
  olrunbook approve 0193…d07 --reason "smoke test in QA is fine"
  olrunbook approve 0193…d07 --reason "ticket 7" --sign ~/.ssh/id_ed25519
  olrunbook approve 0193…d07 --reason "ticket 7" --resume
  olrunbook approve 0193…d07 --reason "site is down" --emergency --sign KEYFILE

\b
Exit codes: 0 approved (with --resume: that of the run that goes on), 2 usage,
3 with --resume: more people must approve, 4 refused."""
)
@_arguments
@click.option(
    "--emergency",
    is_flag=True,
    help="One signature is enough where more people are demanded; it stands in the "
    "record until somebody else has countersigned it.",
)
@click.option("--resume", "go_on", is_flag=True, help="Then resume the run.")
def approve(
    reference: str, *, reason: str, sign: Path | None, emergency: bool, go_on: bool
) -> int:
    """Approve what RUN, which waits at a gate, has shown.

    RUN is a run or a release that waits. The approval holds for it and exactly what it
    has shown, once: resumed, it previews again, and waits anew where that differs.
    """
    place, asked = _decide(reference, reason, sign, approved=True, emergency=emergency)
    from olrunbook.steps.approval import lineage  # noqa: PLC0415  (heavy)

    here = project()
    people, found = asked.spec.people, lineage.standing_of(here, place, asked)
    again = lineage.goes_on(place, read_record(place))
    resume = f"{command()} resume {short(again.run_id)}"
    if not found.enough(people):
        for note in found.notes:
            click.echo(f"  {plain(note)}")
        click.echo(f"{len(found.approvals)} of {people} people have approved it.")
        return 3 if go_on else 0
    if not go_on:
        click.echo(f"Go on: {resume}")
        return 0
    if not lineage.standing_of(here, place, _run_by_me(asked)).enough(people):
        click.echo("Who approves it with others does not run it. Somebody else types:")
        click.echo(f"  {resume}")
        return 3
    from olrunbook.cli.resume import take_up  # noqa: PLC0415  (heavy)

    return take_up(again)


@click.command(
    epilog="""\b
Examples:
  olrunbook reject 0193…d07 --reason "not on a Friday"

\b
Exit codes: 0 rejected, 2 usage, 4 refused."""
)
@_arguments
def reject(reference: str, *, reason: str, sign: Path | None) -> int:
    """Reject what RUN, which waits at a gate, has shown; it cannot be resumed then.

    RUN is a run or a release that waits.
    """
    _decide(reference, reason, sign, approved=False)
    click.echo("It cannot be resumed; nothing was changed.")
    return 0


@click.command(
    epilog="""\b
Examples:
  olrunbook countersign 0193…d07 --reason "read it, was right" --sign ~/.ssh/id_ed25519

\b
Exit codes: 0 countersigned, 2 usage, 4 refused."""
)
@_arguments
def countersign(reference: str, *, reason: str, sign: Path | None) -> None:
    """Sign, as the second person, what RUN has changed in an emergency.

    Whoever approved it or started it cannot countersign it.
    """
    from olrunbook.steps.approval import emergency, lineage  # noqa: PLC0415

    reason = worded(reason)
    settle()
    here = project()
    place = run_named(reference)
    record = read_record(place)
    gates = [gate for gate in (record.gates if record else ()) if gate.emergency]
    if record is None or not gates:
        msg = f"run {short(place.run_id)} made no change in an emergency"
        raise RefusedError(msg, f"Look at it: {command()} show {short(place.run_id)}")
    lineage.require_verified(place)
    asked = lineage.asked_of(here, place, record)
    entry = emergency.countersign(
        place.folder.parent,
        asked,
        decider(here, place.target, "olrunbook countersign", sign),
        masked(here, reason, place.target),
        signers=lineage.signers_of(here, place.target, asked.spec),
    )
    click.echo(plain(f'Countersigned: "{gates[-1].question}" {gates[-1].shown}'))
    click.echo(plain(f"  by {entry['person']} ({entry['known']})"))


def _decide(
    reference: str,
    reason: str,
    sign: Path | None,
    *,
    approved: bool,
    emergency: bool = False,
) -> tuple[RunPlace, Asked]:
    """Enter a decision into the chain and say what was decided."""
    from olrunbook.steps.approval import decisions, lineage  # noqa: PLC0415
    from olrunbook.steps.resumption import outdated  # noqa: PLC0415

    reason = worded(reason)
    settle()
    here = project()
    named = run_named(reference, ("waiting",))
    if (waits := waiting_run(named)) is None:
        msg = (
            f"run {short(named.run_id)} ({named.notebook} {named.app}) waits at no gate"
        )
        raise RefusedError(msg, f"Those that do: {command()} runs --status waiting")
    place, record = waits
    asked = lineage.asked_of(here, place, record)
    signers = lineage.signers_of(here, place.target, asked.spec)
    if sign and signers is None:
        msg = f"--sign: the target {place.target} names no `signers` in the catalog"
        raise UsageError(msg, "docs/approvals.md shows such a file.")
    lineage.require_verified(place)
    how = "olrunbook approve" if approved else "olrunbook reject"
    by = decider(here, place.target, how, sign)
    told, room = masked(here, reason, place.target), place.folder.parent
    entry = decisions.decide(
        room,
        asked,
        by,
        told,
        approved=approved,
        emergency=emergency,
        signers=signers,
        outdated=outdated(here, record) if approved else "",
    )
    gate = record.gates[-1]
    word = "Approved" if approved else "Rejected"
    word = f"EMERGENCY. {word}" if emergency else word
    click.echo(plain(f'{word}: "{gate.question}" {gate.shown}'))
    until = f", until {entry['until']}" if approved else ""
    click.echo(plain(f"  by {entry['person']} ({entry['known']})"))
    click.echo(f"  run {short(place.run_id)}, sha256 {asked.digest[:4]}…{until}")
    return place, asked


def _run_by_me(asked: Asked) -> Asked:
    """Return the question as it is where the person at this command line resumes."""
    from olrunbook.record.provenance import operator  # noqa: PLC0415
    from olrunbook.steps.approval.lineage import names_of  # noqa: PLC0415

    runners = [*asked.runners, *names_of(operator(project().root))]
    return asked.model_copy(update={"runners": runners})
