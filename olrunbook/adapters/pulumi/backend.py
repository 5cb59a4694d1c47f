"""What a stack's backend holds, read without the CLI: history, state, locks."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from olrunbook.adapters.aws.answers import asked
from olrunbook.adapters.pulumi.state import (
    BACKEND,
    digest,
    find_locks,
    history,
    open_backend,
    pending_line,
    saved,
    scope,
    written_by,
)
from olrunbook.errors import ToolError

if TYPE_CHECKING:
    from olrunbook.project.catalog import App, Project
    from olrunbook.targets import Target

UPDATES = 50  # the newest of a stack's history
BY_HAND = "olrunbook tools,"  # so the message begins of what was typed by it


class Update(NamedTuple):
    """One update as the history has it; `message` may hold anything."""

    kind: str
    result: str
    message: str
    began: datetime
    ended: datetime


class StackSeen(NamedTuple):
    """A stack as its backend has it."""

    updates: Sequence[Update]  # its newest updates, newest first
    version: int  # of the last update; 0: there was none
    digest: str  # of its state, as a preview names it; empty: it has none to be read
    written: datetime | None  # when its state was last written (UTC); None: it has none
    ids: frozenset[str]  # the ids of its resources
    pending: Sequence[str]  # operations that were begun and never finished, in words
    locks: Sequence[str]  # who holds it
    tools: Mapping[str, str]  # `pulumi` and its providers: versions that wrote it


def look_at(
    target: Target, project: Project, app: App, stage: str, updates: int = UPDATES
) -> StackSeen:
    """Return what the backend holds of an app's stack, of its history so many updates.

    Secrets in it stay encrypted.

    Raises:
        ToolError: The backend does not answer.
        UsageError: It is one that only the CLI can read.

    """
    spec = app.stack
    assert spec is not None
    folder = project.path(spec.path)
    name, stack = spec.project, spec.stack_name(stage)
    env = {BACKEND: project.variable(app, "pulumi", BACKEND), **target.env}
    with readable(stack):
        backend = open_backend(folder, env, lambda: target.client("s3"))
        name = scope(backend, name, stack)
        every = history(backend, name, stack)
        texts = [json.loads(backend.text(name)) for name in every[-updates:][::-1]]
        kept = saved(backend, name, stack)
        locks = find_locks(backend, name, stack)
    latest = kept or {}
    written = (latest.get("manifest") or {}).get("time")
    resources = latest.get("resources") or []
    pending = latest.get("pending_operations") or []
    return StackSeen(
        updates=[_update(text) for text in texts],
        version=len(every),
        digest="" if kept is None else digest(resources, pending),
        written=datetime.fromisoformat(written).astimezone(UTC) if written else None,
        ids=frozenset(str(item.get("id")) for item in resources),
        pending=[pending_line(item) for item in pending],
        locks=locks,
        tools=written_by(latest),
    )


@contextmanager
def readable(stack: str) -> Iterator[None]:
    """Raise ToolError where a backend does not answer, or holds what it should not."""
    try:
        with asked(f"the state of {stack}"):
            yield
    except (OSError, ValueError, EOFError, zlib.error) as error:
        msg = f"the state of {stack} cannot be read: {error}"
        raise ToolError(msg) from error


def _update(text: dict[str, Any]) -> Update:
    words = (str(text.get(name) or "") for name in ("kind", "result", "message"))
    times = (text.get(name) or 0 for name in ("startTime", "endTime"))
    return Update._make([*words, *(datetime.fromtimestamp(at, UTC) for at in times)])
