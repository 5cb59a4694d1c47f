"""A resource type that lives in a dictionary, and a gRPC context that notes."""

from __future__ import annotations

from typing import Any

import grpc

from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler
from olrunbook.rehearsal.providers.values import Props

URN = "urn:pulumi:CI::project::test:index/thing:Thing::my-thing"


class Thing(Handler):
    """Keeps things in a dictionary; a size of 13 fails after creation."""

    inputs = ("name", "namePrefix", "size", "zone", "tags")
    replace = ("name", "zone")
    computed = ("arn", "tagsAll")
    autoname = AutoName(20)
    tagged = True

    def __init__(self) -> None:
        self.kept: dict[str, Props] = {}

    def moving(self, changed: set[str]) -> tuple[str, ...]:
        """Size moves the arn."""
        return ("arn",) if "size" in changed else ()

    def create(self, call: Caller, wanted: Props) -> str:
        """Keep it."""
        self.kept[wanted["name"]] = dict(wanted)
        return str(wanted["name"])

    def complete(self, call: Caller, ident: str, wanted: Props) -> None:
        """Fail on 13."""
        if wanted.get("size") == 13:
            msg = "13 is too much"
            raise RuntimeError(msg)

    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        """Return it."""
        if ident not in self.kept:
            return None
        return {**state, **self.kept[ident], "arn": f"arn:{ident}", "id": ident}

    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        """Change what changed."""
        for name in changed:
            self.kept[ident][name] = new.get(name)

    def delete(self, call: Caller, ident: str, state: Props) -> None:
        """Forget it."""
        self.kept.pop(ident, None)


class AbortedError(Exception):
    """What `abort` raises."""


class FakeContext:
    """A gRPC context that notes why it was aborted."""

    def __init__(self) -> None:
        self.trailing: dict[str, bytes] = {}
        self.code: grpc.StatusCode | None = None

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """Raise, as gRPC does."""
        self.code = code
        raise AbortedError(details)

    def set_trailing_metadata(self, pairs: Any) -> None:
        """Keep the details."""
        self.trailing.update(dict(pairs))
