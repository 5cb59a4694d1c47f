"""What is built when the machine has no fitting tool: versions, packages, times.

`pins.toml` names them. Each tool's `go.mod` and `go.sum` lie in `modules/`; Go checks
every module by them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel

__all__ = ["GO_MINIMUM", "PINS", "Pin", "Version", "parse"]

Version = tuple[int, ...]

GO_MINIMUM: Version = (1, 25, 11)


class Pin(BaseModel, frozen=True, extra="forbid"):
    """One tool."""

    name: str  # the program
    why: str  # what it is used for
    version: str  # the version that is built
    minimum: Version  # the oldest that is taken from the machine
    package: str  # the Go package of its main program
    flags: tuple[str, ...]  # more flags for `go build`
    expected_s: float  # seconds a build takes on two cores, downloads included

    @property
    def title(self) -> str:
        """Name and pinned version."""
        return f"{self.name} {self.version}"


_TABLES = tomllib.loads(Path(__file__).with_name("pins.toml").read_text("utf-8"))
PINS = {name: Pin(name=name, **table) for name, table in _TABLES.items()}


def parse(text: str) -> Version | None:
    """Return the first version in a text (`Packer v1.15.4`), or None.

    A pre-release (`v3.260.0-alpha.1`) counts as what it leads up to.
    """
    found = re.search(r"(?<![\d.])v?(\d+(?:\.\d+){1,3})(?![\d.])", text)
    return tuple(int(part) for part in found[1].split(".")) if found else None
