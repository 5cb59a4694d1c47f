"""Pulumi: preview and update a stack, look at its state.

A preview and an update run `olrunbook.workers.pulumi.worker` under a supervisor with
the stop policy PULUMI. No rules here: what must be refused is decided by the steps.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Literal

from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi.found import Found, State
from olrunbook.adapters.pulumi.settings import Prepared, keep_settings, stack_spec
from olrunbook.adapters.pulumi.state import look as see
from olrunbook.adapters.pulumi.state import open_backend, readable
from olrunbook.adapters.tool_version import tool_version
from olrunbook.errors import InterruptedRunError, ToolError
from olrunbook.events import Event
from olrunbook.processes.tool import PULUMI, Command, Line, Tool
from olrunbook.redact.sealed import unseal

TOOL: Literal["pulumi"] = "pulumi"
WORKER = "olrunbook.workers.pulumi.worker"
MODULES = (
    "Name the project's own Python by `prefix` and its packages by PYTHONPATH, in "
    "[tools.pulumi] of catalog.toml (docs/adopting.md)."
)
Operation = Literal["preview", "up"]


def preview(ctx: Context, prepared: Prepared) -> Found:
    """Preview a prepared stack, drift included; leave the plan beside it.

    Raises:
        ToolError: Pulumi failed; its message is in the error.
        InterruptedRunError: The run was interrupted.

    """
    state = look(ctx, prepared)
    if state.pending or state.locks:
        return Found(state=state, refused=True)
    more = {"plan": str(prepared.plan), "digest_key": ctx.target.digest_key()}
    return _found(ctx, prepared, "preview", state, made=state.made, **more)


def up(ctx: Context, prepared: Prepared, state: str, message: str = "") -> Found:
    """Apply what was previewed, held to its plan and to the digest of the state it saw.

    Raises:
        ToolError: Pulumi failed; the error says what the state holds now.
        InterruptedRunError: The run was interrupted; likewise.

    """
    before = look(ctx, prepared)
    if before.pending or before.locks:
        return Found(state=before, refused=True)
    if not before.made or before.digest != state:
        return Found(state=before, changed=True)
    more = {"plan": str(prepared.plan), "message": message}
    found = _found(ctx, prepared, "up", before, made=True, **more)
    return found.model_copy(update={"state": look(ctx, prepared)})


def look(ctx: Context, prepared: Prepared) -> State:
    """Return what the backend holds.

    Raises:
        ToolError: The backend does not answer.
        UsageError: It is one that only the CLI can read.

    """
    env = ctx.environment(TOOL)
    with readable(prepared.stack):
        backend = open_backend(prepared.folder, env, lambda: ctx.target.client("s3"))
        return see(backend, prepared.project, prepared.stack)


def typed(ctx: Context, verb: str) -> str:
    """Return the command as a person types it, with what is put before it."""
    words = by_hand(ctx, verb).removeprefix(TOOL)
    return f"{ctx.tool(TOOL).typed(TOOL)}{words}"


def by_hand(ctx: Context, verb: str = "up --refresh --yes") -> str:
    """Return the command that does the same, from the project's folder."""
    spec = stack_spec(ctx)
    return f"pulumi {verb} -s {spec.stack_name(ctx.stage)} -C {spec.path}"


def _found(
    ctx: Context, prepared: Prepared, operation: Operation, state: State, **more: Any
) -> Found:
    try:
        answer = _run(ctx, prepared, operation, more)
    except InterruptedRunError as stopped:
        raise _after_stop(ctx, prepared, stopped) from None
    finally:
        keep_settings(prepared)
    if error := answer.get("error"):
        raise _failure(ctx, prepared, error)
    return Found.model_validate({**answer["result"], "state": state})


def _run(
    ctx: Context,
    prepared: Prepared,
    operation: Operation,
    more: dict[str, Any],
) -> dict[str, Any]:
    """Run the worker to its end and return its last message."""
    call = ctx.tool(TOOL)
    call.program(TOOL)  # where it is missing, that is told in words
    key = ctx.redactor._key.hex()  # noqa: SLF001  (by pipe, never by disk)
    request = {
        "op": operation,
        "version": tool_version(TOOL, call.env, call.prefix, call.root).version,
        "folder": str(prepared.folder),
        "scratch": str(prepared.root),
        "project": prepared.project,
        "stack": prepared.stack,
        "secrets_provider": prepared.secrets_provider,
        "new_secrets": dict(prepared.new_secrets),
        "mask_key": key,
        "secrets": list(ctx.redactor.values),
        **more,
    }
    command = Command(
        tool=TOOL,
        argv=call.worker(WORKER),
        cwd=call.begins(prepared.folder),
        env=call.env,
        log=ctx.logs / f"pulumi-{operation}.log",
        policy=PULUMI,
        stdin=json.dumps(request) + "\n",
    )
    last: dict[str, Any] = {}
    stderr: list[str] = []
    with Tool(command, ctx.redactor) as tool:
        for line in tool.lines():
            if line.stream == "stderr":
                stderr = [*stderr[-9:], line.text]
                continue
            match _message(line):
                case {"sealed": sealed}:
                    tool.learn(unseal(key, sealed))
                case {"event": kind, "text": text, "data": data}:
                    ctx.emit(Event(TOOL, kind, text, data, line.at))
                case dict(message):
                    last = message
        code = tool.ended.code if tool.ended else None
    if not last:
        detail = ctx.redactor.text(" / ".join(stderr[-2:]))
        msg = f"pulumi {operation}: its worker ended with code {code} and no output"
        raise ToolError(f"{msg}: {detail}" if detail else msg, code=code)
    ctx.emit(Event(TOOL, "end", f"{operation} ended", {"code": code}))
    return last


def _message(line: Line) -> Any:
    try:
        return json.loads(line.text)
    except ValueError:
        return None


def _failure(ctx: Context, prepared: Prepared, error: dict[str, Any]) -> ToolError:
    """Return the error for what the worker reported, with what the state holds now."""
    state, now = None, " The state could not be read."
    with contextlib.suppress(ToolError):  # the first error is what counts
        state = look(ctx, prepared)
        now = f" Now: {state.line()}." if state.made else now
    hints = {
        "locked": "Wait for the other update; if its process is gone: "
        f"olrunbook tools{ctx.onto} {by_hand(ctx, 'cancel --yes')}",
        "plan": "Something changed since the preview. Run the preview again.",
        "stopped": "Run the step again: the next update does the rest.",
        "program": "The stack's program failed; the log has its traceback.",
        "failed": "The log has the whole output; the next update does the rest.",
    }
    text = error["text"]
    if "No module named" in text:
        hints[error["kind"]] = MODULES
    if error["kind"] == "locked" and state and state.locks:
        text = f"another update is working on the stack: {'; '.join(state.locks)}"
    if error["unfinished"]:
        text += f"; not finished: {', '.join(error['unfinished'])}"
    return ToolError(f"{prepared.stack}: {text}", hints.get(error["kind"], "") + now)


def _after_stop(
    ctx: Context, prepared: Prepared, stopped: InterruptedRunError
) -> InterruptedRunError:
    """Return the interruption with what the state holds now."""
    if stopped.finishing:
        hint = "It keeps the stack's lock until it ends; the next update does the rest."
        return InterruptedRunError(str(stopped), hint, stopped.finishing)
    try:
        state = look(ctx, prepared)
    except ToolError as error:
        hint = f"The state could not be read: {error}"
        return InterruptedRunError(str(stopped), hint)
    then = "The next update does the rest."
    hint = f"{state.line()}. {then}" if state.made else "No stack yet."
    ctx.emit(Event(TOOL, "warning", hint))
    return InterruptedRunError(str(stopped), hint)
