"""A machine that has no tool, and an empty cache."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from olrunbook.project.where import cache_dir
from olrunbook.toolchain import golang
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.pins import PINS
from tests.toolchain.support import program
from tests.toolchain.vendor import Vendor


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Return an empty cache where there is no tool, no plugin, and no vendor."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PACKER_PLUGIN_PATH", str(tmp_path / "plugins"))
    monkeypatch.setenv("OLRUNBOOK_CACHE", str(tmp_path / "cache"))
    for pin in PINS.values():
        monkeypatch.setenv(pin.release.env, "none")
    monkeypatch.setattr(golang, "USUAL", tmp_path / "no-go")
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # nothing is fetched, whatever goes wrong
    monkeypatch.setenv("GOPROXY", "off")
    return Cache(cache_dir())


@pytest.fixture
def vendor(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """Return both vendors, on loopback; no proxy stands before them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Vendor() as server:
        for pin in PINS.values():
            monkeypatch.setenv(pin.release.env, server.url)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def go(cache: Cache, tmp_path: Path) -> Path:
    """Have a compiler that makes a program which says that it was built."""
    text = (
        "#!/bin/sh\n"
        'if [ "$1" = env ]; then echo go1.25.11; exit; fi\n'
        'for last; do case "$before" in -o) out=$last;; esac; before=$last; done\n'
        'echo built > "$out"\n'
    )
    path = program(tmp_path / "bin" / "go", "")
    path.write_text(text)
    return path
