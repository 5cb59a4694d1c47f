"""Endings by the archive: full, gone, read-only."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from olrunbook.archive.place import list_runs
from tests.endings.support import CONCLUDE, NEVER, Child, Desk, Ended, need_root, until

ending = pytest.mark.ending
SMALL = 2 << 20
TALKS = """
import time
sign()
for number in range(3000):
    print(number, "x" * 1000, flush=True)
    time.sleep(0.01)
"""
GOES_ON = (
    "sign()\nimport time\nfor n in range(300): print(n, flush=True); time.sleep(.1)"
)


@contextmanager
def mounted(desk: Desk) -> Iterator[Path]:
    """Mount a small disk as the desk's archive."""
    need_root("a mount")
    desk.archive.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", str(desk.archive)]
    subprocess.run(words, check=True)
    try:
        yield desk.archive
    finally:
        subprocess.run(["umount", "-l", str(desk.archive)], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more fits; return the file."""
    path = folder / "ballast"
    with path.open("ab", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"x" * 4096)
    return path


def full_while_running(source: str) -> Ended:
    """Fill the disk while a cell runs."""
    with Desk() as desk, mounted(desk) as archive:
        child = desk.start(source, NEVER, CONCLUDE)
        child.kernel()
        fill(archive)
        ended = desk.look(child)
        ended.seconds = None  # from when on it was too full cannot be seen
        return ended


@ending("the disk is full while a cell talks", lambda: full_while_running(TALKS))
def test_a_full_disk(ended: Ended) -> None:
    """The run ends: what cannot be recorded does not go on. The record has room."""
    assert ended.how == ("failed", 1)
    assert "No space left" in ended.cause
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending(
    "the disk is full while a tool talks",
    lambda: full_while_running("step('build', CHATTY)"),
)
def test_a_full_disk_stops_the_tool(ended: Ended) -> None:
    """The tool is stopped by its policy; the record has room."""
    assert ended.how == ("failed", 1)
    assert "No space left" in ended.cause
    assert ended.cells == ["interrupted", "not-run", "not-run"]


def full_at_the_start() -> Ended:
    """Fill the disk, then run."""
    with Desk() as desk, mounted(desk) as archive:
        ballast = fill(archive)
        ended = desk.look(desk.start("sign()", CONCLUDE))
        assert not desk.sign.exists()
        ballast.unlink()
        files = [path for path in archive.rglob("*") if path.is_file()]
        ended.more["bytes"] = sum(path.stat().st_size for path in files)
        return ended


@ending("the disk is full before the run", full_at_the_start)
def test_a_full_disk_at_the_start(ended: Ended) -> None:
    """Nothing ran: exit code 2, the archive is named, nothing half is left in it."""
    assert ended.how == ("", 2)
    assert "No space left" in ended.said
    assert ended.more["bytes"] == 0


def read_only_at_the_start() -> Ended:
    """Make the disk read-only, then run."""
    with Desk() as desk, mounted(desk) as archive:
        remount(archive, "ro")
        ended = desk.look(desk.start("sign()", CONCLUDE))
        assert not desk.sign.exists()
        return ended


def remount(archive: Path, mode: str) -> None:
    """Make a disk writable or not (`rw`, `ro`)."""
    words = ["mount", "-o", f"remount,{mode}", str(archive)]

    def done() -> bool:  # busy while a file is open for writing
        return subprocess.run(words, check=False, capture_output=True).returncode == 0

    until(done, f"remounted {mode}")


@ending("the archive is read-only before the run", read_only_at_the_start)
def test_a_read_only_archive_at_the_start(ended: Ended) -> None:
    """Nothing ran: exit code 2."""
    assert ended.how == ("", 2)
    assert "Read-only file system" in ended.said


def read_only_while_running() -> Ended:
    """Make the disk read-only while a cell runs, writable again afterwards."""
    with Desk() as desk, mounted(desk) as archive:
        child = desk.start(GOES_ON, NEVER, CONCLUDE)
        child.in_cell()
        remount(archive, "ro")
        ended = _without_record(child)
        (ended.place,) = list_runs(archive)
        notebook = json.loads((ended.place.folder / "notebook.ipynb").read_bytes())
        ended.more["cells"] = len(notebook["cells"])
        ended.more["before"] = ended.place.record.exists()
        remount(archive, "rw")
        assert desk.command("runs").returncode == 0
        ended.more["told"] = 1  # whoever finds it cannot know that
        return desk.complete(ended)


def _without_record(child: Child) -> Ended:
    """Wait for the end of a run whose record cannot be written."""
    said, _ = child.process.communicate(timeout=90)
    return Ended(child.process.returncode, said)


@ending("the archive turns read-only while a cell runs", read_only_while_running)
def test_a_read_only_archive(ended: Ended) -> None:
    """The run ends, says that its record is missing; the next command makes it."""
    assert ended.code == 1
    assert "Read-only file system" in ended.said
    assert not ended.more["before"]
    assert ended.more["cells"] == 5
    assert ended.record is not None
    assert ended.record.status == "interrupted"
    assert ended.cells == ["interrupted", "not-run", "not-run"]


def removed_while_running() -> Ended:
    """Remove the run's directory while a cell runs."""
    with Desk() as desk:
        child = desk.start(GOES_ON, NEVER, CONCLUDE)
        child.kernel()
        (place,) = list_runs(desk.archive)
        place.folder.rename(desk.folder / "elsewhere")
        ended = _without_record(child)
        ended.more["again"] = place.folder.exists()
        done = desk.command("verify", "--all")
        ended.more["verify"] = (done.returncode, done.stdout + done.stderr)
        (desk.folder / "elsewhere").rename(place.folder)  # for the last look
        assert desk.command("runs").returncode == 0
        return ended


@ending("the run's directory is removed while a cell runs", removed_while_running)
def test_a_removed_directory(ended: Ended) -> None:
    """The run ends and says so; nothing is made up, and the chain misses it."""
    assert ended.code == 1
    assert "No such file or directory" in ended.said
    assert not ended.more["again"]
    assert ended.more["verify"][0] == 1
