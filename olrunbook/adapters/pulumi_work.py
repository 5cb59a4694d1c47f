"""What the Pulumi worker does: prepare a stack, preview it, update it, look at it."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi.automation as auto

from olrunbook.adapters import pulumi_changes as changes
from olrunbook.adapters.pulumi_cli import SafeCommand, StoppedError
from olrunbook.adapters.pulumi_program import Captured, stack_program
from olrunbook.adapters.pulumi_state import StateLook, look
from olrunbook.adapters.sealed import seal
from olrunbook.redact import Redactor

if TYPE_CHECKING:
    from olrunbook.adapters.pulumi_worker import Channel

__all__ = ["Work"]

STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:"
SKIPPED_OPS = {"refresh"}
TRACEBACK = "Traceback (most recent call last)"
COLOURS = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")


class QuickStack(auto.Stack):
    """A stack whose `up` is one call of the CLI: outputs come from its events."""

    seen_outputs: auto.OutputMap = {}

    def outputs(self) -> auto.OutputMap:
        """Return what the event of the root resource said."""
        return self.seen_outputs

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:  # noqa: ARG002, FBT
        """Return a summary with nothing in it: counts come from the summary event."""
        now = datetime.datetime.now(datetime.UTC)
        return auto.UpdateSummary("update", now, "", {}, {}, result="succeeded")


class Work:
    """One request.

    Args:
        request: What is asked; see `olrunbook.adapters.pulumi`.
        command: The CLI.
        channel: Where events go.
        redactor: Masks values that must be told apart but not shown.

    """

    def __init__(
        self,
        request: dict[str, Any],
        command: SafeCommand,
        channel: Channel,
        redactor: Redactor,
    ) -> None:
        self.request, self.command = request, command
        self.channel, self.redactor = channel, redactor
        self.folder = Path(request["folder"])
        self.captured: Captured = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, int] = {}
        self.outputs: dict[str, str] = {}
        self.errors: list[str] = []
        self.started: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """Return `{"result": …}` or `{"error": …}` with what was found afterwards."""
        operation: Callable[[], dict[str, Any]] = getattr(self, self.request["op"])
        try:
            return {"result": operation()}
        except StoppedError:
            return self._error("stopped", "stopped before Pulumi was started")
        except auto.ConcurrentUpdateError as error:
            return self._error("locked", _last_error(str(error)))
        except auto.InlineSourceRuntimeError as error:
            return self._error("program", _last_error(str(error)))
        except auto.CommandError as error:
            if self.command.asked:
                return self._error("stopped", "stopped as asked")
            text = str(error)
            kind = "plan" if "violates plan" in text else "failed"
            return self._error(kind, _last_error(text))

    # -- the operations -------------------------------------------------------------

    def preview(self) -> dict[str, Any]:
        """Show what an update would do; the stack is made where there is none."""
        stack = self._open()
        self._learn_config()
        state = self._look()
        if state["pending"] or state["locks"]:
            return {"state": state, "refused": True}
        self.channel.event("phase", "previewing")
        plan = self.request.get("plan")
        stack.preview(
            refresh=True,
            plan=plan,
            on_event=self._on_event,
            on_output=_to_log,
            color="never",
        )
        if plan:
            Path(plan).chmod(0o600)
        self._hand_on_secrets()
        return {"state": state, **self._found()}

    def up(self) -> dict[str, Any]:
        """Apply what was previewed, if the state is still the one that was seen."""
        stack = self._open()
        before = self._look()
        if before["pending"] or before["locks"]:
            return {"state": before, "refused": True}
        if before["digest"] != self.request["expect_state"]:
            return {"state": before, "changed": True}
        self.channel.event("phase", "updating")
        stack.up(
            refresh=True,
            plan=self.request.get("plan"),
            message=self.request.get("message"),
            on_event=self._on_event,
            on_output=_to_log,
            color="never",
        )
        self._hand_on_secrets()
        return {"state": self._look(), **self._found()}

    def look(self) -> dict[str, Any]:
        """Say what the backend holds; nothing is made."""
        try:
            return {"state": self._look()}
        except auto.CommandError as error:
            if "no stack named" in str(error):
                return {"state": None}
            raise

    def destroy(self) -> dict[str, Any]:
        """Remove everything the stack made."""
        stack = self._open()
        stack.destroy(on_event=self._on_event, on_output=_to_log, color="never")
        return {"state": self._look(), **self._found()}

    # -- parts ----------------------------------------------------------------------

    def _open(self) -> QuickStack:
        workspace = auto.LocalWorkspace(
            work_dir=str(self.folder),
            program=stack_program(self.folder, self.captured),
            pulumi_command=self.command,
            secrets_provider=self.request["secrets_provider"],
        )
        name = self.request["stack"]
        self.channel.event("phase", f"opening stack {name}")
        stack = QuickStack.create_or_select(name, workspace)
        for key, value in (self.request.get("new_secrets") or {}).items():
            # by standard input: the arguments of a process can be read by everybody
            self.command.call(
                ["config", "set", "--secret", key, "--stack", name],
                str(self.folder),
                {},
                given=value,
            )
        return stack  # type: ignore[return-value]  # made by our own class

    def _look(self) -> StateLook:
        def run(args: list[str]) -> str:
            result = self.command.call(args, str(self.folder), {}, even_if_stopped=True)
            return str(result.stdout)

        return look(self.folder, self.request["project"], self.request["stack"], run)

    def _found(self) -> dict[str, Any]:
        return {
            "counts": self.counts,
            "changes": [
                {key: row[key] for key in ("op", "type", "name", "urn", "changes")}
                for row in self.rows.values()
                if row["op"] != "same"
            ],
            "facts": self.facts,
            "outputs": self.outputs,
        }

    def _error(self, kind: str, text: str) -> dict[str, Any]:
        state: StateLook | None = None
        try:
            state = self._look()
        except Exception as error:  # noqa: BLE001  (the first error is what counts)
            self.channel.event("warning", f"the state could not be read: {error}")
        unfinished = [
            f"{row['op']} {row['name']}"
            for row in self.rows.values()
            if row["state"] == "running"
        ]
        done = [row for row in self.rows.values() if row["state"] == "done"]
        made = sum(1 for row in done if row["op"] not in ("same", "read"))
        return {
            "error": {
                "kind": kind,
                "text": self.errors[0] if self.errors else text,
                "errors": self.errors,
                "unfinished": unfinished,
                "done": made,
                "state": state,
            }
        }

    # -- events ---------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        try:
            self._take(event)
        except Exception as error:  # noqa: BLE001  (the SDK would swallow it silently)
            self.channel.event("warning", f"an engine event was not understood: {error!r}")

    def _take(self, event: Any) -> None:
        if event.resource_pre_event:
            self._resource(event.resource_pre_event.metadata, "running")
        elif event.res_outputs_event:
            self._resource(event.res_outputs_event.metadata, "done")
        elif event.res_op_failed_event:
            self._resource(event.res_op_failed_event.metadata, "failed")
        elif event.diagnostic_event:
            self._diagnostic(event.diagnostic_event)
        elif event.summary_event:
            found = event.summary_event.resource_changes or {}
            self.counts = {str(getattr(k, "value", k)): n for k, n in found.items()}
            self.channel.event("summary", _counted(self.counts), **self.counts)

    def _resource(self, metadata: Any, state: str) -> None:
        op = str(getattr(metadata.op, "value", metadata.op))
        urn, kind = metadata.urn, metadata.type
        name = changes.resource_name(urn)
        if op in SKIPPED_OPS or (kind.startswith(PROVIDER) and name.startswith("default")):
            return
        plain = _plain(metadata)
        if found := changes.facts(kind, (plain.get("new") or {}).get("inputs") or {}):
            self.facts[urn] = {"type": kind, **found}
        if kind == STACK and state == "done" and plain.get("new"):
            given = plain["new"].get("outputs") or {}
            self.outputs = {key: changes.shown(value) for key, value in given.items()}
        row = self.rows.get(urn)
        if row is None or row["op"] != op:
            self.started[urn] = time.monotonic()
            row = self.rows[urn] = {
                "urn": urn,
                "op": op,
                "type": kind,
                "name": name,
                "changes": [] if op == "same" else changes.property_changes(plain),
            }
        row["state"] = state
        for change in row["changes"]:
            if changes.is_hidden(change["path"]):
                change["old"] = change["old"] and changes.SECRET
                change["new"] = change["new"] and changes.SECRET
        if op == "same" and state == "running":
            return
        paths = ", ".join(change["path"] for change in row["changes"])
        text = f"{op} {row['type']} {row['name']}" + (f" [{paths}]" if paths else "")
        seconds = round(time.monotonic() - self.started[urn], 1)
        self.channel.event("resource", text, **row, seconds=seconds)

    def _diagnostic(self, event: Any) -> None:
        if event.severity not in ("error", "warning", "info#err"):
            return
        text = COLOURS.sub("", event.message).partition(TRACEBACK)[0].strip()
        if not text or event.severity == "info#err":
            return
        name = changes.resource_name(event.urn) if event.urn else ""
        line = " ".join(f"{name}: {text}".split()) if name else " ".join(text.split())
        if event.severity == "error":
            self.errors.append(line)
        self.channel.event(event.severity, line, urn=event.urn or "")

    # -- secrets --------------------------------------------------------------------

    def _learn_config(self) -> None:
        """Let the run learn the secret settings before anything can print them."""
        arguments = ["config", "--show-secrets", "--json", "--stack", self.request["stack"]]
        shown = self.command.call(arguments, str(self.folder), {}).stdout
        for item in json.loads(shown).values():
            if item.get("secret"):
                self._learn(str(item.get("value") or ""))

    def _learn(self, value: str) -> None:
        if self.redactor.learn(value):
            self.channel.say({"sealed": seal(self.request["mask_key"], value)})

    def _hand_on_secrets(self) -> None:
        """Let the run learn what is hidden whatever it holds, and mask what changed."""
        for (_, _, name), value in self.captured.items():
            if changes.is_hidden(name):
                self._learn(value)
        self._mask_secrets()

    def _mask_secrets(self) -> None:
        """Give each changed secret its mask, so that old and new can be told apart."""
        wanted = [
            (row, change)
            for row in self.rows.values()
            for change in row["changes"]
            if changes.SECRET in (change["old"], change["new"])
        ]
        if not wanted:
            return
        name = self.request["stack"]
        shown = self.command.call(
            ["stack", "export", "--show-secrets", "--stack", name], str(self.folder), {}
        ).stdout
        resources = json.loads(shown)["deployment"].get("resources") or []
        before = {item["urn"]: item.get("inputs") or {} for item in resources}
        for row, change in wanted:
            old = changes.value_at(before.get(row["urn"], {}), change["path"])
            if isinstance(old, dict) and "plaintext" in old:
                old = json.loads(old["plaintext"])
            key = (row["type"], row["name"], change["path"].lower())
            for side, value in (("old", old), ("new", self.captured.get(key))):
                if change[side] == changes.SECRET and isinstance(value, str):
                    change[side] = self.redactor.mask(value)


def _plain(metadata: Any) -> dict[str, Any]:
    """Return a step's metadata as plain values."""
    sides = {}
    for side in ("old", "new"):
        state = getattr(metadata, side)
        if state:
            sides[side] = {"inputs": state.inputs or {}, "outputs": state.outputs or {}}
    details = {
        path: {
            "diffKind": str(getattr(item.diff_kind, "value", item.diff_kind)),
            "inputDiff": item.input_diff,
        }
        for path, item in (metadata.detailed_diff or {}).items()
    }
    return {**sides, "detailedDiff": details, "diffs": metadata.diffs or []}


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {op}" for op, number in sorted(counts.items()) if number)


def _last_error(text: str) -> str:
    """Return the line of a CLI's output that says what went wrong."""
    lines = [COLOURS.sub("", line).strip() for line in text.splitlines()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return (errors or [line for line in lines if line] or ["Pulumi failed"])[-1]


def _to_log(line: str) -> None:
    """Put a line of the CLI into the log, by way of standard error."""
    if line.strip():
        print(line, flush=True)  # noqa: T201  (standard output is standard error here)
