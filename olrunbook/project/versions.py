"""Which versions of the tools are taken, and which were tried: `versions.toml`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

Version = tuple[int, ...]


class Versions(NamedTuple):
    """The versions of one tool."""

    minimum: str  # the oldest that is taken
    tried: tuple[str, ...]  # what it was run with
    note: str = ""  # what else a reader must know

    @property
    def wanted(self) -> str:
        """What a check wants, for people."""
        return f">= {self.minimum}"

    def fit(self, found: str) -> bool:
        """Whether a version is taken; one that cannot be read is not."""
        return (parse(found) or ()) >= (parse(self.minimum) or ())


def parse(text: str) -> Version | None:
    """Return the first version in a text (`Packer v1.15.4`), or None.

    A pre-release (`v3.260.0-alpha.1`) counts as what it leads up to.
    """
    found = re.search(r"(?<![\d.])v?(\d+(?:\.\d+){1,3})(?![\d.])", text)
    return tuple(int(part) for part in found[1].split(".")) if found else None


VERSIONS = {
    name: Versions(table["minimum"], tuple(table["tried"]), table.get("note", ""))
    for name, table in tomllib.loads(
        Path(__file__).with_suffix(".toml").read_text("utf-8")
    ).items()
}
