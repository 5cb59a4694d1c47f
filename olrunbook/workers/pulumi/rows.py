"""Engine events as rows: one for each resource, with what changes in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from olrunbook.workers.pulumi import changes

STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:"
SKIPPED_OPS = {"refresh", "refresh-done"}
TRACEBACK = "Traceback (most recent call last)"
COLOURS = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
# The engine does a replacement in several steps, as `delete-replaced`; people see one.
REPLACES = ("-replacement", "-replaced")

Tell = Callable[..., None]


class Rows:
    """Takes the events of one operation, and tells those that are worth it."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._started: dict[str, float] = {}
        self._inputs: dict[str, dict[str, Any]] = {}  # never told
        self.rows: dict[str, dict[str, Any]] = {}
        self.outside: list[dict[str, Any]] = []
        self.facts: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, int] = {}
        self.outputs: dict[str, str] = {}
        self.errors: list[str] = []

    def on_event(self, event: Any) -> None:
        """Take one event; called on a thread of gRPC, which swallows every error."""
        try:
            self._take(event)
        except Exception as error:  # noqa: BLE001  (the SDK would swallow it silently)
            self._tell("warning", f"an engine event could not be read: {error!r}")

    def changed(self) -> list[dict[str, Any]]:
        """Return the rows of the resources that are not left as they are."""
        wanted = ("op", "gap", "type", "name", "urn", "inputs", "changes", "user_data")
        return [
            {key: row[key] for key in wanted}
            for row in self.rows.values()
            if row["op"] != "same"
        ]

    def given(self, urn: str, path: str) -> Any:
        """Return an input as the engine shows it; None: it is hidden, or not there."""
        value = changes.value_at(self._inputs.get(urn, {}), path)
        return None if changes.is_secret(value) else value

    def made_up(self) -> dict[str, str]:
        """Return the names that are others in each preview, to the URN of theirs."""
        inputs = self._inputs.items()
        return {name: urn for urn, given in inputs for name in changes.made_up(given)}

    def seal_inputs(
        self, key: str, captured: Mapping[tuple[str, str, str], str]
    ) -> None:
        """Give each row the fingerprint of all its inputs, under a key (hex)."""
        made = self.made_up()
        for urn, row in self.rows.items():
            mine = (row["type"], row["name"])
            secrets = {k[2]: v for k, v in captured.items() if k[:2] == mine}
            inputs = self._inputs.get(urn, {})
            row["inputs"] = changes.sealed_fingerprint(key, inputs, secrets, made)

    def unfinished(self) -> list[str]:
        """Return what was begun and has not been seen to end."""
        return [
            f"{row['op']} {row['name']}"
            for row in self.rows.values()
            if row["state"] == "running" and row["type"] != STACK
        ]

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
            parts = [f"{number} {op}" for op, number in sorted(self.counts.items())]
            self._tell("summary", ", ".join(parts), **self.counts)

    def _resource(self, metadata: Any, state: str) -> None:
        op = str(getattr(metadata.op, "value", metadata.op))
        urn, kind = metadata.urn, metadata.type
        # What an earlier update left to be deleted has its successor, and its row.
        gap = op == "delete-replaced" and urn not in self.rows
        op = "replace" if op.endswith(REPLACES) else op
        name = changes.resource_name(urn)
        if kind.startswith(PROVIDER) and name.startswith("default"):
            return
        plain = _plain(metadata)
        if op in SKIPPED_OPS:
            if state == "done" and kind != STACK:
                self._refreshed(urn, kind, plain)
            return
        new = plain.get("new") or {}
        if new:  # the step that deletes what is replaced has none
            self._inputs[urn] = new.get("inputs") or {}
            if found := changes.facts(kind, self._inputs[urn]):
                self.facts[urn] = {"type": kind, **found}
        if kind == STACK and state == "done":
            given = new.get("outputs") or {}
            self.outputs = {key: changes.shown(value) for key, value in given.items()}
        row = self.rows.get(urn)
        if row is None or row["op"] != op:
            self._started[urn] = time.monotonic()
            row = self.rows[urn] = {"urn": urn, "op": op, "type": kind, "name": name}
            row["gap"] = gap
            row["inputs"] = ""  # of an update nobody asks
            row["user_data"] = []
        if not row.get("changes"):
            row["changes"] = [] if op == "same" else _shown(plain)
        row["state"] = state
        if op == "same" and state == "running":
            return
        paths = ", ".join(change["path"] for change in row["changes"])
        text = f"{op} {kind} {name}" + (f" [{paths}]" if paths else "")
        seconds = round(time.monotonic() - self._started[urn], 1)
        self._tell("resource", text, **row, seconds=seconds)

    def _refreshed(self, urn: str, kind: str, plain: dict[str, Any]) -> None:
        """Note what is not as the state has it, of what a program can write."""
        old, new = plain.get("old") or {}, plain.get("new") or {}
        was, now = old.get("inputs") or {}, new.get("inputs") or {}
        other = [k for k in {*was, *now} if was.get(k) != now.get(k)]
        found = []
        if new and (differs := set(other) - {changes.DEFAULTS}):
            paths = plain["detailedDiff"] or sorted(differs)
            told = [p for p in paths if differs.intersection(changes.steps(p)[:1])]
            detail = {"diffKind": "update", "inputDiff": True}
            found = _shown({**plain, "detailedDiff": dict.fromkeys(told, detail)})
        if found or (old and not new):
            row = {"urn": urn, "type": kind, "name": changes.resource_name(urn)}
            op = "update" if new else "delete"
            self.outside.append({**row, "op": op, "changes": found})

    def _diagnostic(self, event: Any) -> None:
        if event.severity not in ("error", "warning"):
            return
        text = plain_text(event.message).partition(TRACEBACK)[0]
        text = " ".join(text.split())
        if not text:
            return
        name = changes.resource_name(event.urn) if event.urn else ""
        line = f"{name}: {text}" if name else text
        if event.severity == "error":
            self.errors.append(line)
        self._tell(event.severity, line, urn=event.urn or "")


def _shown(plain: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what changes in a resource, without what is never shown."""
    found = changes.property_changes(plain)
    for change in found:
        if changes.is_hidden(change["path"]):
            change["old"] = change["old"] and changes.SECRET
            change["new"] = change["new"] and changes.SECRET
    return found


def plain_text(text: str) -> str:
    """Return a text without the engine's colour marks."""
    return COLOURS.sub("", text).strip()


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
