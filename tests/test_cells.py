"""Runs by hand in real kernels: each cell recorded as it was executed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest

from olrunbook.catalog import Project
from olrunbook.record.archive import RunPlace, read_record
from olrunbook.record.dead import close_dead
from olrunbook.record.journal import read_journal
from olrunbook.record.model import RunRecord
from olrunbook.run.executor import judged
from tests.kernels import Desk

BEGIN = 'import olrunbook\nrun = olrunbook.begin("image_test", app="tika")'
STEP = """
from olrunbook.errors import {error}
def work():
    raise {error}("not today")
run._recorder.step("image_test", work)
"""


@pytest.fixture
def desk(project: Project) -> Iterator[Desk]:
    """Return a kernel in a project of its own."""
    with Desk(project.root) as made:
        yield made


def only(desk: Desk) -> RunPlace:
    """Return the one run there is."""
    (place,) = desk.places()
    assert isinstance(place, RunPlace)
    return place


def record_of(place: RunPlace) -> RunRecord:
    """Return a run's record; it is sealed."""
    record = read_record(place)
    assert record is not None
    return record


def cells_of(place: RunPlace) -> list[dict[str, Any]]:
    """Return the code cells of a run's notebook, which is valid."""
    notebook = json.loads((place.folder / "notebook.ipynb").read_bytes())
    nbformat.validate(notebook)  # type: ignore[no-untyped-call]
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def ours(cell: dict[str, Any]) -> dict[str, Any]:
    """Return what we say of a cell."""
    found: dict[str, Any] = cell["metadata"]["olrunbook"]
    return found


def journal_text(place: RunPlace) -> str:
    """Return the journal as it lies on the disk."""
    return (place.folder / "journal.jsonl").read_text()


def output_of(place: RunPlace, line: str, more_than: int = -1) -> int:
    """Return how often a line was put out; 0 where that is not often enough."""
    count = journal_text(place).count(f'"{line}\\n"')
    return count if count > more_than else 0


def test_cells_are_recorded_as_executed(desk: Desk) -> None:
    """In order, repeats and edits named, failures kept, the concluding cell inside."""
    assert desk.run("before = 1", "imports") == "ok"
    assert desk.run(BEGIN, "begin") == "ok"
    assert desk.run("x = 1\nx", "a") == "ok"
    assert desk.run("1 / 0", "b") == "error"
    assert desk.run("x = 2\nx", "a") == "ok"
    assert desk.run("x = 2\nx", "a") == "ok"
    assert desk.run("def broken(:", "c") == "error"
    assert desk.run("import sys; sys.exit(3)", "d") == "error"
    assert desk.run("run.conclude()", "end") == "ok"
    place = only(desk)
    cells = cells_of(place)
    sources = [cell["source"].splitlines()[0] for cell in cells]
    assert sources == [
        "before = 1",
        "import olrunbook",
        "x = 1",
        "1 / 0",
        "x = 2",
        "x = 2",
        "def broken(:",
        "import sys; sys.exit(3)",
        "run.conclude()",
    ]
    statuses = [ours(cell)["status"] for cell in cells]
    assert " ".join(statuses) == ("done done done failed done done failed failed done")
    assert "before begin" in ours(cells[0])["note"]
    assert cells[0]["outputs"] == []
    assert (ours(cells[4])["repeat_of"], ours(cells[4])["edited"]) == (3, True)
    assert ours(cells[5])["repeat_of"] == 5
    assert "edited" not in ours(cells[5])
    assert ours(cells[3])["cause"] == "ZeroDivisionError: division by zero"
    assert "SyntaxError" in ours(cells[6])["cause"]
    assert ours(cells[7])["cause"] == "ended early by sys.exit(3)"
    assert [cell["execution_count"] for cell in cells] == list(range(1, 10))
    assert "· record" in cells[-1]["outputs"][0]["data"]["text/plain"]
    record = record_of(place)
    assert (record.status, record.executed_by) == ("succeeded", "kernel")
    assert {"notebook.ipynb", "notebook.html"} <= set(record.files)
    assert not (place.folder / "heartbeat.json").exists()


def test_nothing_is_written_to_a_closed_run(desk: Desk) -> None:
    """Later cells are not recorded, and a step after the end is refused."""
    desk.run(BEGIN)
    desk.run("run.conclude()")
    before = {p: p.read_bytes() for p in only(desk).folder.rglob("*") if p.is_file()}
    assert desk.run("print('later')") == "ok"
    assert desk.run("run.preflight()") == "error"
    assert desk.run("run.conclude()") == "error"
    after = {p: p.read_bytes() for p in only(desk).folder.rglob("*") if p.is_file()}
    assert after == before


def test_every_kind_of_output_is_recorded(desk: Desk) -> None:
    """As the kernel published it, in its order; updates and clearing included."""
    desk.run(BEGIN)
    desk.run("print('one')\nimport sys\nprint('two', file=sys.stderr)\nprint('three')")
    desk.run(
        "from IPython.display import display, clear_output, HTML\nHTML('<b>4</b>')"
    )
    desk.run("handle = display({'text/plain': 'old'}, raw=True, display_id=True)")
    desk.run("handle.update({'text/plain': 'new'}, raw=True)")
    desk.run("print('gone')\nclear_output()\nprint('kept')")
    desk.run("print('gone')\nclear_output(wait=True)\nprint('kept')")
    desk.run("import subprocess; _ = subprocess.run(['true']); 1/0")
    desk.run(
        "import os\nif os.fork() == 0:\n    print('child', flush=True)\n    os._exit(0)"
        "\nos.wait(); import time; time.sleep(0.3)"
    )
    desk.run("run.conclude()")
    cells = [cell["outputs"] for cell in cells_of(only(desk))][1:-1]
    streams = [(out["name"], out["text"]) for out in cells[0]]
    assert sorted(streams) == [
        ("stderr", "two\n"),
        ("stdout", "one\n"),
        ("stdout", "three\n"),
    ] or streams == [("stdout", "one\nthree\n"), ("stderr", "two\n")]
    (result,) = cells[1]
    assert result["output_type"] == "execute_result"
    assert result["data"]["text/html"] == "<b>4</b>"
    (shown,) = cells[2]
    assert (shown["output_type"], shown["data"]) == (
        "display_data",
        {"text/plain": "new"},
    )
    assert cells[3] == []
    assert [out["text"] for out in cells[4]] == ["kept\n"]
    assert [out["text"] for out in cells[5]] == ["kept\n"]
    (error,) = cells[6]
    assert (error["output_type"], error["ename"]) == ("error", "ZeroDivisionError")
    assert any("child\n" in out.get("text", "") for out in cells[7])


def test_long_output_is_capped_and_whole_in_a_log(desk: Desk) -> None:
    """The first and last lines are in the notebook; the log has every line."""
    desk.run(BEGIN)
    desk.run("for n in range(20_000):\n    print('line', n)")
    desk.run("run.conclude()")
    place = only(desk)
    (out,) = cells_of(place)[1]["outputs"]
    lines = out["text"].splitlines()
    assert (lines[0], lines[-1]) == ("line 0", "line 19999")
    assert len(lines) == 1001
    assert "19000 lines left out" in lines[500]
    log = (place.logs / "cell-2-stdout.log").read_text()
    assert log.splitlines() == [f"line {n}" for n in range(20_000)]
    assert "logs/cell-2-stdout.log" in record_of(place).files
    assert len(journal_text(place)) < 200_000


def test_secrets_of_the_environment_are_masked(project: Project) -> None:
    """In source and outputs, also where a value comes in two pieces."""
    secret = "kXq9-Zr7vLw2-Tm4s"
    with Desk(project.root, {"SERVICE_PASSWORD": secret}) as desk:
        desk.run(BEGIN)
        desk.run(f"print('{secret}')")
        desk.run(
            "import os, sys, time\nvalue = os.environ['SERVICE_PASSWORD']\n"
            "sys.stdout.write('a ' + value[:8]); sys.stdout.flush()\ntime.sleep(2.5)\n"
            "sys.stdout.write(value[8:] + '\\n')"
        )
        desk.run("value")
        desk.run("raise ValueError(value)")
        desk.run("run.conclude()")
        place = only(desk)
    for path in place.folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert secret.encode() not in raw
            assert secret[:8].encode() not in raw
    assert "[masked:" in journal_text(place)
    assert record_of(place).masked > 0


def test_an_interrupted_cell_is_called_so(
    desk: Desk, eventually: Callable[..., Any]
) -> None:
    """A plain cell and one that awaits, each interrupted at the screen."""
    desk.run(BEGIN)
    for source in (
        "import time\nprint('on')\ntime.sleep(60)",
        # Without us too, ipykernel looks at the interrupt when its loop wakes.
        "import asyncio\nprint('on')\nfor _ in range(600): await asyncio.sleep(0.1)",
    ):
        place = only(desk)
        before = output_of(place, "on")
        sent = desk.send(source)
        eventually(partial(output_of, place, "on", before))
        desk.manager.interrupt_kernel()
        desk.wait(sent)
    assert desk.run("run.conclude()") == "ok"
    cells = cells_of(only(desk))
    assert [ours(cell)["status"] for cell in cells] == [
        "done",
        "interrupted",
        "interrupted",
        "done",
    ]
    assert ours(cells[1])["cause"] == "KeyboardInterrupt"


def test_a_killed_kernel_leaves_its_cells(
    desk: Desk, eventually: Callable[..., Any]
) -> None:
    """SIGKILL in a silent cell: what was put out before is in the record made then."""
    desk.run(BEGIN)
    desk.run("print('first')")
    desk.send("import time\nprint('second')\ntime.sleep(60)")
    place = only(desk)
    eventually(lambda: '"second\\n"' in journal_text(place))
    assert json.loads((place.folder / "heartbeat.json").read_text())["where"]
    os.kill(desk.pid, signal.SIGKILL)
    eventually(lambda: not desk.manager.is_alive())
    assert read_record(place) is None
    (record,) = close_dead(desk.project / "outputs")
    assert (record.status, record.run_id) == ("kernel-died", place.run_id)
    cells = cells_of(place)
    assert [ours(cell)["status"] for cell in cells] == ["done", "done", "interrupted"]
    assert cells[2]["outputs"][0]["text"] == "second\n"


def test_a_shutdown_before_the_end_is_a_failure(desk: Desk) -> None:
    """The kernel closes the run as it goes: ended early."""
    desk.run(BEGIN)
    desk.run("print('here')")
    desk.shut_down()
    record = record_of(only(desk))
    assert record.status == "failed"
    assert record.cause == (
        "ended early: the kernel was shut down before run.conclude()"
    )
    assert cells_of(only(desk))[1]["outputs"][0]["text"] == "here\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [("StepError", "failed"), ("RefusedError", "refused"), ("WaitingError", "waiting")],
)
def test_a_shutdown_after_a_bad_step_is_that_ending(
    desk: Desk, error: str, status: str
) -> None:
    """The step says why; its cell has the same status."""
    desk.run(BEGIN)
    assert desk.run(STEP.format(error=error)) == "error"
    assert desk.run("run.conclude()") == "error"
    desk.shut_down()
    record = record_of(only(desk))
    assert record.status == status
    assert record.cause.startswith('step "image_test": not today; ended early')
    assert ours(cells_of(only(desk))[1])["status"] == status


def test_begin_again_closes_the_run_before(desk: Desk) -> None:
    """Run All once more: two runs, the first ended early, the imports in both."""
    for _ in range(2):
        desk.run("import olrunbook", "imports")
        desk.run(BEGIN, "begin")
        desk.run("print('body')", "body")
        desk.run("run._recorder.journal.add('step', name='s', event='started')", "s")
    desk.run("run.conclude()", "end")
    first, second = sorted(desk.places(), key=lambda place: place.run_id)
    record = record_of(first)
    assert record.status == "failed"
    assert record.cause == "ended early: begin was called again in this kernel"
    sources = [cell["source"] for cell in cells_of(second)]
    assert sources[0] == "import olrunbook"
    assert sources[1] == BEGIN
    assert sources[-1] == "run.conclude()"
    assert len(sources) == 5


def test_a_run_after_a_concluded_one_begins_where_that_ended(desk: Desk) -> None:
    """The cells of the run before are not entered again."""
    desk.run(BEGIN)
    desk.run("run.conclude()")
    desk.run("between = 1")
    desk.run(BEGIN)
    desk.run("run.conclude()")
    first, second = sorted(desk.places(), key=lambda place: place.run_id)
    assert len(cells_of(first)) == 2
    sources = [cell["source"] for cell in cells_of(second)]
    assert sources == ["between = 1", BEGIN, "run.conclude()"]
    assert record_of(first).status == record_of(second).status == "succeeded"


def by_papermill(folder: Path, notebook: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook by papermill's command line with its default engine."""
    papermill = Path(sys.executable).with_name("papermill")
    return subprocess.run(
        [papermill, notebook, folder / "out.ipynb", "--cwd", folder, "-k", "python3"],
        cwd=folder,
        env={**os.environ, "IPYTHONDIR": str(folder / ".ipython")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_papermills_own_engine_leaves_a_true_record(
    project: Project, make_notebook: Callable[..., Path]
) -> None:
    """Sealed by the kernel; it names its source and says what it lacks."""
    notebook = make_notebook("import olrunbook", BEGIN, "print('x')", "run.conclude()")
    source = project.root / "sample.ipynb"
    shutil.copy(notebook, source)
    done = by_papermill(project.root, source)
    assert done.returncode == 0, done.stderr
    (place,) = list_places(project)
    record = record_of(place)
    assert (record.status, record.executed_by) == ("succeeded", "papermill")
    assert any("no limits" in text for text in record.lacks)
    (opened,) = [e for e in read_journal(place.folder) if e["kind"] == "run"]
    assert opened["source"] == "sample.ipynb"
    assert record.source_sha256 == opened["source_sha256"] != ""
    assert "papermill" in opened["executed_by_known"]
    assert [cell["source"] for cell in cells_of(place)][2] == "print('x')"
    assert (
        "that papermill writes is not" in (place.folder / "notebook.ipynb").read_text()
    )


def test_papermills_own_engine_and_a_cell_that_fails(
    project: Project, make_notebook: Callable[..., Path]
) -> None:
    """Closed by the kernel as it goes, with the cell's cause."""
    notebook = make_notebook(BEGIN, "raise ValueError('boom')", "run.conclude()")
    done = by_papermill(project.root, notebook)
    assert done.returncode == 1
    (place,) = list_places(project)
    record = record_of(place)
    assert record.status == "failed"
    assert record.cause.startswith("cell 2: ValueError: boom; ended early")
    assert len(cells_of(place)) == 2


def list_places(project: Project) -> list[RunPlace]:
    """Return the runs of a project."""
    from olrunbook.record.archive import list_runs  # noqa: PLC0415

    return list(list_runs(project.outputs))


def test_plain_python_seals_at_once(project: Project) -> None:
    """No kernel, no cells; the record says so."""
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}\nrun.conclude()"],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = record_of(list_places(project)[0])
    assert record.status == "succeeded"
    assert record.lacks == [
        "plain Python, not a kernel: what was executed is not recorded"
    ]


def test_who_sends_the_cells_is_said_with_how_it_is_known(tmp_path: Path) -> None:
    """By the command lines above the kernel and the server's environment."""
    book = tmp_path / "deploy.ipynb"
    book.write_text("{}")
    words = ["python", "/x/bin/papermill", "deploy.ipynb", "out.ipynb"]
    found = judged([(7, words, tmp_path)], {})
    assert (found.by, found.source) == ("papermill", book)
    assert found.known == "command line of process 7: papermill"
    lab = judged([(8, ["python", "/x/bin/jupyter-lab"], tmp_path)], {})
    assert (lab.by, lab.known) == ("kernel", "command line of process 8: jupyter-lab")
    assert any("text between" in text for text in lab.lacks)
    named = judged([], {"JPY_SESSION_NAME": str(book)})
    assert (named.source, named.lacks) == (book, ())
    unknown = judged([(9, ["/usr/bin/code"], tmp_path)], {})
    assert any("not known (code)" in text for text in unknown.lacks)
    other = judged([(9, ["python", "-m", "nbconvert"], tmp_path)], {})
    assert other.lacks[0] == "executed by nbconvert, not by a person"
