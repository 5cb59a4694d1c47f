"""What the Pulumi worker does: make a stack, preview it, update it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi.automation as auto
from pulumi.automation._stack import StackInitMode

from olrunbook.redact import Redactor
from olrunbook.redact.sealed import seal
from olrunbook.workers.pulumi import changes
from olrunbook.workers.pulumi.channel import Channel
from olrunbook.workers.pulumi.cli import SafeCommand, StoppedError
from olrunbook.workers.pulumi.program import (
    Captured,
    preload,
    secret_texts,
    stack_program,
)
from olrunbook.workers.pulumi.rows import Rows, plain_text
from olrunbook.workers.pulumi.user_data import differences, files


class QuickStack(auto.Stack):
    """A stack whose `up` is one call of the CLI: outputs come from its events."""

    def outputs(self) -> auto.OutputMap:
        """Return nothing: they were in the event of the root resource."""
        return {}

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:  # noqa: ARG002, FBT001, FBT002  (theirs)
        """Return nothing of use: the counts were in the summary event."""
        now = datetime.now(UTC)
        return auto.UpdateSummary("update", now, "", {}, {}, result="succeeded")


class QuickWorkspace(auto.LocalWorkspace):
    """A workspace that does not select a stack: every call of the CLI names it."""

    def select_stack(self, stack_name: str) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Work:
    """One request."""

    request: dict[str, Any]  # what is asked; see `olrunbook.adapters.pulumi.stack`
    command: SafeCommand
    channel: Channel  # where events go
    redactor: Redactor  # masks values that must be told apart but not shown
    captured: Captured = field(default_factory=dict, init=False)
    secret_texts: set[str] = field(default_factory=set, init=False)
    folder: Path = field(init=False)
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        """Take the events of the request."""
        self.folder, self.rows = Path(self.request["folder"]), Rows(self.channel.event)

    def run(self) -> dict[str, Any]:
        """Return `{"result": …}` or `{"error": …}`."""
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
            if self.command.asked():
                return self._error("stopped", "stopped as asked")
            text = str(error)
            kind = "plan" if "violates plan" in text else "failed"
            return self._error(kind, _last_error(text))

    def preview(self) -> dict[str, Any]:
        """Show what an update would do; the stack is made where there is none."""
        preload(self.folder)
        self.secret_texts = secret_texts()
        stack = self._open()
        self._learn_config()
        self.channel.event("phase", "previewing")
        plan = self.request["plan"]
        stack.preview(
            refresh=True,
            plan=plan,
            on_event=self._on_event,
            on_output=_to_log,
            color="never",
        )
        Path(plan).chmod(0o600)
        self._hand_on_secrets()
        self.rows.seal_inputs(self.request["digest_key"], self.captured)
        return {"made_up": self.rows.made_up(), **self._found()}

    def up(self) -> dict[str, Any]:
        """Apply what was previewed."""
        preload(self.folder)
        stack = self._open()
        self.channel.event("phase", "updating")
        stack.up(
            refresh=True,
            plan=self.request["plan"],
            message=self.request["message"],
            on_event=self._on_event,
            on_output=_to_log,
            color="never",
        )
        self._hand_on_secrets()
        return self._found()

    def _on_event(self, event: Any) -> None:
        self.command.heard.set()
        self.rows.on_event(event)

    def _open(self) -> QuickStack:
        workspace = QuickWorkspace(
            work_dir=str(self.folder),
            program=stack_program(self.folder, self.captured),
            pulumi_command=self.command,
            secrets_provider=self.request["secrets_provider"],
        )
        name = self.request["stack"]
        self.channel.event("phase", f"opening stack {name}")
        made = self.request["made"]
        mode = StackInitMode.SELECT if made else StackInitMode.CREATE
        stack = QuickStack(name, workspace, mode)
        for key, value in self.request["new_secrets"].items():
            # by standard input: the arguments of a process can be read by everybody
            store = ["config", "set", "--secret", key, "--stack", name]
            self._cli(store, given=value)
        return stack

    def _cli(self, args: list[str], **how: Any) -> str:
        """Return what the CLI writes in the project's folder."""
        return str(self.command.run(args, str(self.folder), {}, **how).stdout)

    def _found(self) -> dict[str, Any]:
        rows = self.rows
        return {
            "counts": rows.counts,
            "changes": rows.changed(),
            "outside": rows.outside,
            "facts": rows.facts,
            "outputs": rows.outputs,
        }

    def _error(self, kind: str, text: str) -> dict[str, Any]:
        return {
            "error": {
                "kind": kind,
                "text": self.rows.errors[0] if self.rows.errors else text,
                "unfinished": self.rows.unfinished(),
            }
        }

    def _learn_config(self) -> None:
        """Let the run learn the secret settings before anything can print them."""
        show = ["config", "--show-secrets", "--json", "--stack", self.request["stack"]]
        for item in json.loads(self._cli(show)).values():
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
            for row in self.rows.rows.values()
            for change in row["changes"]
            if changes.SECRET in (change["old"], change["new"])
        ]
        if not wanted:
            return
        show = ["stack", "export", "--show-secrets", "--stack", self.request["stack"]]
        resources = json.loads(self._cli(show))["deployment"].get("resources") or []
        before = {item["urn"]: item.get("inputs") or {} for item in resources}
        for row, change in wanted:
            old = changes.value_at(before.get(row["urn"], {}), change["path"])
            sealed = isinstance(old, dict) and "plaintext" in old
            old = json.loads(old["plaintext"]) if sealed else old
            key = (row["type"], row["name"], change["path"].lower())
            new = self.captured.get(key, self.rows.given(row["urn"], change["path"]))
            if changes.is_hidden(change["path"]) and self.request["op"] == "preview":
                row["user_data"] += self._user_data(old, new, secret=sealed)
            for side, value in (("old", old), ("new", new)):
                if change[side] == changes.SECRET and isinstance(value, str):
                    change[side] = self.redactor.mask(value)

    def _user_data(self, old: Any, new: Any, *, secret: bool) -> list[dict[str, str]]:
        """Return what differs between two user data, by file and key."""
        if not isinstance(new, str):
            text = "not known before the update"
            return [{"where": "user data", "what": "", "new": text}]
        # Known here alone: what is made of a secret is often no secret elsewhere.
        whole = {v for key, v in self.captured.items() if changes.is_hidden(key[2])}
        mask = Redactor(self.request["mask_key"], {*self.redactor.values} - whole)
        for text in sorted(self.secret_texts - whole, key=len):
            if not any(value in text for value in mask.values):
                mask.learn(text)
        before = files(old) if isinstance(old, str) else {}
        return differences(before, files(new), mask, secret=secret)


def _last_error(text: str) -> str:
    """Return the line of a CLI's output that says what went wrong."""
    lines = [plain_text(line) for line in text.splitlines()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return (errors or [line for line in lines if line] or ["Pulumi failed"])[-1]


def _to_log(line: str) -> None:
    """Put a line of the CLI into the log, by way of standard error."""
    if line.strip():
        print(line, flush=True)  # noqa: T201  (standard output is standard error here)
