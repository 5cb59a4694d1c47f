"""Each step of a run: in the journal, on the screen, told to the engine."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from olrunbook.archive.place import RESUMES_VARIABLE, place_of, read_record
from olrunbook.errors import OlrunbookError, StepError
from olrunbook.events import Event
from olrunbook.record.journal import Journal

if TYPE_CHECKING:
    from olrunbook.display import Shown
    from olrunbook.display.live import Live
    from olrunbook.steps.results import Result, Step

NEWS = ("progress", "phase", "operation", "resource", "artifact", "warning")
GOOD = ("done", "kept")  # how a step ended well
CAUSE_LENGTH = 500
OFTEN_S = 0.2  # operations come in bursts; nobody reads more than five a second


def status_of(error: BaseException) -> str:
    """Return how something ended that raised an error."""
    if isinstance(error, OlrunbookError):
        return error.status
    stopped = isinstance(error, (KeyboardInterrupt, asyncio.CancelledError))
    return "interrupted" if stopped else "failed"


class KeptSteps:
    """Steps of the run that is taken up, by its directory (or none): they stay done."""

    def __init__(self, folder: str) -> None:
        place = place_of(Path(folder)) if folder else None
        record = read_record(place) if place else None
        self.run_id = record.run_id if record else ""
        steps = record.steps if record else []
        self._steps = {s.name: s for s in steps if s.status in ("done", "kept")}

    def result(self, step: Step) -> Result | None:
        """Return the stored result of a step, or None where it has to run.

        StepError where it is stored in a form that this version does not know.
        """
        before = self._steps.get(step.name) if step.kept else None
        if before is None or before.result_schema != step.result.schema_name:
            return None
        try:
            return step.result.model_validate(before.result)
        except ValueError as error:
            msg = f"the stored result of {step.name} cannot be read: {error}"
            raise StepError(msg, "Run the notebook again, without resume.") from None


class Recorder:
    """Writes down, shows and tells what the steps of one run do.

    Headless an engine runs us; it is told by the pipe OLRUNBOOK_TELL_FD.
    """

    def __init__(self, journal: Journal, *, headless: bool) -> None:
        self.headline = ""  # of the last step
        self.journal = journal
        self.finishing: list[str] = []
        self._outcomes: dict[str, str] = {}
        self._changed = False  # by a step of this run
        resumes = os.environ.pop(RESUMES_VARIABLE, "") if headless else ""
        self._kept = KeptSteps(resumes)
        self._live: Live | None = None
        self._told = 0.0
        descriptor = os.environ.get("OLRUNBOOK_TELL_FD", "")
        self._pipe: TextIO | None = None
        if headless and descriptor:
            self._pipe = os.fdopen(int(descriptor), "w")
        self.tell(step="")  # the notebook is one of ours: the limits of steps hold

    def step(self, step: Step, work: Callable[[], Result]) -> Shown:
        """Run one step by `work` and return its result, which shows itself.

        What the step raises is in the journal, and goes on.
        """
        from olrunbook.display import note, show  # noqa: PLC0415

        name = step.name
        self.tell(progress=name)
        recorded = self._recorded(name, changes=step.changes)
        with recorded as outcome, self._watched(name):
            kept = self._kept.result(step)
            result = work() if kept is None else kept
            view = self._shown(result, outcome)
            if kept is not None:
                outcome["status"] = "kept"
                outcome["cause"] = f"done in run {self._kept.run_id}, not run again"
                note(f"{name} was {outcome['cause']}")
                return view
            if step.require:
                try:
                    step.require(result)
                except OlrunbookError:
                    show(view)  # the table is the explanation
                    raise
        return view

    async def ask(self, step: Step, work: Callable[[], Awaitable[Result]]) -> Shown:
        """Run a step that waits for a person; nothing else in the kernel is held up.

        It is never kept.
        What the step raises is in the journal, and goes on.
        """
        self.tell(progress=step.name)
        with self._recorded(step.name) as outcome:
            return self._shown(await work(), outcome)

    def keeps(self, step: Step) -> bool:
        """Whether a step was done in the run that this one takes up."""
        return self._kept.result(step) is not None

    def _shown(self, result: Result, outcome: dict[str, Any]) -> Shown:
        """Note a step's result; return it so that it shows itself."""
        from olrunbook.display import Shown  # noqa: PLC0415

        outcome["headline"] = self.headline = result.headline()
        outcome["result"] = result.model_dump(mode="json")
        outcome["result_schema"] = result.schema_name
        return Shown(result)

    def require_done(self) -> None:
        """Raise StepError where a step's last try did not end well."""
        ends = self._outcomes.items()
        if bad := [f"{name} {how}" for name, how in ends if how not in GOOD]:
            msg = f"not everything succeeded: {'; '.join(bad)}"
            raise StepError(msg)

    def emit(self, event: Event) -> None:
        """Show an event of the step that runs, and tell the engine the news."""
        if self._live:
            self._live.add(event)
        if event.kind in NEWS:
            clock = time.monotonic()
            if event.kind != "operation" or clock - self._told > OFTEN_S:
                self._told = clock
                self.tell(progress=event.text)

    def tell(self, **said: str | bool) -> None:
        """Tell the engine something beside the outputs, by pipe."""
        if self._pipe:
            try:
                self._pipe.write(json.dumps(said) + "\n")
                self._pipe.flush()
            except OSError:
                self._pipe = None

    @contextmanager
    def _recorded(
        self, name: str, *, changes: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Write a step's beginning and end to the journal, however it ends."""
        self.journal.add("step", name=name, event="started")
        self.tell(step=name, changes=changes)
        began = time.monotonic()
        outcome: dict[str, Any] = {"status": "done"}
        try:
            yield outcome
        except BaseException as error:
            outcome["status"] = status_of(error)
            if outcome["status"] == "refused" and self._changed:
                outcome["status"] = "failed"  # refused means that nothing was changed
            text = str(error) or type(error).__name__
            outcome["cause"] = text.splitlines()[0][:CAUSE_LENGTH]
            outcome["hint"] = getattr(error, "hint", "")
            outcome["finishing"] = list(getattr(error, "finishing", ()))
            self.finishing += outcome["finishing"]
            raise
        finally:
            done = outcome["status"] in ("done", "failed", "interrupted")
            self._changed |= changes and done
            self.tell(step="", changed=changes and done)
            self._outcomes[name] = outcome["status"]
            took = round(time.monotonic() - began, 3)
            self.journal.add("step", name=name, event="ended", seconds=took, **outcome)

    @contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        """Show a step's events as they happen."""
        from olrunbook.display.live import Live  # noqa: PLC0415

        self._live = live = Live(name)
        try:
            yield
        finally:
            live.close()
            self._live = None
