"""A machine that has no tool, and an empty cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from olrunbook.project.where import cache_dir
from olrunbook.toolchain import golang
from olrunbook.toolchain.cache import Cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Return an empty cache on a machine that has no tool and no plugin."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PACKER_PLUGIN_PATH", str(tmp_path / "plugins"))
    monkeypatch.setenv("OLRUNBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(golang, "USUAL", tmp_path / "no-go")
    return Cache(cache_dir())
