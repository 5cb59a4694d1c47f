"""Two runs side by side: what differs, blind to clocks, ids and order."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from olrunbook.archive.noise import quiet, same
from olrunbook.archive.place import NOTEBOOK
from olrunbook.record.model import RunRecord
from olrunbook.record.shapes import notebook_at

__all__ = ["CellDiff", "Comparison", "Difference", "StepTime", "compare"]

NAMES = ("urn", "node_type", "name", "path", "key", "unit")


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs.

    Args:
        section: run, parameters, images, status, results, versions, or commit.
        name: Which one, with dots.
        first: Its value in the first run; None: there is none.
        second: Its value in the second run.

    """

    section: str
    name: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class CellDiff:
    """One cell whose source differs, as lines of a unified diff."""

    cell: str
    lines: list[str]


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long a step took in both runs (seconds); no difference by itself."""

    name: str
    first: float | None
    second: float | None

    @property
    def delta(self) -> float | None:
        """How much longer the second took."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two runs."""

    differences: list[Difference]
    source: list[CellDiff]
    times: list[StepTime] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs but time."""
        return not self.differences and not self.source

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"same": self.same, **asdict(self)}


def compare(
    first: tuple[RunRecord, Path], second: tuple[RunRecord, Path]
) -> Comparison:
    """Compare two runs.

    Args:
        first: The first run's record and directory.
        second: The second's.

    """
    one, two = first[0], second[0]
    found = [*_facts(one, two), *_statuses(one, two), *_results(one, two)]
    return Comparison(found, _source(first[1], second[1]), _times(one, two))


def _facts(one: RunRecord, two: RunRecord) -> Iterator[Difference]:
    for name in ("notebook", "target", "app", "stage", "executed_by"):
        if getattr(one, name) != getattr(two, name):
            yield Difference("run", name, getattr(one, name), getattr(two, name))
    for section in ("parameters", "images", "versions"):
        yield from _exact(section, getattr(one, section), getattr(two, section))
    for name in ("commit", "dirty", "stand_ins"):
        values = getattr(one, name), getattr(two, name)
        if not same(*values):
            yield Difference("commit" if name != "stand_ins" else "run", name, *values)


def _exact(
    section: str, one: dict[str, Any], two: dict[str, Any]
) -> Iterator[Difference]:
    """Yield what differs where every value was chosen by somebody."""
    for name in sorted(one.keys() | two.keys()):
        if one.get(name) != two.get(name) or (name in one) != (name in two):
            yield Difference(section, name, one.get(name), two.get(name))


def _statuses(one: RunRecord, two: RunRecord) -> Iterator[Difference]:
    for name in ("status", "exit_code", "cause", "finishing", "warnings"):
        values = getattr(one, name), getattr(two, name)
        if not same(*values):
            yield Difference("status", name, *values)
    steps = {step.name: step for step in one.steps}, {s.name: s for s in two.steps}
    for name in [*steps[0], *(name for name in steps[1] if name not in steps[0])]:
        found = [side[name].status if name in side else None for side in steps]
        if found[0] != found[1]:
            yield Difference("status", f"step {name}", *found)
    parts = [[(p.notebook, p.stage, p.status) for p in run.parts] for run in (one, two)]
    if parts[0] != parts[1]:
        texts = [[" ".join(part) for part in run] for run in parts]
        yield Difference("status", "parts", *texts)


def _results(one: RunRecord, two: RunRecord) -> Iterator[Difference]:
    first = {step.name: step.result for step in one.steps if step.result}
    second = {step.name: step.result for step in two.steps if step.result}
    for name in [*first, *(name for name in second if name not in first)]:
        if name in first and name in second:
            yield from _inside(name, first[name], second[name])
        else:
            yield Difference("results", name, first.get(name), second.get(name))
    said = {"headline": one.headline}, {"headline": two.headline}
    yield from _inside("run", *said)


def _inside(name: str, one: Any, two: Any, key: str = "") -> Iterator[Difference]:
    """Yield what differs inside two values, as deep as both have the same form."""
    if same(one, two, key):
        return
    if isinstance(one, list) and isinstance(two, list):
        by_name = _by_name(one), _by_name(two)
        if by_name[0] is None or by_name[1] is None:
            yield Difference("results", name, *_without_common(one, two))
            return
        one, two = by_name
    if not (isinstance(one, dict) and isinstance(two, dict)):
        yield Difference("results", name, one, two)
        return
    one, two = _quiet_keys(one), _quiet_keys(two)
    for inner in [*one, *(inner for inner in two if inner not in one)]:
        yield from _inside(
            f"{name}.{inner}", one.get(inner), two.get(inner), str(inner)
        )


def _quiet_keys(found: dict[str, Any]) -> dict[str, Any]:
    """Return a dict whose keys that are ids pair up with those of another run."""
    named = {str(quiet(name)): value for name, value in found.items()}
    return named if len(named) == len(found) else found


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """Return a list of things with names as a dict; None where they have none."""
    for key in NAMES:
        # Two names that differ in an id only would be one: then it is no name.
        names = [
            str(quiet(item[key]))
            for item in items
            if isinstance(item, dict) and item.get(key)
        ]
        if len(names) == len(items) == len(set(names)):
            return dict(zip(names, items, strict=True))
    return None if items else {}


def _without_common(one: list[Any], two: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return what only the one or only the other list has."""
    rest, missing = list(two), []
    for item in one:
        found = next((n for n, other in enumerate(rest) if same(item, other)), None)
        if found is None:
            missing.append(item)
        else:
            del rest[found]
    return missing, rest


def _times(one: RunRecord, two: RunRecord) -> list[StepTime]:
    first = {step.name: step.seconds for step in one.steps}
    second = {step.name: step.seconds for step in two.steps}
    names = [*first, *(name for name in second if name not in first)]
    steps = [StepTime(name, first.get(name), second.get(name)) for name in names]
    whole = [(run.ended_at - run.started_at).total_seconds() for run in (one, two)]
    return [*steps, StepTime("the whole run", *whole)]


def _source(one: Path, two: Path) -> list[CellDiff]:
    """Return the cells that differ; parameters are compared as values, not here."""
    first, second = _cells(one), _cells(two)
    matcher = difflib.SequenceMatcher(
        None, [c[1] for c in first], [c[1] for c in second], autojunk=False
    )
    found = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            continue
        for number in range(max(b - a, d - c)):
            left = first[a + number] if a + number < b else None
            right = second[c + number] if c + number < d else None
            name = (left or right or ("?", ""))[0]
            lines = difflib.unified_diff(
                left[1].splitlines() if left else [],
                right[1].splitlines() if right else [],
                lineterm="",
                n=2,
            )
            found.append(CellDiff(name, list(lines)[2:]))
    return found


def _cells(folder: Path) -> list[tuple[str, str]]:
    notebook = notebook_at(folder / NOTEBOOK)
    found = []
    for number, cell in enumerate(notebook.get("cells", []), 1):
        if "injected-parameters" in cell.get("metadata", {}).get("tags", []):
            continue
        text = "".join(cell.get("source", ""))
        found.append((f"cell {number} ({cell.get('cell_type', 'code')})", text))
    return found
