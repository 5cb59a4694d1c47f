"""A question in a real kernel, answered by the messages a front end sends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from olrunbook.archive.place import RunPlace
from olrunbook.project.catalog import Project
from tests.kernels import (
    BEGIN,
    Desk,
    cells_of,
    journal_text,
    only,
    ours,
)

WAIT_S = 90
WIDGET = "application/vnd.jupyter.widget-view+json"
ASK = """
from olrunbook.display.ask import Question, ask
facts = "<table><tr><td>Group</td><td>tags &lt;b&gt;</td></tr></table>"
lines = ["One of two instances serves for 4 minutes.", "A refresh is cancelled."]
print("before")
answer = await ask(Question("Apply to Production?", facts, lines))
print("after", answer)
"""


class Form:
    """The form as a front end holds it.

    Args:
        desk: Its kernel.

    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.heard: list[dict[str, Any]] = []
        self.sent = desk.send(ASK)
        self.hear(lambda m: WIDGET in m["content"].get("data", {}))
        opened = [m["content"] for m in self.heard if m["msg_type"] == "comm_open"]
        self.models = {c["comm_id"]: c["data"]["state"] for c in opened}

    def hear(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Return the first message from now on that is wanted."""
        end = time.monotonic() + WAIT_S
        while True:
            message = self.desk.client.get_iopub_msg(timeout=end - time.monotonic())
            self.heard.append(message)
            if wanted(message):
                return message

    def model(self, description: str) -> str:
        """Return the model of a description."""
        named = [m for m, at in self.models.items() if at.get("description")]
        return next(m for m in named if self.models[m]["description"] == description)

    def send(self, description: str, data: dict[str, Any]) -> str:
        """Send to a model what its view would; return the id of the message."""
        content = {"comm_id": self.model(description), "data": data}
        message = self.desk.client.session.msg("comm_msg", content)
        self.desk.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def click(self, button: str) -> None:
        """Click a button."""
        self.send(button, {"method": "custom", "content": {"event": "click"}})

    def type(self, reason: str) -> None:
        """Leave the field with a text; wait until the kernel says that it has it."""
        state = {"method": "update", "state": {"value": reason}, "buffer_paths": []}
        sent = self.send("Reason", state)
        idle = {"execution_state": "idle"}
        self.hear(
            lambda m: m["parent_header"].get("msg_id") == sent and m["content"] == idle
        )

    def hint(self) -> str:
        """Wait for the hint and return it."""
        html = next(
            m for m, at in self.models.items() if at["_model_name"] == "HTMLModel"
        )
        said = self.hear(
            lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == html
        )
        return str(said["content"]["data"]["state"]["value"])


@pytest.fixture
def desk(one_desk: Desk) -> Desk:
    """Return that kernel with a run by hand that has just begun."""
    assert one_desk.run(BEGIN) == "ok"
    return one_desk


def asked(place: RunPlace) -> dict[str, Any]:
    """Return the recorded cell that asks."""
    return next(cell for cell in cells_of(place) if "await ask" in cell["source"])


def texts(cell: dict[str, Any]) -> list[str]:
    """Return the outputs of a cell as text."""
    return [
        out.get("text") or out.get("ename") or out["data"]["text/plain"]
        for out in cell["outputs"]
    ]


def no_form(place: RunPlace) -> bool:
    """Whether neither notebook nor page nor journal holds anything of a form."""
    notebook = json.loads((place.folder / "notebook.ipynb").read_text())
    kept = "widgets" in notebook["metadata"] or "Approve" in journal_text(place)
    page = (place.folder / "notebook.html").read_text()
    return not kept and "widget, as text" not in page


@pytest.mark.parametrize(
    ("button", "word"), [("Approve", "✓ approved"), ("Reject", "✗ rejected")]
)
def test_the_cell_goes_on_after_the_click(desk: Desk, button: str, word: str) -> None:
    """Question, decision and reason are text in the record, in order; no form is."""
    form = Form(desk)
    form.type("  ticket 7 <i>  ")
    form.click(button)
    assert desk.wait(form.sent) == "ok"
    assert desk.run("run.conclude()") == "ok"
    place = desk.places()[-1]
    before, question, decision, after = texts(asked(place))
    assert (before, after) == (
        "before\n",
        f"after Answer(approved={button == 'Approve'}, reason='ticket 7 <i>')\n",
    )
    assert question.split("\n\n") == [
        "Apply to Production?",
        "Group  tags <b>",
        "One of two instances serves for 4 minutes.",
        "A refresh is cancelled.",
    ]
    assert [line.strip() for line in decision.splitlines() if line] == [
        word,
        "Reason: ticket 7 <i>",
    ]
    assert "ticket 7 &lt;i&gt;" in (place.folder / "notebook.html").read_text()
    assert all(WIDGET not in out.get("data", {}) for out in asked(place)["outputs"])
    assert no_form(place)


def test_nothing_is_decided_without_a_reason(desk: Desk) -> None:
    """A hint says what is missing; the reason that stands there at last counts."""
    form = Form(desk)
    form.click("Approve")
    assert "give a reason" in form.hint()
    form.type("   ")
    form.click("Reject")
    form.type("first")
    form.type("second")
    form.click("Reject")
    assert desk.wait(form.sent) == "ok"
    assert (
        desk.run("assert (answer.approved, answer.reason) == (False, 'second')") == "ok"
    )
    assert desk.run("run.conclude()") == "ok"


def test_the_first_click_decides(desk: Desk) -> None:
    """What is clicked after it does nothing, at once or when the cell has ended."""
    form = Form(desk)
    form.type("once")
    form.click("Reject")
    form.click("Approve")
    form.click("Reject")
    assert desk.wait(form.sent) == "ok"
    form.click("Approve")
    assert desk.run("assert answer.approved is False; print('next')") == "ok"
    assert desk.run("run.conclude()") == "ok"
    assert sum("rejected" in text for text in texts(asked(desk.places()[-1]))) == 1


def test_an_interrupt_decides_nothing(desk: Desk) -> None:
    """Text says so, the form closes, the cell is interrupted; one can ask again."""
    form = Form(desk)
    form.type("half a thought")
    desk.manager.interrupt_kernel()
    desk.wait(form.sent)
    again = Form(desk)
    again.type("now")
    again.click("Approve")
    assert desk.wait(again.sent) == "ok"
    assert desk.run("run.conclude()") == "ok"
    place = desk.places()[-1]
    cell = asked(place)
    assert ours(cell)["status"] == "interrupted"
    _, _, decision, error = texts(cell)
    assert decision.startswith("▲ not decided")
    assert "half a thought" not in decision
    assert error == "CancelledError"
    assert no_form(place)


def test_a_kernel_that_is_shut_down_leaves_no_form(project: Project) -> None:
    """The record says that nobody answered, and keeps nothing to click on."""
    with Desk(project.root) as desk:
        assert desk.run(BEGIN) == "ok"
        form = Form(desk)
        desk.shut_down()
    place = only(desk)
    assert form.models
    assert texts(asked(place))[2].startswith("▲ not decided")
    notebook = json.loads((place.folder / "notebook.ipynb").read_text())
    assert "widgets" not in notebook["metadata"]
