"""The toolchain: what fits is taken, what was built is verified, nothing half stays."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook import toolchain
from olrunbook.errors import ToolError, UsageError
from olrunbook.events import Event
from olrunbook.toolchain import build, chain, find, golang
from olrunbook.toolchain.__main__ import main
from olrunbook.toolchain.cache import Cache, cache_dir, sha256
from olrunbook.toolchain.pins import PINS, Pin, parse

PACKER, PLUGIN, PULUMI = PINS.values()
PLUGIN_NAME = "packer-plugin-amazon_v{}_x5.0_linux_amd64"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Return an empty cache on a machine that has no tool and no plugin."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PACKER_PLUGIN_PATH", str(tmp_path / "plugins"))
    monkeypatch.setenv("OLRUNBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(golang, "USUAL", tmp_path / "no-go")
    return Cache(cache_dir())


def program(path: Path, says: str, code: int = 0) -> Path:
    """Write a program that says something and ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def keep(cache: Cache, pin: Pin, text: str = "built") -> Path:
    """Keep a made-up program as if it had been built."""

    def fill(folder: Path) -> Path:
        (folder / pin.name).write_text(text)
        return folder / pin.name

    return cache.put(pin, fill, {"go": "go1.25.11"}).path


def plugin(folder: Path, version: str, *, digest: str = "") -> Path:
    """Put a plugin where Packer looks for it."""
    path = folder / find.PLUGIN_SOURCE / PLUGIN_NAME.format(version)
    program(path, "{}")
    beside = path.with_name(f"{path.name}_SHA256SUM")
    beside.write_text(digest or f"{sha256(path)}\n")
    return path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Packer v1.15.4", (1, 15, 4)),
        ("v3.259.0", (3, 259, 0)),
        ("3.199.0", (3, 199, 0)),
        ("v3.260.0-alpha.1700000000", (3, 260, 0)),
        ("go1.26", (1, 26)),
        ("Packer v1.14.3\n\nYour version is out of date! 1.15.4", (1, 14, 3)),
        ("does not run", None),
        ("", None),
    ],
)
def test_a_version_is_read_from_what_a_tool_says(
    text: str, version: tuple[int, ...] | None
) -> None:
    """The first version counts; a word without one has none."""
    assert parse(text) == version


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=4))
def test_a_version_reads_back(parts: list[int]) -> None:
    """What `dotted` writes, `parse` reads."""
    assert parse(f"tool v{find.dotted(tuple(parts))} (x)") == tuple(parts)


def test_a_fitting_tool_on_the_path_is_taken(cache: Cache, tmp_path: Path) -> None:
    """Nothing is built where the machine has what fits."""
    path = program(tmp_path / "bin" / "packer", "Packer v1.14.0")
    found = find.look(PACKER, cache).found
    assert found is not None
    assert (found.path, found.version, found.how) == (path, "1.14.0", "path")


@pytest.mark.parametrize("says", ["Packer v1.13.1", "Packer v2.0.0", "no idea"])
def test_a_tool_that_does_not_fit_is_passed_over(
    cache: Cache, tmp_path: Path, says: str
) -> None:
    """Too old, another major version, or unknown: it is named, and not taken."""
    program(tmp_path / "bin" / "packer", says)
    status = find.look(PACKER, cache)
    assert status.found is None
    assert status.passed_over[0].startswith(str(tmp_path / "bin" / "packer"))
    assert "packer >= 1.14" in str(status)


def test_a_tool_that_fails_is_passed_over(cache: Cache, tmp_path: Path) -> None:
    """A program that cannot say its version is not used."""
    program(tmp_path / "bin" / "pulumi", "v3.259.0", code=1)
    assert find.look(PULUMI, cache).found is None


def test_the_newest_fitting_plugin_is_taken(cache: Cache, tmp_path: Path) -> None:
    """Of the plugins in Packer's own folder the newest counts, as with Packer."""
    plugin(tmp_path / "plugins", "1.8.2")
    path = plugin(tmp_path / "plugins", "1.10.0")
    found = find.look(PLUGIN, cache).found
    assert found is not None
    assert (found.path, found.version) == (path, "1.10.0")
    assert found.plugins == tmp_path / "plugins"


def test_a_plugin_packer_would_refuse_is_not_taken(
    cache: Cache, tmp_path: Path
) -> None:
    """A plugin whose digest does not fit, or that is too old, does not count."""
    plugin(tmp_path / "plugins", "1.9.0", digest="0" * 64)
    plugin(tmp_path / "plugins", "1.3.0")
    assert find.look(PLUGIN, cache).found is None


def test_a_built_tool_is_found_again(cache: Cache) -> None:
    """What was built is kept with its digest, and taken the next time."""
    path = keep(cache, PULUMI)
    found = find.look(PULUMI, cache).found
    assert found is not None
    assert (found.path, found.how, found.sha256) == (path, "built", sha256(path))
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert manifest["version"] == "3.259.0"
    assert manifest["go"] == "go1.25.11"


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_a_changed_binary_is_refused(cache: Cache, change: str) -> None:
    """A built tool is used only while it is the file that was built."""
    path = keep(cache, PULUMI)
    path.write_text("something else") if change == "changed" else path.unlink()
    with pytest.raises(ToolError, match="is not what was built") as caught:
        chain.ensure(["pulumi"], cache=cache)
    assert str(path.parent) in caught.value.hint


def test_an_unreadable_manifest_is_refused(cache: Cache) -> None:
    """A manifest nobody can read vouches for nothing."""
    path = keep(cache, PULUMI)
    (path.parent / "manifest.json").write_text("{")
    with pytest.raises(ToolError, match="cannot be used"):
        cache.get(PULUMI)


def test_a_failed_build_leaves_nothing(cache: Cache) -> None:
    """A tool's folder is there whole or not at all."""

    def fill(folder: Path) -> Path:
        (folder / "packer").write_text("half")
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
    thread.join(10)
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
    assert found["packer"].how == "built"


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
    tool = found["packer-plugin-amazon"]
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


def test_the_environment_has_only_the_tools_own_folders(
    cache: Cache, tmp_path: Path
) -> None:
    """The caller puts its own PATH after these; the same folder is named once."""
    program(tmp_path / "bin" / "packer", "Packer v1.15.4")
    program(tmp_path / "bin" / "pulumi", "v3.259.0")
    plugin(tmp_path / "plugins", "1.8.2")
    found = toolchain.ensure(cache=cache)
    assert found.environment() == {
        "PATH": str(tmp_path / "bin"),
        "PACKER_PLUGIN_PATH": str(tmp_path / "plugins"),
    }
    assert found.versions == {
        "packer": "1.15.4",
        "packer-plugin-amazon": "1.8.2",
        "pulumi": "3.259.0",
    }


def test_status_builds_nothing(cache: Cache) -> None:
    """Asking what there is leaves the machine as it was."""
    assert [status.found for status in toolchain.status()] == [None, None, None]
    assert not cache.root.exists()


def test_an_unknown_tool_is_refused(cache: Cache) -> None:
    """A typo is a wrong call, not a build."""
    with pytest.raises(UsageError, match="no such tool: paker"):
        toolchain.ensure(["paker"], cache=cache)


def test_setup_is_told_in_json(
    cache: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m olrunbook.toolchain ensure --events` says one object a line."""
    program(tmp_path / "bin" / "pulumi", "v3.259.0")
    assert main(["ensure", "--events", "pulumi"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["tool"], said["state"]) == ("pulumi", "found")
    assert said["text"].startswith("3.259.0, on the PATH")


@pytest.mark.parametrize("name", list(PINS))
def test_the_pinned_versions_are_those_of_the_shipped_modules(name: str) -> None:
    """The version we say is the one go.mod requires; go.sum vouches for it."""
    pin = PINS[name]
    module = pin.package.removesuffix("/cmd/pulumi")
    folder = golang.modules(name)
    assert f"{module} v{pin.version} //" in (folder / "go.mod").read_text()
    assert f"{module} v{pin.version} h1:" in (folder / "go.sum").read_text()
