"""The command line's output: who reads it may leave, and the work goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from olrunbook.archive.place import list_runs, read_record

OLRUNBOOK = Path(sys.executable).parent / "olrunbook"
STEP = """
import time
from olrunbook import begin
run = begin("sample", app="tika")
run.step("build", lambda: time.sleep(1))
"""


@pytest.fixture
def shell(project):
    """Return a function that runs a line of bash; `$0` is olrunbook."""

    def call(line: str, *args: object) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-o", "pipefail", "-c", line, OLRUNBOOK, *map(str, args)]
        return subprocess.run(
            words, cwd=project.root, capture_output=True, text=True, check=False
        )

    return call


@pytest.mark.parametrize(
    "line",
    [
        '"$0" run "$1" 2>&1 | true',
        '"$0" run "$1" >&-',
        '"$0" run "$1" >&- 2>&- <&-',
        '"$0" run "$1" --json | head -1',
        'PYTHONUNBUFFERED=1 "$0" run "$1" 2>&1 | true',
    ],
)
def test_a_run_goes_on_when_nobody_reads(project, make_notebook, shell, line) -> None:
    """The reader left, or there was none: the run succeeds, and so does the command."""
    path = make_notebook(STEP, "run.conclude()")
    done = shell(line, path)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    record = read_record(next(list_runs(project.outputs)))
    assert record is not None
    assert (record.status, record.cause) == ("succeeded", "")


def test_the_exit_code_is_the_runs(make_notebook, shell) -> None:
    """A run that fails unread has its own exit code."""
    assert shell('"$0" run "$1" 2>&1 | true', make_notebook("1 / 0")).returncode == 1


def test_a_list_ends_quietly(make_notebook, shell) -> None:
    """`olrunbook runs | head` is no failure, and nothing is said."""
    for words in ('"$0" --help', '"$0" runs', '"$0" catalog'):
        done = shell(f"{words} | true")
        assert (done.returncode, done.stderr) == (0, ""), words


def test_a_full_disk_behind_the_output_is_told(project, make_notebook, shell) -> None:
    """The run goes on to its end; the command says what was lost, and fails."""
    done = shell('"$0" run "$1" > /dev/full', make_notebook("print(1)"))
    assert done.returncode == 1
    assert "could not be written: [Errno 28] No space left on device" in done.stderr
    record = read_record(next(list_runs(project.outputs)))
    assert record is not None
    assert record.status == "succeeded"
