"""The engine: a true record for every ending it can see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from olrunbook.archive.place import list_runs, read_record
from olrunbook.engine.session import Session, run_notebook
from olrunbook.errors import UsageError
from olrunbook.record.journal import read_journal

WORD = '# parameters\nword: str = "x"\n'
CELL = f'{WORD}from olrunbook import App\napp: App = "tika"\n'
JOURNAL = """
import os, json, datetime
def note(kind, **more):
    at = datetime.datetime.now(datetime.UTC).isoformat()
    with open(os.environ["OLRUNBOOK_RUN_DIR"] + "/journal.jsonl", "a") as f:
        f.write(json.dumps({"at": at, "kind": kind, **more}) + "\\n")
"""
BEGUN = 'note("begin")'
DONE = 'note("conclude", headline="fine")'


@pytest.fixture
def execute(project, make_notebook):
    """Return a function that runs cells headless and returns record, folder, cells."""

    def run(*sources: str, first=WORD, parameters=None, tags=None):
        path = make_notebook(first, JOURNAL, *sources, tags=tags)
        session = Session(project, path, parameters or {})
        record = run_notebook(session)
        body = json.loads((session.place.folder / "notebook.ipynb").read_text())
        cells = [c for c in body["cells"] if c["cell_type"] == "code"]
        return record, session.place.folder, cells[-len(sources) :]

    return run


def statuses(cells) -> list[str]:
    """Return the cells' own statuses."""
    return [cell["metadata"]["olrunbook"]["status"] for cell in cells]


def test_a_notebook_that_concludes_succeeded(execute) -> None:
    """All cells ran and the run concluded: succeeded, exit code 0."""
    record, _, cells = execute("print(word)", DONE, parameters={"word": "hello"})
    assert (record.status, record.exit_code, record.headline) == (
        "succeeded",
        0,
        "fine",
    )
    assert cells[0]["outputs"][0]["text"] == ["hello\n"]
    assert statuses(cells) == ["done", "done"]


def test_a_cell_error_fails_the_run(execute) -> None:
    """The failing cell is named, the cells after it are not-run."""
    record, _, cells = execute("1/0", "print('never')", DONE)
    assert (record.status, record.exit_code) == ("failed", 1)
    assert "ZeroDivisionError" in record.cause
    assert statuses(cells) == ["failed", "not-run", "not-run"]
    assert record.cells_not_run == 2


@pytest.mark.parametrize("code", ["0", "3", ""])
def test_sys_exit_is_not_a_success_of_a_runbook(execute, code) -> None:
    """One that called `begin` and leaves by sys.exit ended early, whatever its code."""
    record, _, cells = execute(BEGUN, f"import sys; sys.exit({code})", DONE)
    assert (record.status, record.exit_code) == ("failed", 1)
    assert "ended early" in record.cause
    assert statuses(cells)[2] == "not-run"


@pytest.mark.parametrize(("code", "status"), [("0", "succeeded"), ("", "succeeded")])
def test_sys_exit_ends_any_other_notebook(execute, code, status) -> None:
    """As papermill sees it: 0 is well, and what follows did not run."""
    record, _, cells = execute(f"import sys; sys.exit({code})", "print('never')")
    assert (record.status, record.exit_code) == (status, 0)
    assert record.headline.startswith("sys.exit(")
    assert statuses(cells) == ["done", "not-run"]


def test_sys_exit_with_a_code_is_a_failure(execute) -> None:
    """Whatever the notebook knows of us."""
    record, _, cells = execute("import sys; sys.exit(3)", "print('never')")
    assert (record.status, record.exit_code) == ("failed", 1)
    assert "ended early by sys.exit(3)" in record.cause
    assert statuses(cells) == ["failed", "not-run"]


def test_all_cells_without_conclude_is_not_a_success(execute) -> None:
    """What called `begin` must conclude, though every cell ran."""
    record, _, _ = execute(BEGUN, "print('all went well')")
    assert record.status == "failed"
    assert "ended early" in record.cause


def test_an_expected_error_goes_on(execute) -> None:
    """A cell tagged raises-exception may fail; the run goes on and can succeed."""
    record, _, cells = execute("1/0", "print('on')", DONE, tags={2: "raises-exception"})
    assert record.status == "succeeded"
    assert statuses(cells) == ["done", "done", "done"]


def test_a_skipped_cell_is_not_run_and_no_fault(execute) -> None:
    """A cell tagged skip-execution is shown as not run; the others decide."""
    record, _, cells = execute("1/0", "print('on')", DONE, tags={2: "skip-execution"})
    assert (record.status, record.cells_not_run) == ("succeeded", 1)
    assert statuses(cells) == ["not-run", "done", "done"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("RefusedError", "refused", 4),
        ("WaitingError", "waiting", 3),
        ("UsageError", "refused", 4),
        ("StepError", "failed", 1),
    ],
)
def test_our_errors_tell_how_a_run_ended(execute, error, status, code) -> None:
    """A refusal, a wait and a failure have their own exit codes and causes."""
    source = f"from olrunbook.errors import {error}\nraise {error}('because of this')"
    record, _, _ = execute(source, DONE)
    assert (record.status, record.exit_code) == (status, code)
    assert record.cause == "because of this"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("%nosuchmagic", "UsageError"),
        *(
            (f"class {name}(Exception): pass\nraise {name}('no')", name)
            for name in ("UsageError", "RefusedError", "WaitingError", "StepError")
        ),
    ],
)
def test_an_error_of_others_is_told_from_ours(execute, source, name) -> None:
    """A class that only has the name of one of ours fails the run as any error does."""
    ours = "from olrunbook.errors import RefusedError\nraise RefusedError('ours')"
    record, _, _ = execute(ours, source, DONE, tags={2: "raises-exception"})
    assert (record.status, record.exit_code) == ("failed", 1)
    assert record.cause.startswith(f"cell 4: {name}: ")


def test_a_killed_kernel_is_no_completion(execute) -> None:
    """SIGKILL in a silent cell: kernel-died, exit 5, the rest not-run."""
    record, _, cells = execute(
        "import os; print('last words'); os.kill(os.getpid(), 9)", DONE
    )
    assert (record.status, record.exit_code) == ("kernel-died", 5)
    assert "SIGKILL" in record.cause
    assert statuses(cells) == ["interrupted", "not-run"]


def test_a_long_output_is_capped_and_kept_whole_in_the_log(execute) -> None:
    """The notebook shows first and last lines; the log has them all."""
    record, folder, cells = execute("for i in range(5000): print('line', i)", DONE)
    shown = "".join(cells[0]["outputs"][0]["text"])
    assert "line 0\n" in shown
    assert "line 4999\n" in shown
    assert "4000 lines left out" in shown
    logs = [name for name in record.files if name.startswith("logs/")]
    assert len((folder / logs[0]).read_text().splitlines()) == 5000


def test_a_long_display_is_capped_and_kept_whole_in_the_log(execute) -> None:
    """A value of millions of characters shows its ends; the log has all of it."""
    source = """
from IPython.display import HTML, display
display(HTML("<b>" + "y" * 1_200_000 + "</b>"))
"a" * 700_000 + "b" * 700_000
"""
    record, folder, cells = execute(source, DONE)
    assert record.status == "succeeded"
    html, value = (output["data"] for output in cells[0]["outputs"])
    assert "1200007 characters" in "".join(html["text/html"])
    shown = "".join(value["text/plain"])
    assert len(shown) < 50_000
    assert shown.startswith("'aaa")
    assert shown.endswith("bbb'")
    logs = [n for n in record.files if n.startswith("logs/")]
    sizes = {(folder / name).stat().st_size for name in logs}
    assert sizes == {1_200_007, 1_400_002}


def test_a_secret_learned_in_the_kernel_is_masked_in_the_record(execute) -> None:
    """A value told by pipe is masked in source, output, traceback and cause."""
    source = """
import json, os
secret = "s3cret-" + "value"
tell = os.fdopen(int(os.environ["OLRUNBOOK_TELL_FD"]), "w")
tell.write(json.dumps({"secret": secret}) + "\\n"); tell.flush()
print("it is", secret, end=""); print(secret[:5], end="", flush=True); print(secret[5:])
raise ValueError(secret)
"""
    record, folder, _ = execute(source, "x = 's3cret-value'")
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"s3cret-value" not in path.read_bytes(), path
    assert "[masked:" in record.cause
    assert record.masked >= 3


def test_a_wrong_parameter_starts_and_writes_nothing(project, make_notebook) -> None:
    """An unknown name is a usage error; there is no run directory afterwards."""
    with pytest.raises(UsageError, match="wrod"):
        Session(project, make_notebook(CELL), {"wrod": "y"})
    assert list(list_runs(project.outputs)) == []


def test_the_heartbeat_of_a_silent_cell_is_on_the_disk(
    project, make_notebook, eventually
):
    """While a cell is silent the file tells how long it has been going on."""
    path = make_notebook(CELL, JOURNAL, "import time; time.sleep(8)", DONE)
    child = _start(project, path)

    def beat():
        for place in list_runs(project.outputs):
            file = place.folder / "notebook.ipynb"
            if file.exists() and '"silent_s"' in file.read_text():
                return True
        return False

    eventually(beat)
    assert child.wait(90) == 0
    place = next(list_runs(project.outputs))
    assert '"silent_s"' not in (place.folder / "notebook.ipynb").read_text()


def _start(project, path: Path) -> subprocess.Popen[bytes]:
    """Run a notebook in a process of its own, as the command line does."""
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from olrunbook.project.catalog import find_project
        from olrunbook.engine.session import Session, run_notebook
        found = find_project(Path({str(project.root)!r}))
        session = Session(found, Path({str(path)!r}), {{}})
        sys.exit(run_notebook(session).exit_code)
        """
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=project.root)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_ends_the_run_with_its_record(
    project, make_notebook, eventually, number, code
) -> None:
    """Ctrl-C, SIGTERM, SIGHUP interrupt the cell; record, code, statuses are true."""
    flag = project.root / "running"
    source = f"import time; open({str(flag)!r}, 'w').close(); time.sleep(60)"
    child = _start(project, make_notebook(CELL, JOURNAL, source, DONE))
    eventually(flag.exists)
    os.kill(child.pid, number)
    assert child.wait(90) == code  # the cell would have slept longer
    place = next(list_runs(project.outputs))
    record = read_record(place)
    assert record is not None
    assert (record.status, record.exit_code) == ("interrupted", code)
    assert signal.Signals(number).name in record.cause
    assert record.cells_not_run == 1


def test_nohup_keeps_a_run_alive(project, make_notebook, eventually) -> None:
    """A SIGHUP that was ignored at the start stays so: another signal ends the run."""
    flag = project.root / "running"
    source = f"import time; open({str(flag)!r}, 'w').close(); time.sleep(60)"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        child = _start(project, make_notebook(CELL, JOURNAL, source, DONE))
    finally:
        signal.signal(signal.SIGHUP, before)
    eventually(flag.exists)
    os.kill(child.pid, signal.SIGHUP)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait(90) == 143


def test_a_keyboard_interrupt_of_a_cell_is_a_cause(execute) -> None:
    """It says nothing itself: cell and name are the cause."""
    record, _, _ = execute("raise KeyboardInterrupt", "print('never')")
    assert (record.status, record.exit_code) == ("interrupted", 130)
    assert record.cause == "cell 3: KeyboardInterrupt"


def test_the_journal_opens_with_who_and_what(execute) -> None:
    """The first line names parameters, operator, versions and the source's hash."""
    record, folder, _ = execute(DONE, first=CELL)
    first = read_journal(folder)[0]
    assert first["kind"] == "run"
    assert len(first["source_sha256"]) == 64
    assert record.parameters == {"app": "tika", "word": "x"}
    assert {"user", "host"} <= set(record.operator)
    assert "papermill" in record.versions


def test_papermill_itself_can_use_the_engine(project, make_notebook, tmp_path) -> None:
    """Papermill's own command line writes its output and leaves an archive run too."""
    path = make_notebook(CELL, JOURNAL, "print(word)", DONE)
    out = tmp_path / "out.ipynb"
    papermill = Path(sys.executable).parent / "papermill"
    done = subprocess.run(
        [papermill, path, out, "--engine", "olrunbook", "-r", "word", "7e12345"],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "7e12345" in out.read_text()
    record = read_record(next(list_runs(project.outputs)))
    assert record is not None
    assert record.parameters["word"] == "7e12345"
    assert record.status == "succeeded"


def test_a_run_in_the_background_of_a_script_can_be_interrupted(
    project, make_notebook, eventually
) -> None:
    """A shell has such a job ignore SIGINT: the kernel is told all the same."""
    flag = project.root / "running"
    source = f"import time; open({str(flag)!r}, 'w').close(); time.sleep(60)"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = _start(project, make_notebook(CELL, JOURNAL, source, DONE))
    finally:
        signal.signal(signal.SIGINT, before)
    eventually(flag.exists)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait(90) == 143
    # The cell itself was interrupted: its kernel had not to be killed.
    place = next(list_runs(project.outputs))
    assert "KeyboardInterrupt" in (place.folder / "notebook.ipynb").read_text()


def shown(cell) -> list[tuple[str, str]]:
    """Return a cell's outputs: a stream by name and text, others by type."""
    return [
        (out.get("name", out["output_type"]), "".join(out.get("text", "")))
        for out in cell["outputs"]
    ]


def test_one_long_line_is_capped(execute) -> None:
    """Its beginning and end are shown; the whole is in a log, once."""
    _, folder, (cell, _) = execute("print('x' * 300_000 + 'end')", DONE)
    ((_, text),) = shown(cell)
    assert len(text) < 30_000
    assert "300003 characters; all of them: logs/cell-3-stdout.log" in text
    whole = (folder / "logs" / "cell-3-stdout.log").read_text()
    assert whole == "x" * 300_000 + "end\n"


def test_a_failed_shell_line_fails_the_run(execute) -> None:
    """What `begin` switches on holds headless too: command and code are the cause."""
    switch = "from olrunbook.run.shell_lines import fail_with_shell_lines\n"
    switch += "fail_with_shell_lines(get_ipython())"
    record, _, cells = execute(switch, "!exit 3", "print('never')", DONE)
    assert (record.status, record.exit_code) == ("failed", 1)
    assert "'exit 3' returned non-zero exit status 3" in record.cause
    assert statuses(cells) == ["done", "failed", "not-run", "not-run"]


def test_a_program_may_run_a_notebook_in_a_thread(execute) -> None:
    """Signals are the main thread's; the run ends as it would there."""
    with ThreadPoolExecutor(1) as pool:
        record, _, cells = pool.submit(execute, "print(word)", DONE).result()
    assert record.status == "succeeded", record.cause
    assert shown(cells[0]) == [("stdout", "x\n")]


def test_no_standard_input_is_no_fault(execute, monkeypatch) -> None:
    """Started with it closed, as by a daemon, Python has none: the run is as ever."""
    monkeypatch.setattr(sys, "stdin", None)
    record, _, _ = execute("print(word)", DONE)
    assert record.status == "succeeded", record.cause
