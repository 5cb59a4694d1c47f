"""One resource of a stand-in provider, as the engine would keep it."""

from __future__ import annotations

from typing import Any

from olrunbook.rehearsal.providers import aws
from olrunbook.rehearsal.providers.handler import Caller, is_gone
from olrunbook.rehearsal.providers.values import Props

PREFIX = "aws:"
TAGS = {"OU": "operations", "Name": "thing"}


class Kept:
    """One resource, as the engine would keep it.

    Args:
        call: API clients.
        token: Its type, without `aws:`.
        inputs: What the program gives.

    """

    def __init__(self, call: Caller, token: str, inputs: Props) -> None:
        self.call, self.handler = call, aws.RESOURCES[PREFIX + token]
        assert self.handler.check(inputs) == []
        self.inputs = {**inputs, "tagsAll": inputs.get("tags") or {}}
        self.id = self.handler.create(call, self.inputs)
        self.handler.complete(call, self.id, self.inputs)
        self.state = self.seen()

    def seen(self) -> Props:
        """Return it as it is."""
        found = self.handler.read(self.call, self.id, self.inputs)
        assert found is not None
        return found

    def drift(self) -> set[str]:
        """Return the inputs that are no longer as the program gave them."""
        seen = self.seen()
        return {key for key in self.inputs if seen.get(key) != self.inputs[key]}

    def change(self, **inputs: Any) -> None:
        """Update some inputs."""
        new = {**self.inputs, **inputs}
        if "tags" in inputs:
            new["tagsAll"] = inputs["tags"] or {}
        self.handler.update(self.call, self.id, self.inputs, new, set(inputs))
        self.inputs = new

    def delete(self) -> None:
        """Remove it."""
        self.handler.delete(self.call, self.id, self.seen())

    def gone(self) -> bool:
        """Whether it is no longer there."""
        try:
            return self.handler.read(self.call, self.id, self.inputs) is None
        except Exception as error:  # noqa: BLE001
            return is_gone(error)
