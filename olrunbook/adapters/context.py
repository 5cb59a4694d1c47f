"""What every step and adapter is given of a run: values, callables, no globals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from olrunbook.adapters.toolcall import ToolCall, tool_call
from olrunbook.errors import RefusedError
from olrunbook.events import Event
from olrunbook.project.catalog import App, Project
from olrunbook.project.tools import ToolName
from olrunbook.redact import Redactor
from olrunbook.targets import Target, not_up, onto


class Commit(NamedTuple):
    """The state of the checkout: full hash, and the files that differ from it."""

    sha: str
    dirty: tuple[str, ...] = ()

    def difference(self, most: int) -> str:
        """Return which files differ, `most` of them by name; `clean`: none."""
        if not self.dirty:
            return "clean"
        more = len(self.dirty) - most
        named = ", ".join(self.dirty[:most])
        return f"differs in {named}{f' and {more} more' if more > 0 else ''}"


@dataclass(frozen=True, slots=True)
class Context:
    """One run's surroundings, handed to each of its steps."""

    project: Project  # catalog and paths
    # Where the tools work; None for what needs no cloud. Use `target`.
    place: Target | None
    app_name: str  # name of the app in the catalog
    app: App
    stage: str  # the stage; empty for image notebooks
    run_id: str
    commit: Commit  # the checkout's state
    logs: Path  # folder for the tools' logs; a step names its file after itself
    work: Path  # private scratch folder, removed when the run ends
    redactor: Redactor  # the run's secrets
    # where a step sends its tools' events as they happen
    emit: Callable[[Event], None] = field(default=lambda event: None)
    sleep: Callable[[float], None] = time.sleep  # waits a number of seconds
    # returns the present in UTC
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @property
    def stand_ins(self) -> list[str]:
        """What is not the real thing, in the target and in the app."""
        return [*(self.place.stand_ins if self.place else []), *self.app.stand_ins]

    @property
    def which(self) -> str:
        """Its app and stage, as they are typed after `olrunbook run NOTEBOOK`."""
        return f"-p app {self.app_name} -p stage {self.stage}{self.onto}"

    @property
    def onto(self) -> str:
        """The target, as it is typed behind a command; a rehearsal need not be."""
        return onto(self.place.name if self.place else "")

    @property
    def target(self) -> Target:
        """The target; RefusedError where the run has none."""
        if self.place is None:
            msg = not_up(self.project.catalog)
            raise RefusedError(msg, "Start it: olrunbook rehearsal up")
        return self.place

    def tool(self, name: ToolName, env: Mapping[str, str] | None = None) -> ToolCall:
        """Return how a tool is called, on top of `env`; None: the target's.

        Raises:
            RefusedError: The run has no target.
            UsageError: The shell lacks a variable that the catalog names.

        """
        env = self.target.environment() if env is None else env
        spec = self.app.tools.over(self.project.catalog.tools).of(name)
        home = self.work / f"home-{name}"
        return tool_call(self.project, spec, env, home, self.redactor)

    def environment(self, name: ToolName) -> dict[str, str]:
        """Return the environment of a tool in the target; raises what `tool` does."""
        return self.tool(name).env
