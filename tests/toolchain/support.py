"""Made-up tools."""

from __future__ import annotations

from pathlib import Path

from olrunbook.record.files import sha256_file
from olrunbook.toolchain import find
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.pins import PINS, Pin

PACKER, PLUGIN, PULUMI = PINS.values()
PLUGIN_NAME = "packer-plugin-amazon_v{}_x5.0_linux_amd64"


def program(path: Path, says: str, code: int = 0) -> Path:
    """Write a program that says something and ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def keep(cache: Cache, pin: Pin, text: str = "built") -> Path:
    """Keep a made-up program as if it had been built."""

    def fill(path: Path) -> None:
        path.write_text(text)

    return cache.put(pin, fill, {"go": "go1.25.11"}).path


def plugin(folder: Path, version: str, *, digest: str = "") -> Path:
    """Put a plugin where Packer looks for it."""
    path = folder / find.PLUGIN_SOURCE / PLUGIN_NAME.format(version)
    program(path, "{}")
    beside = path.with_name(f"{path.name}_SHA256SUM")
    beside.write_text(digest or f"{sha256_file(path)}\n")
    return path
