"""A run and those that it takes up again: together they ask one question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from olrunbook.archive import chain
from olrunbook.archive.place import RunPlace, list_runs, read_record
from olrunbook.archive.seal import build_record
from olrunbook.record.model import RunRecord
from olrunbook.steps.approval.decisions import require_not_rejected

__all__ = ["Lineage", "refuse_rejected"]

PREVIEW = "olrunbook/preview/1"


@dataclass(frozen=True, slots=True)
class Lineage:
    """A run and those that it takes up again.

    Args:
        ids: Their ids, the run's own first.
        records: The records of those that are there, likewise.

    """

    ids: list[str]
    records: list[RunRecord]

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
    def gates(self) -> set[str]:
        """The gates at which these runs had to wait or were approved."""
        return {
            gate.gate
            for record in self.records
            for gate in record.gates
            if gate.status in ("waiting", "approved", "rejected")
        }

    @property
    def runners(self) -> list[str]:
        """Names of those who started these runs, as far as they are known."""
        found: dict[str, None] = {}
        for record in self.records:
            facts = {name: known.value for name, known in record.operator.items()}
            names = [facts.get(name, "") for name in ("user", "sudo_user", "git")]
            names.append(f"{facts.get('user', '')}@{facts.get('host', '')}")
            found |= dict.fromkeys(name for name in names if name.strip("@"))
        return list(found)

    def shown_before(self) -> dict[str, Any] | None:
        """Return the preview that the run before this one showed; None: none is."""
        return self.records[1].result(PREVIEW) if len(self.records) > 1 else None


def refuse_rejected(place: RunPlace) -> None:
    """Raise RefusedError where a run, or one that it takes up again, was rejected."""
    require_not_rejected(chain.entries(place.folder.parent), Lineage.of(place).ids)
