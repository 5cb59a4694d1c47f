"""Look for a tool on the machine: the PATH, Packer's plugin folders, what we keep."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from olrunbook.adapters.tool_version import tool_version
from olrunbook.project.versions import VERSIONS, parse
from olrunbook.record.files import sha256_file
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.model import ToolFound
from olrunbook.toolchain.pins import Pin, machine

PLUGIN_SOURCE = Path("github.com/hashicorp/amazon")
PLUGIN_FILE = re.compile(
    r"packer-plugin-amazon_v(?P<version>\d+\.\d+\.\d+)_x5\.\d+_"
    + "{os}_{arch}".format(**machine())
)


def look(pin: Pin, cache: Cache) -> ToolFound | None:
    """Return a tool that is there and fits; nothing is fetched or built.

    Raises:
        ToolError: What we keep is not what it was.

    """
    candidates = plugins() if pin.name == "packer-plugin-amazon" else programs(pin)
    for tool in candidates:
        major = tool.version.partition(".")[0] == pin.version.partition(".")[0]
        if major and VERSIONS[pin.name].fit(tool.version):
            return tool
    return cache.get(pin)


def programs(pin: Pin) -> Iterator[ToolFound]:
    """Yield the program the PATH leads to, with the version it says it has."""
    found = tool_version(pin.name, os.environ)
    if found.path:
        yield ToolFound(
            name=pin.name,
            version=found.version or "version unknown",
            path=Path(found.path),
            how="path",
        )


def plugin_folders() -> list[Path]:
    """Return the folders in which Packer itself would look for plugins."""
    named = os.environ.get("PACKER_PLUGIN_PATH", "")
    if named:
        return [Path(folder) for folder in named.split(os.pathsep) if folder]
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return [Path(config) / "packer" / "plugins", Path.home() / ".packer.d" / "plugins"]


def plugins() -> Iterator[ToolFound]:
    """Yield the amazon plugins Packer would take, newest first.

    Packer takes only a file that has its digest beside it; so do we.
    """
    found = []
    for root in plugin_folders():
        for path in (root / PLUGIN_SOURCE).glob("packer-plugin-amazon_*"):
            match = PLUGIN_FILE.fullmatch(path.name)
            if match and os.access(path, os.X_OK) and digest_fits(path):
                version = match["version"]
                found.append((parse(version) or (), root, path, version))
    for _, root, path, version in sorted(found, reverse=True):
        facts = {"name": "packer-plugin-amazon", "version": version}
        yield ToolFound(path=path, how="plugins", plugins=root, **facts)


def digest_fits(path: Path) -> bool:
    """Whether a plugin is the file its digest was written for."""
    try:
        wanted = path.with_name(f"{path.name}_SHA256SUM").read_text(encoding="utf-8")
    except OSError:
        return False
    return wanted.split()[:1] == [sha256_file(path)]
