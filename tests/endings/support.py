"""A project of one's own whose runs are brought to every ending, and what is seen."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from olrunbook.archive import chain, verifier
from olrunbook.archive.place import RunPlace, list_runs, read_record
from olrunbook.processes.left import carried
from olrunbook.record.heartbeat import read_heartbeat
from olrunbook.record.model import RunRecord

ROOT = Path(__file__).resolve().parents[2]
OLRUNBOOK = str(Path(sys.executable).parent / "olrunbook")
PARAMETERS = 'from olrunbook import App\napp: App = "tika"\n'
PRELUDE = Path(__file__).with_name("prelude.py").read_text()
CONCLUDE = "conclude()"
NEVER = "print('this was never reached')"
GRACE_S = 1.0  # what the tools get before the record is finished without them
LIMIT_S = 15.0  # the longest that a tool of these tests may take by its stop policy
WAIT_S = 60.0
SUPERVISORS = ("olrunbook.processes.supervisor", "olrunbook.archive.dead")


def until(condition: Callable[[], Any], what: str, wait_s: float = WAIT_S) -> Any:
    """Return what a condition gives once it is true; fail when that takes too long."""
    end = time.monotonic() + wait_s
    while not (got := condition()):
        assert time.monotonic() < end, f"not within {wait_s:g} s: {what}"
        time.sleep(0.02)
    return got


@dataclass
class Ended:
    """How a run ended, as it was seen from outside.

    Args:
        code: Exit code of `olrunbook run`.
        said: What it printed.
        record: The run's record; None: nothing was written.
        cells: The statuses of the notebook's own cells (without the first two).
        not_run: How many cells did not run, those two included.
        left: Processes of the run when its record was complete, in words.
        unsupervised: Those of them that nobody looks after.
        seconds: From what ended the run to its complete record.
        place: The run.
        more: What a single test looks at.

    """

    code: int
    said: str
    record: RunRecord | None = None
    cells: list[str] = field(default_factory=list)
    not_run: int = 0
    left: list[str] = field(default_factory=list)
    unsupervised: list[str] = field(default_factory=list)
    seconds: float | None = None
    place: RunPlace | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def how(self) -> tuple[str, int]:
        """Status and exit code."""
        return (self.record.status if self.record else "", self.code)

    @property
    def cause(self) -> str:
        """The record's cause, or the command's complaint."""
        if self.record:
            return self.record.cause
        lines = self.said.splitlines()
        (line,) = [x for x in lines if x.startswith(("Error: ", "✗ "))]
        return line.removeprefix("Error: ").partition(" s: ")[2] or line

    def step(self, name: str) -> str:
        """Return a step's status."""
        assert self.record is not None
        return {step.name: step.status for step in self.record.steps}.get(name, "")


def need_root(what: str) -> None:
    """Fail where the rights for a fault of the test's own are missing."""
    assert os.geteuid() == 0, f"this test needs {what} of its own, which takes root"


class Child:
    """A running `olrunbook run`."""

    def __init__(self, desk: Desk, process: subprocess.Popen[str]) -> None:
        self.desk, self.process = desk, process
        self.since = 0.0  # when that was done which ended it

    def kernel(self) -> int:
        """Wait for the sign of a cell; return the pid of its kernel."""
        until(self._ready, "the cell's sign")
        return int(self.desk.sign.read_text())

    def _ready(self) -> bool:
        if self.desk.sign.exists():
            return True
        assert self.process.poll() is None, self.process.communicate()[0]
        return False

    def in_cell(self, where: str = "cell 3") -> int:
        """Wait until the run's own sign of life names the place, too."""
        pid = self.kernel()
        (place,) = list_runs(self.desk.archive)
        until(
            lambda: read_heartbeat(place.folder).get("where", "").startswith(where),
            "a sign of life that names the place",
        )
        return pid

    def stopping(self) -> None:
        """Wait until the tool is told to stop."""
        (place,) = list_runs(self.desk.archive)
        log = place.logs / "thing.log"
        until(lambda: "stopping: " in log.read_text(), "an order to stop")

    def supervisor(self) -> int:
        """Return the pid of the supervisor of the tool that runs."""
        (found,) = self.desk.processes("olrunbook.processes.supervisor")
        return found.pid

    def send(self, number: int, pid: int | None = None) -> None:
        """Send a signal to the engine, or to another process of the run."""
        self.since = self.since or time.time()
        os.kill(pid or self.process.pid, number)


class Desk:
    """A project in a folder of its own, with archive, state, cache and scratch folder.

    Args:
        limits: Lines of the catalog's `[limits]`.
        grace_s: What tools get before the record is finished without them.

    """

    def __init__(self, limits: str = "", grace_s: float = GRACE_S) -> None:
        # A short name: the kernel's sockets lie in it.
        self.folder = Path(tempfile.mkdtemp(prefix="ending-"))
        self.root = self.folder / "project"
        self.archive = self.folder / "outputs"
        self.scratch = self.folder / "tmp"
        self.sign = self.folder / "sign"
        (self.root / "notebooks").mkdir(parents=True)
        self.scratch.mkdir()
        catalog = (ROOT / "catalog.toml").read_text()
        # Its own limits, if any, give way to those of the test.
        catalog = re.sub(r"(?m)^\[limits[^\[]*", "", catalog)
        if limits:
            catalog += f"\n[limits]\n{limits}\n"
        (self.root / "catalog.toml").write_text(catalog)
        self.env = {
            name: v for name, v in os.environ.items() if "OLRUNBOOK" not in name
        }
        self.env |= {
            "OLRUNBOOK_ARCHIVE": str(self.archive),
            "OLRUNBOOK_STATE": str(self.folder / "state"),
            "OLRUNBOOK_CACHE": str(self.folder / "cache"),
            "OLRUNBOOK_GRACE_S": str(grace_s),
            "TMPDIR": str(self.scratch),
            "ENDINGS_DESK": str(self.folder),
        }

    def __enter__(self) -> Self:
        """Return the desk."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Check what must hold once all is over, and remove everything."""
        self.close(check=kind is None)

    def notebook(self, *sources: str, tags: dict[int, str] | None = None) -> Path:
        """Write the notebook: parameters, the prelude, then cells of these sources."""
        marks = {-2: "parameters", **(tags or {})}
        cells = [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {"tags": [marks[number]]} if number in marks else {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for number, source in enumerate([PARAMETERS, PRELUDE, *sources], -2)
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        body = {"cells": cells, "nbformat": 4, "nbformat_minor": 5}
        path = self.root / "notebooks" / "image_test.ipynb"
        path.write_text(json.dumps({**body, "metadata": {"kernelspec": kernel}}))
        return path

    def start(
        self, *sources: str, tags: dict[int, str] | None = None, **env: str
    ) -> Child:
        """Start `olrunbook run` on a notebook of these cells (none: as it is)."""
        if sources:
            self.notebook(*sources, tags=tags)
        process = subprocess.Popen(
            [OLRUNBOOK, "run", "image_test"],
            cwd=self.root,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Child(self, process)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the project to its end."""
        return subprocess.run(
            [OLRUNBOOK, *words],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    def run(self, *sources: str, tags: dict[int, str] | None = None) -> Ended:
        """Run a notebook to the end it comes to by itself, and look."""
        return self.look(self.start(*sources, tags=tags))

    def look(self, child: Child) -> Ended:
        """Wait for the end of a run and its complete record; return what is seen."""
        said, _ = child.process.communicate(timeout=WAIT_S)
        code = child.process.returncode
        ended = Ended(code if code >= 0 else 128 - code, said)
        places = list(list_runs(self.archive))
        if not places:
            return ended
        (ended.place,) = places
        assert ended.place.record.exists(), said  # it is there when the command ends
        return self.complete(ended, child.since)

    def complete(self, ended: Ended, since: float = 0.0) -> Ended:
        """Fill in what is seen of a run whose record is there."""
        place = ended.place
        assert place is not None
        self._processes(ended)
        done_at = place.record.stat().st_mtime
        ended.record = read_record(place)
        since = since or (self.sign.stat().st_mtime if self.sign.exists() else 0)
        ended.seconds = round(done_at - since, 1) if since else None
        self.verify()
        path = place.folder / "notebook.ipynb"
        notebook = json.loads(path.read_bytes()) if path.exists() else {"cells": []}
        ours = [cell["metadata"]["olrunbook"]["status"] for cell in notebook["cells"]]
        theirs = [cell["metadata"]["papermill"]["status"] for cell in notebook["cells"]]
        ended.cells, ended.not_run = ours[2:], ours.count("not-run")
        for status, papermills in zip(ours, theirs, strict=True):
            assert (papermills == "completed") == (status == "done"), (ours, theirs)
        if ended.left:
            self._late(ended)
        return ended

    def _late(self, ended: Ended) -> None:
        """Wait for the end of what outlived the run; note what is known of it."""
        assert ended.place is not None
        until(lambda: not self.processes(), "no process is left", LIMIT_S)
        entries = chain.entries(ended.place.folder.parent)
        ended.more["after"] = [entry for entry in entries if entry["kind"] == "after"]
        late = ended.place.logs / "thing.after.log"
        ended.more["late"] = late.read_text() if late.exists() else ""

    def verify(self) -> None:
        """Check the archive by its verifier."""
        report = verifier.verify(str(self.archive))
        assert report["good"], verifier.lines(report)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the processes of the desk, or those of them with these words."""
        found = []
        mine = str(self.folder)
        for process in psutil.process_iter():
            try:
                # A process in its exec shows neither: it is asked until it does.
                shown = carried(Path(f"/proc/{process.pid}"))
            except OSError:
                continue
            environment, line = (list(map(os.fsdecode, part)) for part in shown)
            known = any(mine in word for word in line)
            if process.pid != os.getpid() and (
                known or f"ENDINGS_DESK={mine}" in environment
            ):
                found.append((process, line))
        return [p for p, line in found if all(word in line for word in words)]

    def _processes(self, ended: Ended) -> None:
        """Note what is left of a run, and by whom it is looked after."""
        for process in self.processes():
            try:
                line, above = process.cmdline(), process.parents()
                kept = [p for p in (process, *above) if _is_supervisor(p)]
            except psutil.Error:
                continue
            if not line:
                continue  # it is ending: its memory is gone already
            if not kept:
                ended.unsupervised.append(" ".join(line))
            elif kept[0].pid != process.pid:
                ended.left.append("thing")

    def close(self, *, check: bool = True) -> None:
        """Check that nothing is left after every limit, and remove the desk.

        What was sealed may not have been changed since.

        Args:
            check: Nothing has failed yet.

        """
        try:
            if check:
                self._check()
        finally:
            for process in self.processes():
                process.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _check(self) -> None:
        until(lambda: not self.processes(), "no process is left", LIMIT_S)
        if self.archive.is_dir() and any(list_runs(self.archive)):
            self.verify()
        left = [path.name for path in self.scratch.iterdir()]
        assert not left, f"left behind in the folder for temporary files: {left}"


def _is_supervisor(process: psutil.Process) -> bool:
    return any(word in SUPERVISORS for word in process.cmdline())


VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "…"),
    (re.compile(r"'?/[\w./~-]*/image_test/[^/]*_image_test_[0-9a-f-]*"), "RUN"),
    (re.compile(r"(RUN/\.notebook\.ipynb)\.\w+'"), r"\1"),
    (re.compile(r"/[\w./~-]*/(\w+)"), r"…/\1"),
    (re.compile(r"\bpid \d+"), "pid …"),
    (re.compile(r"\bafter \d+ s"), "after … s"),
)


def plain(cause: str) -> str:
    """Return a cause without what differs from run to run."""
    for pattern, word in VOLATILE:
        cause = pattern.sub(word, cause)
    return " ".join(cause.split()).replace("|", "\\|")


SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
