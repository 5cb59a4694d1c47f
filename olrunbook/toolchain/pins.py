"""What is had when the machine has no fitting tool: versions, addresses, packages.

`pins.toml` names them. Each tool's `go.mod` and `go.sum` lie in `modules/`; Go checks
every module by them.
"""

from __future__ import annotations

import platform
import tomllib
from pathlib import Path

from pydantic import BaseModel

from olrunbook.project.versions import Version

GO_MINIMUM: Version = (1, 25, 11)


class Release(BaseModel, frozen=True, extra="forbid"):
    """Where a tool's vendor keeps a version of it; see `Pin.filled`."""

    env: str  # the variable that names another base
    base: str  # what the addresses are under
    archive: str  # the address of what is unpacked
    sums: str  # the address of the list of checksums
    member: str  # the program's name in the archive


class Pin(BaseModel, frozen=True, extra="forbid"):
    """One tool."""

    name: str  # the program
    why: str  # what it is used for
    version: str  # the version that is downloaded or built
    package: str  # the Go package of its main program
    flags: tuple[str, ...]  # more flags for `go build`
    expected_s: float  # seconds a build takes on two cores, downloads included
    program: str  # where its file is kept, see `filled`
    release: Release  # where its vendor keeps it

    @property
    def title(self) -> str:
        """Name and pinned version."""
        return f"{self.name} {self.version}"

    def filled(self, text: str, uname: str = "") -> str:
        """Return a text with the version and a machine's names filled in."""
        return text.format(version=self.version, **machine(uname))


def machine(uname: str = "") -> dict[str, str]:
    """Return what vendors call a machine (`Linux x86_64`; empty: this one)."""
    uname = uname or f"{platform.system()} {platform.machine()}"
    system, _, kind = uname.partition(" ")
    unknown = {"os": system.lower(), "arch": kind, "x64": kind}
    names: dict[str, str] = _TABLES["machines"].get(uname, unknown)
    return names


_TABLES = tomllib.loads(Path(__file__).with_name("pins.toml").read_text("utf-8"))
PINS = {name: Pin(name=name, **table) for name, table in _TABLES["tools"].items()}
