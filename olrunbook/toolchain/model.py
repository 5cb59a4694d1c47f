"""What was found: a tool, and all of them together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

How = Literal["path", "plugins", "downloaded", "built"]
HOW = {
    "path": "on the PATH",
    "plugins": "in Packer's plugin folder",
    "downloaded": "downloaded",
    "built": "built from source",
}


class ToolFound(BaseModel, frozen=True):
    """A tool that can be used."""

    name: str  # the program
    version: str
    path: Path  # the program's file
    how: How  # where it comes from
    plugins: Path | None = None  # for a plugin: the folder Packer must look into
    host: str = ""  # of a download: whose it is
    sha256: str = ""  # of a program we keep: what its file was verified to have

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.name:<22}{self.version:<10}{self.origin:<40}{self.path}"

    @property
    def origin(self) -> str:
        """Where it comes from, for a person."""
        return HOW[self.how] + (f" from {self.host}" if self.host else "")

    @property
    def told(self) -> str:
        """Version and origin, for the record."""
        digest = f", sha256 {self.sha256}" if self.sha256 else ""
        return f"{self.version}, {self.origin}{digest}"


class Toolchain(BaseModel, frozen=True):
    """The tools, ready for use."""

    tools: dict[str, ToolFound]

    def __str__(self) -> str:
        """One line a tool."""
        return "\n".join(str(tool) for tool in self.tools.values())

    def environment(self) -> dict[str, str]:
        """Return what the tools need: PATH (their folders only), PACKER_PLUGIN_PATH."""
        tools = self.tools.values()
        folders = dict.fromkeys(str(t.path.parent) for t in tools if not t.plugins)
        plugins = [str(tool.plugins) for tool in tools if tool.plugins]
        more = {"PACKER_PLUGIN_PATH": plugins[-1]} if plugins else {}
        return {"PATH": os.pathsep.join(folders), **more}
