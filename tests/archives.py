"""Small archives for property tests, and damage to the form of what lies in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from olrunbook.archive.place import new_place
from olrunbook.archive.seal import seal
from olrunbook.project.catalog import Project
from olrunbook.record.journal import Journal
from olrunbook.redact import Redactor
from olrunbook.steps.order import Found

VALUES = (None, True, -1, 10**30, 1.5, "", "x", "\\ud800", [], [1], {}, {"n": 1})


def damaged(value, draw):
    """Return a JSON value with one thing in it dropped, renamed, retyped or nested."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        rest = {k: v for k, v in value.items() if k != key}
        how = draw(st.sampled_from(["drop", "rename", "inside"]))
        if how == "drop":
            return rest
        if how == "rename":
            return {**rest, f"p{key}": value[key]}
        return {**value, key: damaged(value[key], draw)}
    nested = draw(st.booleans())
    return [value] if nested else draw(st.sampled_from(VALUES))


def sealed_run(
    project: Project, redactor: Redactor, notebook: str, stage: str = "", **given: Any
) -> Found:
    """Put a run into the project's archive that ended and is sealed.

    Args:
        project: Whose archive.
        redactor: The secrets.
        notebook: Its notebook's name.
        stage: Its stage.
        given: `steps` (each a dict), `end`, `begin`, `parts`; the rest is the run's.

    """
    steps, end = given.pop("steps", []), given.pop("end", {"status": "succeeded"})
    begin, parts = given.pop("begin", {}), given.pop("parts", [])
    place = new_place(
        project.outputs, target="rehearsal", app="tika", notebook=notebook, stage=stage
    )
    journal = Journal(place.folder, redactor)
    journal.add("run", stage=stage, **given)
    journal.add("begin", **begin)
    for step in steps:
        journal.add("step", event="started", name=step["name"])
        journal.add("step", event="ended", **step)
    for part in parts:
        journal.add("part", **part)
    if end["status"] == "succeeded":
        journal.add("conclude", headline="fine")
    journal.add("end", **end)
    return Found(place, seal(place))


class Small:
    """A small archive, made once, and copied for each example.

    Args:
        make: Writes it into a folder.

    """

    def __init__(self, make: Callable[[Path], Any]) -> None:
        self._make = make
        self._folder: tempfile.TemporaryDirectory | None = None

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """Lend a copy of it: a folder `outputs` in one of its own."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory()
            self._make(Path(self._folder.name) / "outputs")
        with tempfile.TemporaryDirectory() as folder:
            outputs = Path(folder) / "outputs"
            shutil.copytree(Path(self._folder.name) / "outputs", outputs)
            yield outputs
