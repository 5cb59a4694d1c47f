"""The archive: one directory a run, found by its name, read without an index.

`outputs/<target>/<app>/<stage, else the notebook>/<UTC>_<notebook>_<run id>/`
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from olrunbook.archive import chain
from olrunbook.errors import UsageError
from olrunbook.processes.system import reserve
from olrunbook.record.files import DIRECTORY, new_run_id, stamp

if TYPE_CHECKING:
    from olrunbook.record.model import RunRecord

RECORD = "run.json"
NOTEBOOK = "notebook.ipynb"
HTML = "notebook.html"
LOGS = "logs"
RESUMES_VARIABLE = "OLRUNBOOK_RESUMES"  # tells a kernel the run it takes up again
RESERVE = ".reserve"  # room for the end of the record on a disk that is full by then
RESERVED = 256 * 1024
OPEN = ".open"  # one empty file a run without a record: what the next command looks at


@dataclass(frozen=True, slots=True)
class RunPlace:
    """A run's directory and what its name says."""

    folder: Path  # the directory
    run_id: str
    notebook: str  # name of its notebook
    target: str  # its target
    app: str  # its app
    room: str  # its stage, else its notebook
    at: datetime  # when it began (UTC, seconds)

    @property
    def record(self) -> Path:
        """Its `run.json`; missing while the run goes on."""
        return self.folder / RECORD

    @property
    def logs(self) -> Path:
        """Its folder of tool logs."""
        return self.folder / LOGS

    @property
    def outputs(self) -> Path:
        """The archive it lies in."""
        return self.folder.parents[3]

    @property
    def marker(self) -> Path:
        """The file that is there while the run has no record."""
        name = f"{self.target}~{self.app}~{self.room}~{self.folder.name}"
        return self.outputs / OPEN / name


def new_place(
    outputs: Path, *, target: str, app: str, notebook: str, stage: str
) -> RunPlace:
    """Make the directory of a new run.

    Raises:
        UsageError: The archive cannot be written.

    """
    at = datetime.now(UTC).replace(microsecond=0)
    run_id = new_run_id()
    room = stage or notebook
    folder = outputs / target / app / room / f"{stamp(at)}_{notebook}_{run_id}"
    place = RunPlace(folder, run_id, notebook, target, app, room, at)
    try:
        (folder / LOGS).mkdir(parents=True)
        place.marker.parent.mkdir(exist_ok=True)
        place.marker.touch()
        with (folder / RESERVE).open("wb") as out:
            reserve(out.fileno(), RESERVED)
        chain.opened(
            folder.parent, run_id, folder.name, target=target, app=app, room=room
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # nothing ran: nothing is left
        with contextlib.suppress(OSError):
            place.marker.unlink(missing_ok=True)
        msg = f"the archive cannot be written: {folder}: {error.strerror}"
        raise UsageError(
            msg, "Set OLRUNBOOK_ARCHIVE to a folder you can write to."
        ) from None
    return place


def open_runs(outputs: Path) -> list[RunPlace]:
    """Return the runs that have no record yet: they go on, or died."""
    marks = outputs / OPEN
    names = sorted(path.name for path in marks.iterdir()) if marks.is_dir() else []
    places = [place_of(outputs.joinpath(*name.split("~"))) for name in names]
    return [place for place in places if place and place.folder.is_dir()]


def place_of(folder: Path) -> RunPlace | None:
    """Return what a directory's name says, or None where it is no run's."""
    found = DIRECTORY.fullmatch(folder.name)
    if not found:
        return None
    target, app, room = folder.parts[-4:-1]
    at = datetime.strptime(found["at"], "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    return RunPlace(folder, found["run"], found["notebook"], target, app, room, at)


def list_runs(
    outputs: Path,
    *,
    target: str | None = None,
    app: str | None = None,
    room: str | None = None,
) -> Iterator[RunPlace]:
    """Yield runs, newest first, looking only where the filters allow."""
    folders: list[Path] = [outputs]
    for wanted in (target, app, room, None):
        nested: list[Path] = []
        for folder in folders:
            if wanted:
                nested.append(folder / wanted)
                continue
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                inside = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
                nested += [folder / name for name in inside if name[0] != "."]
        folders = nested
    places = [place for folder in folders if (place := place_of(folder))]
    yield from sorted(places, key=lambda p: (p.at, p.run_id), reverse=True)


def read_record(place: RunPlace) -> RunRecord | None:
    """Return a run's record, or None while it has none or it cannot be read."""
    from olrunbook.record.model import RunRecord  # noqa: PLC0415  (pydantic is slow)

    try:
        return RunRecord.model_validate_json(place.record.read_bytes())
    except (OSError, ValueError):
        return None
