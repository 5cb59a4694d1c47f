"""The gate in a run: what is asked, what lets it through, and what changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from olrunbook.archive.place import RESUMES_VARIABLE, list_runs
from olrunbook.cli import cli
from olrunbook.display.views_checks import board_view
from olrunbook.engine.session import Session, run_notebook
from olrunbook.project.catalog import Project
from olrunbook.record.files import short
from olrunbook.record.journal import Typed, read_journal
from olrunbook.redact import Redactor
from olrunbook.steps.approval.decisions import By, decide
from olrunbook.steps.approval.lineage import asked_of
from olrunbook.steps.board import StageStatus, board
from olrunbook.steps.images.results import ImageBuildResult
from tests.archives import sealed_run
from tests.gates import (
    AMI,
    BEGIN,
    CELLS,
    FAKE,
    IMAGES,
    PARAMETERS,
    Stand,
    write_notebook,
)
from tests.kernels import Desk


@pytest.fixture
def stand(project: Project) -> Stand:
    """Return a project whose CI has a gate, and QA has none."""
    return Stand(project, "gates.CI = {}")


def test_a_stage_without_a_gate_asks_nobody(stand: Stand) -> None:
    """The record says `no gate`, and the update is made."""
    record = stand.run("QA")
    assert (record.status, len(stand.changed)) == ("succeeded", 1)
    (gate,) = record.gates
    assert (gate.gate, gate.status, gate.by) == ("QA", "no gate", "")
    stand.verify()


def test_a_run_waits_at_its_gate(stand: Stand) -> None:
    """Status `waiting`, exit code 3, nothing changed, and what to type is said."""
    record = stand.run()
    assert (record.status, record.exit_code) == ("waiting", 3)
    assert stand.changed == []
    assert record.cause.startswith('"Apply these changes to CI?" 1 to update, server=')
    steps = {step.name: step for step in record.steps}
    assert [s.status for s in record.steps] == ["done", "waiting", "not-run"]
    assert "olrunbook approve" in steps["gate"].hint
    assert ", once, for 7 days." in steps["gate"].hint
    (gate,) = record.gates
    assert gate.digest == steps["preview"].result["digest"]
    stand.verify()


def test_status_does_not_ask_for_an_approval_that_is_there(stand: Stand) -> None:
    """It says what to resume, until that is done; the past had no approval yet."""
    record = stand.run()
    (place,) = list_runs(stand.project.outputs, room="CI")

    def ci(at: datetime | None = None) -> StageStatus:
        (row,) = board(stand.project, app="tika", stage="CI", at=at).rows
        return row

    before = datetime.now(UTC)
    assert (ci().waiting, ci().approved) == ([record.run_id], {})
    asked, by = asked_of(stand.project, place, record), By("ann", "claimed")
    decide(place.folder.parent, asked, by, "fine", approved=True)
    assert ci().approved == {record.run_id: record.run_id}
    assert ci(before).approved == {}
    found = board(stand.project, app="tika", stage="CI")
    assert "1 approved and not resumed" in found.headline()
    notes = [note.text for note in board_view(found).notes]
    assert any(t.endswith(f"resume {short(record.run_id)}") for t in notes)
    assert not any("olrunbook approve" in text for text in notes)
    assert stand.run(resumes=place).status == "succeeded"
    assert ci().waiting == []


def test_where_nothing_would_be_changed_nobody_is_asked(stand: Stand) -> None:
    """The record says `no change` and why; the next change is asked for as ever."""
    stand.size("1")
    record = stand.run()
    assert record.status == "succeeded"
    assert [gate.status for gate in record.gates] == ["no change"]
    (step,) = (step for step in record.steps if step.name == "gate")
    assert step.headline == "not asked: nothing would be changed"
    stand.size("2")
    assert stand.run().status == "waiting"
    stand.verify()


def test_a_shell_opens_no_gate(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a forgotten variable of the caller says about gates is not heard."""
    for name in ("OLRUNBOOK_APPROVE_ALL", "OLRUNBOOK_REASON"):
        monkeypatch.setenv(name, "forgotten")
    assert stand.run().status == "waiting"


def test_a_notebook_opens_no_gate(stand: Stand) -> None:
    """What a cell puts into its environment is nobody's word."""
    name = "'OLRUNBOOK_APPROVE_ALL'"
    write_notebook(stand.path, f"import os; os.environ[{name}] = 'self'", *CELLS)
    assert stand.run("CI").status == "waiting"
    assert stand.changed == []


def test_a_rehearsed_gate_stays_when_the_run_failed_before_it(stand: Stand) -> None:
    """A preview that failed once does not lose the gate: the run that resumes asks."""
    (stand.root / "size").unlink()
    assert stand.run("QA", typed=Typed(gates="QA")).status == "failed"
    stand.size("2")
    again = stand.run("QA", resumes=next(list_runs(stand.project.outputs, room="QA")))
    assert (again.status, stand.changed) == ("waiting", [])


def test_a_shell_does_not_say_what_is_kept(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forgotten OLRUNBOOK_RESUMES brings no result of another run past the gate."""
    assert stand.run(typed=Typed(approve_all="a rehearsal")).status == "succeeded"
    (place,) = list_runs(stand.project.outputs, room="CI")
    monkeypatch.setenv(RESUMES_VARIABLE, str(place.folder))
    assert stand.run().status == "waiting"
    assert len(stand.changed) == 1


def test_all_is_approved_where_that_is_asked_and_nothing_is_protected(
    stand: Stand,
) -> None:
    """The approval is recorded as what it is; for one run only."""
    record = stand.run(typed=Typed(approve_all="a rehearsal"))
    assert (record.status, len(stand.changed)) == ("succeeded", 1)
    (gate,) = record.gates
    assert (gate.status, gate.reason) == ("approved", "a rehearsal")
    assert gate.known.startswith("--approve-all")
    assert [e["kind"] for e in stand.entries()] == ["open", "approved", "used", "close"]
    stand.verify()


def test_a_protected_gate_is_not_opened_for_all(project: Project) -> None:
    """Where a signature is demanded, --approve-all is refused: exit 4."""
    (project.root / "signers").write_text("")
    text = 'signers = "signers"\ngates.CI = { signature = true }'
    record = (stand := Stand(project, text)).run(typed=Typed(approve_all="hurry"))
    assert (record.status, record.exit_code, stand.changed) == ("refused", 4, [])


def test_a_gate_can_be_rehearsed(stand: Stand) -> None:
    """A stage that has none in the catalog gets one for a run."""
    assert stand.run("QA", typed=Typed(gates="QA,Production")).status == "waiting"
    again = stand.run("QA", resumes=next(list_runs(stand.project.outputs, room="QA")))
    assert again.status == "waiting"  # and for those that take it up


@pytest.mark.parametrize(
    "cells",
    [
        ("plan = run.preview()", "run.up(plan)"),
        (
            "plan = run.preview()",
            "await run.gate(plan)",
            "open(root / 'size', 'w').write('3'); plan = run.preview()",
            "run.up(plan)",
        ),
        (
            "plan = run.preview()",
            "await run.gate(plan)",
            "run.up(plan)",
            "run.up(plan)",
        ),
    ],
    ids=["no gate cell", "another preview", "a second time"],
)
def test_cells_out_of_order_change_nothing(
    stand: Stand, cells: tuple[str, ...]
) -> None:
    """`up` itself asks for the approval of exactly its preview, or does nothing."""
    write_notebook(stand.path, *cells)
    record = stand.run(typed=Typed(approve_all="a rehearsal"))
    # Where something was changed before, the run was not refused: it failed.
    changed = cells.count("run.up(plan)") - 1
    wanted = ("failed", 1) if changed else ("refused", 4)
    assert (record.status, record.exit_code) == wanted
    assert "did not pass the gate of CI" in record.cause
    assert len(stand.changed) == changed


FORM = """
from olrunbook.display import ask
async def answer(question):
    assert question.title == "Apply these changes to CI?"
    assert "maxSize" in question.facts and question.consequences
    return ask.Answer({approved}, "looked at it")
ask.ask = answer
run._gate.form = True
"""


def interactive(stand: Stand, *cells: str) -> str:
    """Run cells as a person would; return the last one's status."""
    with Desk(stand.root) as desk:
        assert desk.run(PARAMETERS + f"stage, images = 'CI', {IMAGES!r}") == "ok"
        assert desk.run(FAKE) == "ok"
        assert desk.run(BEGIN) == "ok"
        return [desk.run(cell) for cell in cells][-1]


@pytest.mark.parametrize("approved", [True, False])
def test_a_person_at_the_screen_is_asked(stand: Stand, approved: bool) -> None:  # noqa: FBT001
    """The answer is a decision in the chain; a rejection changes nothing."""
    end = interactive(stand, FORM.format(approved=approved), *CELLS)
    record = stand.last()
    (gate,) = record.gates
    status = "approved" if approved else "rejected"
    assert (gate.status, gate.reason) == (status, "looked at it")
    assert gate.known.startswith("form in the notebook")
    assert end == ("ok" if approved else "error")
    assert len(stand.changed) == approved
    kinds = [entry["kind"] for entry in stand.entries()]
    assert kinds == ["open", status, *["used"] * approved, "close"]
    stand.verify()


def test_without_a_form_a_person_types_it_and_runs_the_cell_again(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stays open: approved on the command line, its gate lets it through."""
    monkeypatch.chdir(stand.root)
    with Desk(stand.root) as desk:
        for cell in (PARAMETERS + f"stage, images = 'CI', {IMAGES!r}", FAKE, BEGIN):
            assert desk.run(cell) == "ok"
        assert [desk.run(cell) for cell in CELLS[:3]] == ["ok", "error", "error"]
        (place,) = list_runs(stand.project.outputs)
        words = ["approve", place.run_id, "--reason", "fine"]
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        assert done.return_value == 0, done.output
        assert [desk.run(cell) for cell in CELLS[1:]] == ["ok"] * 3
    record = stand.last()
    assert (record.status, stand.changed) == ("succeeded", [record.run_id])
    entries = read_journal(place.folder)
    hints = [entry.get("hint", "") for entry in entries if entry["kind"] == "step"]
    assert any("then run this cell again." in hint for hint in hints)
    stand.verify()


def test_a_run_that_is_taken_up_keeps_the_set_it_has_shown(
    stand: Stand, redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was built while it waited for its approval does not come into it."""
    monkeypatch.chdir(stand.root)

    def build(images: dict[str, str]) -> None:
        step = {"name": "build", "status": "done", "result": {"ok": True}}
        step |= {"result_schema": ImageBuildResult.schema_name}
        given: dict[str, Any] = {"begin": {"images": images}, "steps": [step]}
        sealed_run(stand.project, redactor, "image_build", **given)

    begin = BEGIN.replace("images or None", "images")
    write_notebook(stand.path, *CELLS, head=(FAKE, begin))
    build({"server": AMI})
    waits = run_notebook(Session(stand.project, stand.path, {"stage": "CI"}))
    assert (waits.status, waits.images) == ("waiting", {"server": AMI})
    build({"server": "ami-0b17000000000000b"})
    words = ["approve", waits.run_id, "--reason", "fine", "--resume"]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.return_value == 0, done.output
    record = stand.last()
    assert (record.status, record.images) == ("succeeded", {"server": AMI})
    assert record.gates[-1].digest == waits.gates[-1].digest


BACK = """
from olrunbook.record.model import RollbackRecord
from olrunbook.steps import way_back

def back(ctx):
    (root / "asked").open("a").write("x")
    record = RollbackRecord(left={"server": "ami-1"}, run_id="r", lines=["A rollback."])
    return way_back.WayBack({"server": "%s"}, record)

way_back.way_back = back
"""


def test_a_rollback_asks_for_fewer_people_and_keeps_its_set(project: Project) -> None:
    """Where two must sign a deploy, one signs a rollback; resumed, it is the same."""
    (project.root / "signers").write_text("")
    text = 'signers = "signers"\ngates.CI = { people = 2, signature = true }'
    stand = Stand(project, text)
    notebook = json.loads(stand.path.read_text())
    notebook["cells"][2]["source"] = BACK % AMI + BEGIN
    stand.path.write_text(json.dumps(notebook))
    deploy = stand.run()
    assert (deploy.gates[-1].people, deploy.rollback) == (2, None)
    values = {"stage": "CI", "images": "last-good"}
    record = run_notebook(Session(stand.project, stand.path, values))
    assert record.status == "waiting", record.cause
    gate = record.gates[-1]
    assert (gate.people, gate.signature) == (1, True)
    assert gate.shown.startswith("rollback: ")
    assert record.rollback is not None
    assert record.rollback.left == {"server": "ami-1"}
    place = next(list_runs(stand.project.outputs, room="CI"))
    assert asked_of(stand.project, place, record).spec.people == 1
    again = run_notebook(Session(stand.project, stand.path, values, resumes=place))
    assert (again.status, again.images) == ("waiting", {"server": AMI})
    assert again.rollback == record.rollback
    assert again.gates[-1].digest == gate.digest
    assert (stand.root / "asked").read_text() == "x"
