"""Runs by hand in real kernels: each cell recorded as it was executed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from olrunbook.archive.dead import close_dead
from olrunbook.archive.place import RunPlace, read_record
from olrunbook.project.catalog import Project
from tests.kernels import (
    BEGIN,
    Desk,
    cells_of,
    journal_text,
    only,
    ours,
    record_of,
)


@pytest.fixture
def desk(project: Project) -> Iterator[Desk]:
    """Return a kernel in a project of its own."""
    with Desk(project.root) as made:
        yield made


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
    assert desk.run("run.step('late', int)") == "error"
    assert desk.run("run.conclude()") == "error"
    after = {p: p.read_bytes() for p in only(desk).folder.rglob("*") if p.is_file()}
    assert after == before


def test_long_output_is_capped_and_whole_in_a_log(one_desk: Desk) -> None:
    """The first and last lines are in the notebook; the log has every line."""
    one_desk.run(BEGIN)
    one_desk.run("for n in range(20_000):\n    print('line', n)")
    one_desk.run("run.conclude()")
    place = one_desk.places()[-1]
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
    planted = "kXq9-Zr7vLw2-Tm4s"
    with Desk(project.root, {"SERVICE_PASSWORD": planted}) as desk:
        desk.run(BEGIN)
        desk.run(f"print('{planted}')")
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
            assert planted.encode() not in raw
            assert planted[:8].encode() not in raw
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


def test_last_words_without_an_end_of_line_are_recorded(one_desk: Desk) -> None:
    """What a cell says last may have no newline."""
    one_desk.run(BEGIN)
    one_desk.run("print('a', end='')")
    one_desk.run("run.conclude()")
    (out,) = cells_of(one_desk.places()[-1])[1]["outputs"]
    assert out["text"] == "a"


def test_a_widget_that_a_later_cell_closes_is_not_kept(one_desk: Desk) -> None:
    """As in JupyterLab: the record has the state of those that are still there."""
    one_desk.run(BEGIN)
    one_desk.run("import ipywidgets as w\ngone, kept = w.Text('gone'), w.Text('kept')")
    one_desk.run("display(gone, kept)")
    one_desk.run("gone.close()")
    one_desk.run("run.conclude()")
    notebook = json.loads((one_desk.places()[-1].folder / "notebook.ipynb").read_text())
    (widgets,) = notebook["metadata"]["widgets"].values()
    texts = [m["state"] for m in widgets["state"].values() if "value" in m["state"]]
    assert [state["value"] for state in texts] == ["kept"]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("!false", 1),
        ("!nosuchcommand", 127),
        ("x = !echo said; exit 3", 3),
        ("%%bash\nfalse\necho on", 1),
        ("%%sh\nexit 4", 4),
    ],
)
def test_a_failed_shell_line_is_a_failed_cell(
    one_desk: Desk, source: str, code: int
) -> None:
    """Command and code are the cause; `|| true` says that a failure is fine."""
    one_desk.run(BEGIN)
    assert one_desk.run(source) == "error"
    assert one_desk.run("!false || true") == "ok"
    assert one_desk.run("x = !echo one; echo two\nprint(list(x))") == "ok"
    one_desk.run("run.conclude()")
    cells = cells_of(one_desk.places()[-1])
    assert [cell["source"] for cell in cells[:2]] == [BEGIN, source]
    assert ours(cells[1])["status"] == "failed"
    assert f"returned non-zero exit status {code}" in ours(cells[1])["cause"]
    if "said" in source:
        assert cells[1]["outputs"][0]["text"] == "said\n"
    assert cells[3]["outputs"][0]["text"] == "['one', 'two']\n"
