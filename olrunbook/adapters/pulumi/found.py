"""What the Pulumi worker answers, as values."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

__all__ = ["Change", "Found", "State"]


class _Value(BaseModel, frozen=True, extra="ignore"):
    pass


class Change(_Value):
    """One resource that is not left as it is.

    Args:
        op: Pulumi's operation; the steps of a replacement are one `replace`.
        type: Pulumi type token.
        name: Logical name.
        urn: Its URN.
        inputs: Of a preview: fingerprint of the inputs it gets, under the target's key
            and over secret values too.
        changes: What changes in it: path, kind, old, new.
        user_data: What changes in its user data: file, key, kind, old, new.

    """

    op: str
    type: str
    name: str
    urn: str
    inputs: str = ""
    changes: list[dict[str, str]] = []
    user_data: list[dict[str, str]] = []


class State(_Value):
    """What a stack's backend holds.

    Args:
        version: Of the last update; 0: there was none.
        result: How that ended; `succeeded`, `failed`, or empty.
        digest: Over resources and pending operations.
        resources: How many there are.
        types: Their types.
        pending: Operations that were begun and never finished.
        locks: Who holds the stack.

    """

    version: int = 0
    result: str = ""
    digest: str = ""
    resources: int = 0
    types: list[str] = []
    pending: list[str] = []
    locks: list[str] = []

    def line(self) -> str:
        """Return what a person must know after an update that did not end well."""
        parts = [
            f"locks: {'; '.join(self.locks)}" if self.locks else "no lock",
            f"pending: {'; '.join(self.pending)}"
            if self.pending
            else "nothing pending",
            f"{self.resources} resources in the state",
        ]
        if self.result:
            parts.append(f"last update {self.version} {self.result}")
        return ", ".join(parts)


class Found(_Value):
    """What a preview or an update found.

    Args:
        state: Before a preview, after an update.
        counts: Operation to number of resources, from the summary event.
        changes: The resources that are not left as they are.
        outside: What is otherwise than the state has it: somebody changed it.
        facts: URN to what a step must know of launch templates and groups.
        outputs: Stack outputs; secret ones are `[secret]`.
        made_up: Names that Pulumi makes up anew in each preview, to the URN of theirs.
        refused: Nothing was run: the state has locks or pending operations.
        changed: Nothing was run: the state is not the one that was previewed.

    """

    state: State
    counts: dict[str, int] = {}
    changes: list[Change] = []
    outside: list[Change] = []
    facts: dict[str, dict[str, Any]] = {}
    outputs: dict[str, str] = {}
    made_up: dict[str, str] = {}
    refused: bool = False
    changed: bool = False
