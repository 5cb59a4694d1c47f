"""Two runs side by side: what differs, blind to clocks, ids and order."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from olrunbook.archive.noise import quiet, same
from olrunbook.archive.place import NOTEBOOK
from olrunbook.record.model import RunRecord
from olrunbook.record.shapes import notebook_at

NAMES = ("urn", "node_type", "name", "path", "key", "unit")


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs."""

    section: str  # run, parameters, images, status, results, versions, or commit
    name: str  # which one, with dots
    first: Any  # its value in the first run; None: there is none
    second: Any  # its value in the second run


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
    """Compare two runs, each given by its record and its directory."""
    one, two = first[0], second[0]
    found = [*_facts(one, two), *_statuses(one, two), *_results(one, two)]
    return Comparison(found, _source(first[1], second[1]), _times(one, two))


def _facts(one: RunRecord, two: RunRecord) -> Iterator[Difference]:
    first, second = vars(one), vars(two)
    names = ("notebook", "target", "app", "stage", "executed_by")
    yield from _named("run", names, first, second)
    for section in ("parameters", "images", "versions"):  # each chosen by somebody
        given = first[section], second[section]
        yield from _named(section, sorted(given[0].keys() | given[1].keys()), *given)
    yield from _named("commit", ("commit", "dirty"), first, second, same)
    yield from _named("run", ("stand_ins",), first, second, same)


def _named(
    section: str,
    names: Iterable[str],
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    alike: Callable[[Any, Any], bool] = operator.eq,
) -> Iterator[Difference]:
    """Yield which of the named values differ, or are only in one of the two."""
    for name in names:
        values = first.get(name), second.get(name)
        if not alike(*values) or (name in first) != (name in second):
            yield Difference(section, name, *values)


def _both(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the names of both, in order: the first one's, then what is new."""
    return list(dict.fromkeys([*first, *second]))


def _statuses(one: RunRecord, two: RunRecord) -> Iterator[Difference]:
    names = ("status", "exit_code", "cause", "finishing", "warnings")
    yield from _named("status", names, vars(one), vars(two), same)
    first, second = (
        {f"step {step.name}": step.status for step in run.steps} for run in (one, two)
    )
    yield from _named("status", _both(first, second), first, second)
    parts = [[(p.notebook, p.stage, p.status) for p in run.parts] for run in (one, two)]
    if parts[0] != parts[1]:
        texts = [[" ".join(part) for part in run] for run in parts]
        yield Difference("status", "parts", *texts)


def _results(one: RunRecord, two: RunRecord) -> Iterator[Difference]:
    first = {step.name: step.result for step in one.steps if step.result}
    second = {step.name: step.result for step in two.steps if step.result}
    for name in _both(first, second):
        if name in first and name in second:
            yield from _inside(name, first[name], second[name])
        else:
            yield Difference("results", name, first.get(name), second.get(name))
    yield from _inside("run.headline", one.headline, two.headline, "headline")


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
    for inner in _both(one, two):
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
    steps = [StepTime(n, first.get(n), second.get(n)) for n in _both(first, second)]
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
        pairs = zip_longest(first[a:b], second[c:d], fillvalue=("", ""))
        for (name, left), (other, right) in pairs if kind != "equal" else ():
            texts = left.splitlines(), right.splitlines()
            lines = difflib.unified_diff(*texts, lineterm="", n=2)
            found.append(CellDiff(name or other, list(lines)[2:]))
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
