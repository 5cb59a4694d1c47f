"""One question to a person at the screen: shown, awaited, answered by a click.

The cell awaits and must not block: a kernel hears a click only while its loop turns.
The question stays as it was shown. The form below it gives way to the answer as text.
"""

from __future__ import annotations

import asyncio
import atexit
from dataclasses import dataclass
from typing import Any

from olrunbook.display.front import Output, Seen, show
from olrunbook.display.render import bundle, html, text
from olrunbook.display.view import Note, View, plain

TURN_S = 0.1
OPEN = View("no answer was recorded", tone="warn", word="not decided")
STOPPED = View("interrupted before an answer", tone="warn", word="not decided")
HINT = View("", notes=[Note("▲ Nothing is decided yet: give a reason.", tone="warn")])


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    title: str
    facts: str  # what is to be decided on, as HTML: escaped, masked
    consequences: list[str]  # what follows from a yes, a line each


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person decided, and why."""

    approved: bool
    reason: str


async def ask(question: Question) -> Answer:
    """Show a question and wait until somebody approves or rejects, with a reason.

    Only where a front end listens: without one nobody ever answers.

    Raises:
        CancelledError: The kernel was interrupted; nothing was decided.

    """
    notes = plain(question.consequences)
    show(Seen(View(question.title, html=question.facts, notes=notes)))
    output, form = Output(), _Form(question.title)
    output.put({**form.shown, "text/plain": text(OPEN)})
    atexit.register(form.close)  # a restarted kernel leaves no form in its record
    end = STOPPED
    try:
        answer = await form.answer()
        end = _answered(answer)
        return answer
    finally:
        output.put(bundle(end))
        form.close()
        atexit.unregister(form.close)


def _answered(answer: Answer) -> View:
    """Return an answer as it stays in the record."""
    notes = [Note(f"Reason: {answer.reason}")]
    if answer.approved:
        return View("", tone="ok", word="approved", notes=notes)
    return View("", tone="bad", word="rejected", notes=notes)


class _Form:
    """A field for the reason and two buttons, which read out the question."""

    def __init__(self, title: str) -> None:
        import ipywidgets as w  # noqa: PLC0415  (heavy)
        from IPython import get_ipython  # noqa: PLC0415  (heavy)

        self._approved: bool | None = None  # by the first click
        self._kernel: Any = get_ipython().kernel
        self._cell = self._kernel.get_parent("shell")
        # The whole text comes when the field is left: before the click, never after it.
        self._reason = w.Text(
            description="Reason",
            placeholder="why: it stands in the record",
            continuous_update=False,
            layout={"width": "40em", "max_width": "100%"},
            style={"description_width": "initial"},
        )
        self._reason.observe(lambda _: self._heard(), "value")
        self._hint = w.HTML()
        self._yes, self._no = (
            w.Button(description=word, tooltip=f"{word}: {title}", icon=icon)
            for word, icon in (("Approve", "check"), ("Reject", "times"))
        )
        self._yes.on_click(lambda _: self._clicked(approved=True))
        self._no.on_click(lambda _: self._clicked(approved=False))
        buttons = w.HBox([self._yes, self._no])
        # Below the buttons, so that none moves under the hand that clicks.
        self._form = w.VBox([self._reason, buttons, self._hint])
        self._all = [*self._form.children, *buttons.children, self._form]

    @property
    def shown(self) -> dict[str, Any]:
        """The form as Jupyter wants it."""
        return dict(self._form._repr_mimebundle_())

    async def answer(self) -> Answer:
        """Wait for a click when a reason stands in the field."""
        while True:
            while self._approved is None:  # noqa: ASYNC110  (an interrupt wakes no event)
                await asyncio.sleep(TURN_S)
            self._yes.disabled = self._no.disabled = True
            # JupyterLab may hand the text to another thread than the click.
            await asyncio.sleep(TURN_S)
            if reason := self._reason.value.strip():
                return Answer(self._approved, reason)
            self._hint.value = f'<div role="alert">{html(HINT)}</div>'
            self._approved = None
            self._yes.disabled = self._no.disabled = False
            self._reason.focus()

    def close(self) -> None:
        """Take the form, its layouts and styles out of front end and record."""
        for widget in self._all:
            for part in (getattr(widget, "style", None), widget.layout, widget):
                if part is not None:
                    part.close()

    def _clicked(self, *, approved: bool) -> None:
        if self._approved is None:
            self._approved = approved

    def _heard(self) -> None:
        """Tell the front end that its text has arrived.

        While a cell awaits, ipykernel does not; and ipywidgets keeps the next text back
        until it is told.
        """
        kernel = self._kernel
        for state, parent in (
            ("idle", kernel.get_parent("shell")),
            ("busy", self._cell),  # … which is still true of the kernel as a whole
        ):
            kernel.session.send(
                kernel.iopub_socket,
                "status",
                {"execution_state": state},
                parent=parent,
                ident=f"kernel.{kernel.ident}.status".encode(),
            )
