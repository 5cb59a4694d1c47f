"""How a run by hand ends, and who is said to have executed it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from olrunbook.archive.place import RunPlace
from olrunbook.project.catalog import Project
from olrunbook.record.journal import read_journal
from olrunbook.run.executor import judged
from tests.kernels import (
    BEGIN,
    QUICK,
    Desk,
    cells_of,
    only,
    ours,
    record_of,
)
from tests.sockets import OVER_FILES

STEP = """
from olrunbook.errors import {error}
def work():
    raise {error}("not today")
run.step("image_test", work)
"""


@pytest.fixture
def desk(project: Project) -> Iterator[Desk]:
    """Return a kernel in a project of its own."""
    with Desk(project.root) as made:
        yield made


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


@pytest.mark.parametrize(
    "source",
    ["%nosuchmagic", "class RefusedError(Exception): pass\nraise RefusedError"],
)
def test_an_error_of_others_is_told_from_ours(desk: Desk, source: str) -> None:
    """A class that only has the name of one of ours fails the run as any error does."""
    desk.run(BEGIN)
    assert desk.run(source) == "error"
    desk.shut_down()
    assert record_of(only(desk)).status == "failed"


def test_begin_again_closes_the_run_before(one_desk: Desk) -> None:
    """Run All once more: two runs, the first ended early, the imports in both."""
    for _ in range(2):
        one_desk.run("import olrunbook", "imports")
        one_desk.run(BEGIN, "begin")
        one_desk.run("print('body')", "body")
        one_desk.run(
            "run._recorder.journal.add('step', name='s', event='started')", "s"
        )
    one_desk.run("run.conclude()", "end")
    first, second = one_desk.places()[-2:]
    record = record_of(first)
    assert record.status == "failed"
    assert record.cause == "ended early: begin was called again in this kernel"
    sources = [cell["source"] for cell in cells_of(second)]
    assert sources[0] == "import olrunbook"
    assert sources[1] == BEGIN
    assert sources[-1] == "run.conclude()"
    assert len(sources) == 5


def test_a_run_after_a_concluded_one_begins_where_that_ended(one_desk: Desk) -> None:
    """The cells of the run before are not entered again."""
    one_desk.run(BEGIN)
    one_desk.run("run.conclude()")
    one_desk.run("between = 1")
    one_desk.run(BEGIN)
    one_desk.run("run.conclude()")
    first, second = one_desk.places()[-2:]
    assert len(cells_of(first)) == 2
    sources = [cell["source"] for cell in cells_of(second)]
    assert sources == ["between = 1", BEGIN, "run.conclude()"]
    assert record_of(first).status == record_of(second).status == "succeeded"


def by_papermill(
    papermill: Path, folder: Path, notebook: Path
) -> subprocess.CompletedProcess[str]:
    """Run a notebook by papermill's command line with its default engine."""
    words = [notebook, folder / "out.ipynb", "--cwd", folder, "-k", "python3"]
    return subprocess.run(
        [sys.executable, papermill, *words],
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
    installed = str(Path(sys.executable).with_name("papermill"))
    run = f"import runpy\nrunpy.run_path({installed!r}, run_name='__main__')"
    script = project.root / "papermill"
    script.write_text(f"{OVER_FILES}\n{run}\n")
    done = by_papermill(script, project.root, source)
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
    quick = project.root / "papermill"
    quick.write_text(QUICK)
    done = by_papermill(quick, project.root, notebook)
    assert done.returncode == 1
    (place,) = list_places(project)
    record = record_of(place)
    assert record.status == "failed"
    assert record.cause.startswith("cell 2: ValueError: boom; ended early")
    assert len(cells_of(place)) == 2


def list_places(project: Project) -> list[RunPlace]:
    """Return the runs of a project."""
    from olrunbook.archive.place import list_runs  # noqa: PLC0415

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
    assert any("sent the cells (code)" in text for text in unknown.lacks)
    other = judged([(9, ["python", "-m", "nbconvert"], tmp_path)], {})
    assert other.lacks[0] == "executed by nbconvert, not by a person"
