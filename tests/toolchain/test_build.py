"""A tool is built once, whole or not at all, and nothing else stays."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from olrunbook.errors import ToolError
from olrunbook.events import Event
from olrunbook.toolchain import build, chain, golang
from olrunbook.toolchain.cache import Cache
from tests.toolchain.support import (
    PACKER,
    PLUGIN_NAME,
    keep,
    program,
)


def test_a_failed_build_leaves_nothing(cache: Cache) -> None:
    """A tool's folder is there whole or not at all."""

    def fill(path: Path) -> None:
        path.write_text("half")
        msg = "the linker died"
        raise ToolError(msg)

    with pytest.raises(ToolError, match="the linker died"):
        cache.put(PACKER, fill, {})
    assert list(cache.tools.iterdir()) == []


def test_what_a_killed_build_left_is_removed(cache: Cache) -> None:
    """The next one that builds clears the half-made folder away."""
    left = cache.tools / ".new-packer-4711"
    left.mkdir(parents=True)
    with cache.locked(lambda: None):
        assert not left.exists()


def test_only_one_builds_at_a_time(
    cache: Cache, eventually: Callable[..., object]
) -> None:
    """A second build waits for the first one's end, and says so."""
    waiting, inside = threading.Event(), threading.Event()

    def second() -> None:
        with Cache(cache.root).locked(waiting.set):
            inside.set()

    thread = threading.Thread(target=second)
    with cache.locked(lambda: None):
        thread.start()
        eventually(waiting.is_set)
        assert not inside.is_set()
    thread.join(60)
    assert inside.is_set()


def test_whoever_waited_takes_what_the_other_built(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that was built while we waited for the lock is not built again."""
    real = Cache.locked

    def locked(self: Cache, waiting: Callable[[], None]) -> object:
        keep(cache, PACKER)
        return real(self, waiting)

    monkeypatch.setattr(Cache, "locked", locked)
    found = chain.ensure(["packer"], cache=cache)
    assert found.tools["packer"].how == "built"


def test_a_build_that_fails_names_log_and_way_out(cache: Cache, tmp_path: Path) -> None:
    """The end of what the compiler said, where the rest is, what to install."""
    go = tmp_path / "bin" / "go"
    go.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = env ]; then echo go1.26.8; exit; fi\n'
        "echo 'go: downloading example.org/module v1.0.0' >&2\n"
        "echo 'go: example.org/module: no route to host' >&2\n"
        "exit 1\n"
    )
    go.chmod(0o755)
    events: list[Event] = []
    with pytest.raises(ToolError, match="no route to host") as caught:
        chain.ensure(["packer"], events.append, cache=cache)
    assert str(cache.logs / "build-packer-1.15.4.log") in caught.value.hint
    assert caught.value.code == 1
    assert events[0].kind == "phase"
    assert "about 4 min, once" in events[0].text
    assert not cache.build.exists()
    assert list(cache.tools.iterdir()) == []


def test_a_build_keeps_the_program_and_how_it_was_made(
    cache: Cache, tmp_path: Path
) -> None:
    """The compiler gets the shipped go.mod, caches of its own and no user's flags."""
    go = tmp_path / "bin" / "go"
    go.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = env ]; then echo go1.25.11; exit; fi\n'
        "echo internal/goarch >&2\n"
        'for last; do case "$before" in -o) out=$last;; esac; before=$last; done\n'
        '{ echo "$@"; /bin/cat go.mod; /usr/bin/env; } > "$out"\n'
    )
    go.chmod(0o755)
    os.environ["GOFLAGS"] = "-mod=mod"
    try:
        events: list[Event] = []
        found = chain.ensure(["packer-plugin-amazon"], events.append, cache=cache)
    finally:
        del os.environ["GOFLAGS"]
    tool = found.tools["packer-plugin-amazon"]
    said = tool.path.read_text()
    assert "-trimpath -mod=readonly" in said
    assert "github.com/hashicorp/packer-plugin-amazon v1.8.2" in said
    assert "GOFLAGS=\n" in said
    assert f"GOMODCACHE={cache.build}/modules" in said
    assert tool.path.name == PLUGIN_NAME.format("1.8.2")
    beside = tool.path.with_name(f"{tool.path.name}_SHA256SUM")
    assert beside.read_text().strip() == tool.sha256
    assert found.environment()["PACKER_PLUGIN_PATH"] == str(tool.plugins)
    assert events[-1].kind == "artifact"
    assert not cache.build.exists()


@pytest.mark.parametrize("says", ["go1.25.10", "go1.24.4", "devel"])
def test_an_old_go_is_not_taken(tmp_path: Path, says: str) -> None:
    """The compiler must be at least what the modules ask for."""
    assert not golang.fits(str(program(tmp_path / "go", says)))


@pytest.mark.parametrize("says", ["go1.25.11", "go1.26.8", "go1.27"])
def test_a_new_go_is_taken(tmp_path: Path, says: str) -> None:
    """Any release from the minimum on fits."""
    assert golang.fits(str(program(tmp_path / "go", says)))


def test_a_full_disk_is_named_before_anything_is_fetched(cache: Cache) -> None:
    """The build says how much it needs, and where."""
    cache.root.mkdir(parents=True)
    with pytest.raises(ToolError, match="GB free") as caught:
        build.room(cache, need=1 << 60)
    assert "OLRUNBOOK_CACHE" in caught.value.hint
