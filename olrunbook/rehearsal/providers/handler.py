"""What a resource type's handler is: values in, values out, no wire format."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from olrunbook.rehearsal.providers.values import Props


@dataclass(frozen=True, slots=True)
class AutoName:
    """How a physical name is made where the program gives none."""

    limit: int  # the longest name the service takes

    def name(self, urn: str, seed: bytes, old: Props, new: Props) -> str:
        """Return the name: the one made before, else the logical name and 7 digits.

        Args:
            urn: The resource's URN; a `namePrefix` takes the logical name's place.
            seed: The engine's, so that a preview and its update make the same name.
            old: The inputs before; a replacement comes without any.
            new: The inputs wanted.

        """
        prefix = new.get("namePrefix")
        if old.get("name") and old.get("namePrefix") == prefix:
            return str(old["name"])
        digits = f"{random.Random(seed).getrandbits(28):07x}"  # noqa: S311  (no secret)
        room = self.limit - len(digits)
        if prefix:
            return f"{prefix[:room]}{digits}"
        logical = urn.rsplit("::", 1)[-1]
        return f"{logical[: room - 1]}-{digits}"


@dataclass(slots=True)
class Caller:
    """What handlers call: API clients, and whether the engine asked us to give up."""

    # for aws, a boto client by service name; for vault and consul, an HTTP call
    api: Callable[..., Any]
    region: str = ""  # AWS region; empty for the others
    # tags the provider's configuration puts on everything
    default_tags: Props = field(default_factory=dict)
    # set by Cancel; waits look at it and return what they have
    stopping: threading.Event = field(default_factory=threading.Event)


class Handler(ABC):
    """One resource type. Properties are Pulumi's own, camelCase.

    An input that is not listed is refused: a stand-in must not pretend to have done
    what it cannot do.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    replace: ClassVar[tuple[str, ...]] = ()
    unordered: ClassVar[tuple[str, ...]] = ()
    computed: ClassVar[tuple[str, ...]] = ()  # outputs that are no inputs
    autoname: ClassVar[AutoName | None] = None
    tagged: ClassVar[bool] = False

    def check(self, wanted: Props) -> list[tuple[str, str]]:
        """Return (property, reason) for each input that cannot be done here."""
        return [
            (name, f"the rehearsal's stand-in lacks `{name}`")
            for name in wanted
            if name not in self.inputs and not name.startswith("__")
        ]

    def moving(self, changed: set[str]) -> tuple[str, ...]:  # noqa: ARG002
        """Return the outputs an update of these properties changes (for a preview)."""
        return ()

    @abstractmethod
    def create(self, call: Caller, wanted: Props) -> str:
        """Make the thing and return its id; nothing that may fail comes after."""

    def complete(  # noqa: B027  (most have nothing more to do)
        self, call: Caller, ident: str, wanted: Props
    ) -> None:
        """Do the rest of a creation; a failure here leaves a resource in the state."""

    @abstractmethod
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        """Return the state as it is, in the recorded form where equal; None: gone."""

    def update(  # noqa: B027  (some are only ever replaced)
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        """Change the properties named."""

    @abstractmethod
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        """Remove it; that it is gone already is no error."""


Function = Callable[[Caller, Props], Props]


def is_gone(error: Exception) -> bool:
    """Whether an AWS error says that the thing does not exist."""
    response = getattr(error, "response", None) or {}
    found = response.get("Error", {})
    code = str(found.get("Code", ""))
    if code == "ValidationError":  # Auto Scaling has no code of its own for it
        return "not found" in str(found.get("Message", "")).lower()
    return "NotFound" in code or code.startswith("NoSuch")
