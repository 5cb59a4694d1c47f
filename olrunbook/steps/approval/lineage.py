"""A run and those that it takes up again: together they ask one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

from olrunbook.archive import chain, verifier
from olrunbook.archive.place import RunPlace, list_runs, read_record
from olrunbook.archive.seal import build_record
from olrunbook.errors import RefusedError
from olrunbook.project.catalog import Project
from olrunbook.project.gates import GateSpec, lasting
from olrunbook.record.files import short
from olrunbook.record.model import GateRecord, Known, RunRecord
from olrunbook.record.provenance import uncommitted
from olrunbook.steps.approval.decisions import (
    Standing,
    require_not_rejected,
    standing,
)
from olrunbook.steps.approval.model import Asked
from olrunbook.steps.flow import RELEASE

PLANS = ("olrunbook/preview/1", "olrunbook/refresh-plan/1")  # what gates ask about


class Lineage(NamedTuple):
    """A run and those that it takes up again."""

    ids: list[str]  # their ids, the run's own first
    records: list[RunRecord]  # the records of those that are there, likewise

    @classmethod
    def of(cls, place: RunPlace) -> Self:
        """Return the runs that a run takes up again, as far as they are there."""
        record = read_record(place) or build_record(place, {})
        ids, records = [place.run_id], [record]
        where = {"target": place.target, "app": place.app, "room": place.room}
        there: dict[str, RunPlace] = {}
        while (before := record.resumes) and before not in ids:
            ids.append(before)
            there = there or {p.run_id: p for p in list_runs(place.outputs, **where)}
            if before not in there:  # it was pruned
                break
            found = there[before]
            record = read_record(found) or build_record(found, {})
            records.append(record)
        return cls(ids, records)

    @property
    def images(self) -> dict[str, str]:
        """The image set that the runs before this one have shown; empty: none."""
        found = (dict(record.images) for record in self.records[1:])
        return next(filter(None, found), {})

    @property
    def gates(self) -> set[str]:
        """The gates at which these runs had to wait or were approved."""
        return {gate.gate for gate in self._asked}

    @property
    def _asked(self) -> list[GateRecord]:
        found = [gate for record in self.records for gate in record.gates]
        return [g for g in found if g.status in ("waiting", "approved", "rejected")]

    def strictest(self, gate: str, spec: GateSpec | None) -> GateSpec | None:
        """Return the strictest that a gate has demanded of these runs, or demands now.

        None: it demands nothing and never did.
        """
        asked = [one for one in self._asked if one.gate == gate]
        if not asked:
            return spec
        demands: list[GateRecord | GateSpec] = [*asked, *([spec] if spec else [])]
        people = max(one.people for one in demands)
        signed = people > 1 or any(one.signature for one in demands)
        lasts = [lasting(one.lasts) for one in demands if one.lasts]
        ends = {"lasts": min(lasts)} if lasts else {}
        return GateSpec(people=people, signature=signed, **ends)

    @property
    def runners(self) -> list[str]:
        """Names of those who started these runs, as far as they are known."""
        names = (name for record in self.records for name in names_of(record.operator))
        return list(dict.fromkeys(names))

    def shown_before(self) -> dict[str, Any] | None:
        """Return what the run before this one asked about; None: nothing."""
        shown = (one.result(plan) for one in self.records[1:2] for plan in PLANS)
        return next((result for result in shown if result), None)


def asked_of(project: Project, place: RunPlace, record: RunRecord) -> Asked:
    """Return what the gate of a run that waits asks."""
    gate, line = record.gates[-1], Lineage.of(place)
    back = record.rollback is not None
    now = project.catalog.gate(place.target, gate.gate, rollback=back)
    spec = line.strictest(gate.gate, now) or GateSpec()
    whose = {"runs": line.ids, "runners": line.runners}
    return Asked(gate=gate.gate, digest=gate.digest, spec=spec, **whose)


def standing_of(
    project: Project,
    place: RunPlace,
    asked: Asked,
    entries: Sequence[dict[str, Any]] | None = None,
    now: datetime | None = None,
) -> Standing:
    """Return who has approved what a run asks, and what does not count.

    `entries` is what the chain of its stage says (None: it is read), `now` the moment
    (UTC) at which they must hold (None: now). RefusedError where the file of allowed
    signers is not as it was committed.
    """
    there = chain.entries(place.folder.parent) if entries is None else entries
    return standing(there, asked, signers_of(project, place.target, asked.spec), now)


def goes_on(place: RunPlace, record: RunRecord | None) -> RunPlace:
    """Return what is resumed where a run waits: it, or the release that waits for it.

    `record` is its own, if it can be read.
    """
    if record is None or not record.release:
        return place
    where = {"target": place.target, "app": place.app, "room": RELEASE}
    for release in list_runs(place.outputs, **where):
        if release.run_id == record.release:
            its = read_record(release)
            return release if its and its.status == "waiting" else place
    return place


def names_of(operator: Mapping[str, Known]) -> list[str]:
    """Return the names of who runs something, as far as they are known."""
    facts = {name: known.value for name, known in operator.items()}
    names = [facts.get(name, "") for name in ("user", "sudo_user", "git")]
    names.append(f"{facts.get('user', '')}@{facts.get('host', '')}")
    return [name for name in names if name.strip("@")]


def signers_of(project: Project, target: str, spec: GateSpec) -> Path | None:
    """Return the file of a target's allowed signers; None: the catalog names none.

    RefusedError where the gate wants signatures, and in a git checkout the file is not
    as it was committed: who may sign is decided in a commit, where people see it.
    """
    found = project.catalog.targets.get(target)
    if not found or not found.signers:
        return None
    if spec.protected and uncommitted(project.root, found.signers):
        msg = f"{found.signers} is not as it was committed: no signature counts"
        raise RefusedError(msg, "Commit it where others see it, or take it back.")
    return project.root / found.signers


def require_verified(place: RunPlace) -> None:
    """Raise RefusedError where a run, or one it takes up again, does not verify."""
    room = place.folder.parent
    with chain.locked(room):
        wrong = chain.disagreement(room)
    if wrong:
        _refuse(place.run_id, wrong)
    where = {"target": place.target, "app": place.app, "room": place.room}
    there = {p.run_id: p for p in list_runs(place.outputs, **where)}
    for run_id in Lineage.of(place).ids:
        # Of a run that was pruned only the chain is left.
        found = str(there[run_id].folder) if run_id in there else run_id
        try:
            report = verifier.verify(str(place.outputs), found)
        except LookupError as error:
            _refuse(run_id, str(error))
        if not report["good"]:
            _refuse(run_id, report["problems"][0]["text"])


def _refuse(run_id: str, text: str) -> NoReturn:
    msg = f"run {short(run_id)} does not verify: {text}"
    raise RefusedError(msg, f"Look at it: olrunbook verify {run_id}")


def refuse_rejected(place: RunPlace) -> None:
    """Raise RefusedError where a run, or one that it takes up again, was rejected."""
    require_not_rejected(chain.entries(place.folder.parent), Lineage.of(place).ids)
