"""What the Pulumi worker answers, as values."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel


class _Value(BaseModel, frozen=True, extra="ignore"):
    pass


class Change(_Value):
    """One resource that is not left as it is."""

    op: str  # Pulumi's operation; the steps of a replacement are one `replace`
    gap: bool = False  # a replacement: the old one is deleted before there is a new one
    type: str  # Pulumi type token
    name: str
    urn: str
    # of a preview: fingerprint of the inputs it gets, under the target's key and over
    # secret values too
    inputs: str = ""
    changes: list[dict[str, str]] = []  # what changes in it: path, kind, old, new
    # what changes in its user data: file (where), key (what), old, new
    user_data: list[dict[str, str]] = []


class Update(NamedTuple):
    """One update as the history has it; `message` may hold anything."""

    kind: str
    result: str
    message: str
    began: datetime
    ended: datetime


class State(_Value):
    """What a stack's backend holds; secrets in it stay encrypted."""

    made: bool = True  # whether there is such a stack
    version: int = 0  # of the last update; 0: there was none
    updates: list[Update] = []  # its newest updates, newest first
    digest: str = ""  # over resources and pending operations
    written: datetime | None = None  # when it was last written (UTC); None: never
    ids: frozenset[str] = frozenset()  # the ids of its resources
    resources: int = 0  # how many there are
    types: list[str] = []  # their types
    pending: list[str] = []  # operations that were begun and never finished
    locks: list[str] = []  # who holds the stack
    tools: dict[str, str] = {}  # `pulumi` and its providers: versions that wrote it

    def line(self) -> str:
        """Return what a person must know after an update that did not end well."""
        parts = [
            f"locks: {'; '.join(self.locks)}" if self.locks else "no lock",
            f"pending: {'; '.join(self.pending)}"
            if self.pending
            else "nothing pending",
            f"{self.resources} resources in the state",
        ]
        if self.updates and (result := self.updates[0].result):
            parts.append(f"last update {self.version} {result}")
        return ", ".join(parts)


class Found(_Value):
    """What a preview or an update found."""

    state: State  # before a preview, after an update
    # operation to number of resources, from the summary event
    counts: dict[str, int] = {}
    changes: list[Change] = []  # the resources that are not left as they are
    # what is otherwise than the state has it: somebody changed it
    outside: list[Change] = []
    # URN to what a step must know of launch templates and groups
    facts: dict[str, dict[str, Any]] = {}
    outputs: dict[str, str] = {}  # stack outputs; secret ones are `[secret]`
    # names that Pulumi makes up anew in each preview, to the URN of theirs
    made_up: dict[str, str] = {}
    refused: bool = False  # nothing was run: the state has locks or pending operations
    # nothing was run: the state is not the one that was previewed
    changed: bool = False
