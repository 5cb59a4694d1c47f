"""Any notebook is welcome, and a team's own runbook is as good as ours."""

from __future__ import annotations

import json

import pytest

from olrunbook.archive.place import list_runs, read_record
from olrunbook.cli import main
from olrunbook.engine.session import Session, run_notebook
from olrunbook.errors import UsageError
from olrunbook.project.catalog import find_project
from olrunbook.steps.lock import one_at_a_time
from tests.kernels import BEGIN, Desk, cells_of, only, record_of


def test_a_foreign_notebook_runs_by_its_path(project, make_notebook, capfd) -> None:
    """No `begin`: it succeeded when it came to its end; any parameter is taken."""
    path = make_notebook("print(a, b)", name="any")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "-p", "a", "5", "-p", "b", "text"])
    said = capfd.readouterr()
    assert ended.value.code == 0, said
    (place,) = list_runs(project.outputs)
    assert place.folder.parent == project.outputs / "none" / "none" / "any"
    record = read_record(place)
    assert record is not None
    assert (record.status, record.parameters) == ("succeeded", {"a": 5, "b": "text"})
    assert record.warnings == [
        "parameter a is not in the parameters cell",
        "parameter b is not in the parameters cell",
    ]
    shown = json.loads((place.folder / "notebook.ipynb").read_text())
    assert "5 text\n" in json.dumps(shown["cells"]).replace("\\n", "\n")


def test_a_notebook_in_another_language_is_refused(project, make_notebook) -> None:
    """Before anything was written."""
    path = make_notebook("print(1)")
    body = json.loads(path.read_text())
    body["metadata"]["kernelspec"] |= {"name": "ir", "language": "R"}
    path.write_text(json.dumps(body))
    with pytest.raises(UsageError, match="notebook in R"):
        Session(project, path, {})
    assert not project.outputs.exists()


OWN = """import olrunbook
run = olrunbook.begin("own", app="tika")"""


def test_a_team_s_own_runbook_needs_no_cloud_and_no_parameters(
    project, make_notebook
) -> None:
    """It is filed where `begin` names, its steps are as good as ours."""
    path = make_notebook(
        OWN,
        "got = run.step('count files', lambda: {'files': 3})\ngot",
        "run.step('look', lambda: None)",
        "run.conclude(got)",
        name="our_check",
    )
    said: list[str] = []
    record = run_notebook(Session(project, path, {}, on_progress=said.append))
    assert said == ["count files", "look"]  # the result is said at the end, once
    assert record.status == "succeeded", record.cause
    (place,) = list_runs(project.outputs)
    assert place.folder.parent == project.outputs / "rehearsal" / "tika" / "our_check"
    assert [(step.name, step.status) for step in record.steps] == [
        ("count files", "done"),
        ("look", "done"),
    ]
    assert record.steps[0].result == {"value": {"files": 3}}
    assert record.headline == "{'files': 3}"


def test_a_step_of_one_s_own_that_raises_fails_the_run(project, make_notebook) -> None:
    """The step is named in the record, and so is what did not run."""
    path = make_notebook(
        OWN,
        "run.step('mend', lambda: 1 / 0)",
        "run.step('look', int)",
        "run.conclude()",
    )
    record = run_notebook(Session(project, path, {}))
    assert record.status == "failed"
    steps = [(step.name, step.status) for step in record.steps]
    assert steps == [("mend", "failed"), ("look", "not-run")]


@pytest.mark.parametrize("changes", [True, False])
def test_a_wrong_call_in_a_step_of_one_s_own_fails(
    project, make_notebook, changes
) -> None:
    """It had begun, so exit code 2 would be wrong; a refusal stays one."""
    path = make_notebook(
        OWN,
        "from olrunbook.errors import RefusedError, UsageError",
        "def work():\n    raise UsageError('no such size', 'Give another.')",
        f"run.step('mend', work, changes={changes})",
    )
    record = run_notebook(Session(project, path, {}))
    assert (record.status, record.exit_code) == ("failed", 1)
    step = record.steps[0]
    told = (step.status, step.cause, step.hint)
    assert told == ("failed", "no such size", "Give another.")
    path.write_text(path.read_text().replace("raise UsageError", "raise RefusedError"))
    record = run_notebook(Session(project, path, {}))
    assert (record.status, record.exit_code) == ("refused", 4)


@pytest.mark.parametrize(
    ("changes", "ending"), [(True, ("failed", 1)), (False, ("refused", 4))]
)
def test_a_wrong_call_after_a_change_is_not_told_as_nothing_ran(
    project, make_notebook, changes, ending
) -> None:
    """It failed; before any change it is refused. Exit code 2 is for what never ran."""
    path = make_notebook(
        OWN, f"run.step('mend', int, changes={changes})", "run.step('a/b', int)"
    )
    record = run_notebook(Session(project, path, {}))
    assert (record.status, record.exit_code) == ending
    assert record.cause == "'a/b' cannot be the name of a step"


def test_a_second_begin_is_refused_where_a_notebook_runs_headless(
    project, make_notebook
) -> None:
    """It would make a run that nobody ends; also where the cell may fail."""
    path = make_notebook(OWN, OWN, OWN, tags={1: "raises-exception"})
    record = run_notebook(Session(project, path, {}))
    assert (record.status, record.exit_code) == ("refused", 4)
    assert record.cause.startswith("begin was called again")
    assert len(list(list_runs(project.outputs))) == 1


def test_a_run_concludes_with_a_plain_value(project, make_notebook) -> None:
    """It is taken as the value of a step is."""
    path = make_notebook(OWN, "run.conclude({'files': 3})")
    record = run_notebook(Session(project, path, {}))
    assert (record.status, record.headline) == ("succeeded", "{'files': 3}")


def test_a_run_is_not_filed_where_another_belongs(project, make_notebook) -> None:
    """What `begin` is given at run time must be what the record's folder says."""
    path = make_notebook(
        "import olrunbook; run = olrunbook.begin('x', **{'app': 'tika'})"
    )
    record = run_notebook(Session(project, path, {}))
    assert (record.status, record.exit_code) == ("refused", 4)
    assert "filed under" in record.cause


def test_what_needs_a_cloud_says_so_itself(project) -> None:
    """`begin` opens the run; the step that needs the target is refused, by hand too."""
    with Desk(project.root) as desk:
        assert desk.run(BEGIN) == "ok"
        assert desk.run("run.step('x', lambda: run._context.target)") == "error"
        assert desk.run("run.preflight('nonsense')") == "error"
    record = record_of(only(desk))
    assert (record.steps[0].name, record.steps[0].status) == ("x", "refused")
    errors = [
        out["evalue"]
        for cell in cells_of(only(desk))
        for out in cell["outputs"]
        if out["output_type"] == "error"
    ]
    assert "the rehearsal is not up" in errors[0]
    assert "there are no checks for 'nonsense'" in errors[1]


def test_one_change_of_an_app_is_made_at_a_time(project) -> None:
    """By hand, too: a step that changes is refused while another is at work."""
    with Desk(project.root) as desk:
        desk.run(BEGIN)
        with one_at_a_time(project.root, "tika", "somebody"):
            assert desk.run("run.step('mend', int, changes=True)") == "error"
            assert desk.run("run.step('look', int)") == "ok"
        assert desk.run("run.step('mend', int, changes=True)") == "ok"
        desk.run("run.conclude()")
    record = record_of(only(desk))
    assert [(s.name, s.status) for s in record.steps] == [
        ("mend", "done"),
        ("look", "done"),
    ]


def test_a_stage_cannot_be_called_like_a_notebook(project) -> None:
    """Their runs would be filed together: refused when the catalog is loaded."""
    text = project.catalog_file.read_text().replace('"QA"', '"deploy"')
    project.catalog_file.write_text(text)
    with pytest.raises(UsageError, match="a stage cannot be called deploy"):
        find_project()
