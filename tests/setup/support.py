"""A made-up machine: programs that write down how they were called."""

from __future__ import annotations

import sys
from pathlib import Path

from setup.machine import Rights


class Fakes:
    """Programs of a made-up machine, and the calls they got.

    Args:
        folder: The only folder on the PATH.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.parent / "calls"
        self.state = folder.parent / "state"

    def add(self, name: str, body: str = "") -> None:
        """Add a program; `body` is shell, `$STATE` a file of the machine's state."""
        path = self.folder / name
        text = f'#!/bin/sh\nSTATE={self.state}\necho {name} "$@" >>{self.log}\n{body}\n'
        path.write_text(text)
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The calls so far, one line each."""
        return self.log.read_text().splitlines() if self.log.exists() else []


def nobody(uid: int = 1000, *, agreed: bool = False) -> Rights:
    """Return the rights of a user nobody can ask."""
    return Rights(uid, None, agreed=agreed)


def shim(path: Path, *, works: bool) -> None:
    """Write a program in the place of a Python."""
    path.parent.mkdir(exist_ok=True)
    body = f'exec {sys.executable} "$@"' if works else "exit 127"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
