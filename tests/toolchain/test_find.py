"""What fits is taken from the machine; what was built is verified before use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook import toolchain
from olrunbook.errors import ToolError, UsageError
from olrunbook.project.versions import parse
from olrunbook.record.files import sha256_file
from olrunbook.toolchain import chain, find, golang
from olrunbook.toolchain.__main__ import main
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.pins import PINS
from tests.toolchain.support import (
    PACKER,
    PLUGIN,
    PULUMI,
    keep,
    plugin,
    program,
)


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
    """A version of any numbers is read whole."""
    assert parse(f"tool v{'.'.join(map(str, parts))} (x)") == tuple(parts)


def test_a_fitting_tool_on_the_path_is_taken(cache: Cache, tmp_path: Path) -> None:
    """Nothing is built where the machine has what fits."""
    path = program(tmp_path / "bin" / "packer", "Packer v1.14.0")
    found = find.look(PACKER, cache)
    assert found is not None
    assert (found.path, found.version, found.how) == (path, "1.14.0", "path")


@pytest.mark.parametrize("says", ["Packer v1.13.1", "Packer v2.0.0", "no idea"])
def test_a_tool_that_does_not_fit_is_passed_over(
    cache: Cache, tmp_path: Path, says: str
) -> None:
    """Too old, another major version, or unknown: it is not taken."""
    program(tmp_path / "bin" / "packer", says)
    assert find.look(PACKER, cache) is None


def test_a_tool_that_fails_is_passed_over(cache: Cache, tmp_path: Path) -> None:
    """A program that cannot say its version is not used."""
    program(tmp_path / "bin" / "pulumi", "v3.259.0", code=1)
    assert find.look(PULUMI, cache) is None


def test_the_newest_fitting_plugin_is_taken(cache: Cache, tmp_path: Path) -> None:
    """Of the plugins in Packer's own folder the newest counts, as with Packer."""
    plugin(tmp_path / "plugins", "1.8.2")
    path = plugin(tmp_path / "plugins", "1.10.0")
    found = find.look(PLUGIN, cache)
    assert found is not None
    assert (found.path, found.version) == (path, "1.10.0")
    assert found.plugins == tmp_path / "plugins"


def test_a_plugin_packer_would_refuse_is_not_taken(
    cache: Cache, tmp_path: Path
) -> None:
    """A plugin whose digest does not fit, or that is too old, does not count."""
    plugin(tmp_path / "plugins", "1.9.0", digest="0" * 64)
    plugin(tmp_path / "plugins", "1.3.0")
    assert find.look(PLUGIN, cache) is None


def test_a_built_tool_is_found_again(cache: Cache) -> None:
    """What was built is kept with its digest, and taken the next time."""
    path = keep(cache, PULUMI)
    found = find.look(PULUMI, cache)
    assert found is not None
    assert (found.path, found.how, found.sha256) == (path, "built", sha256_file(path))
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert manifest["version"] == "3.259.0"
    assert manifest["go"] == "go1.25.11"


@pytest.mark.parametrize("change", ["changed", "gone", "a folder", "as large, as old"])
def test_a_changed_binary_is_refused(cache: Cache, change: str) -> None:
    """A built tool is used only while it is the file that was built."""
    path = keep(cache, PULUMI)
    assert cache.get(PULUMI)
    assert (path.parent / "checked.json").exists()  # it is not read again …
    if change in ("gone", "a folder"):
        path.unlink()
        if change == "a folder":
            path.mkdir()
    else:
        before = path.stat()
        old = path.read_bytes()
        path.write_bytes(old[::-1])
        if change == "as large, as old":  # … but it is, whatever its time says
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ToolError, match="is not what was built") as caught:
        chain.ensure(["pulumi"], cache=cache)
    assert str(path.parent) in caught.value.hint


def test_an_unreadable_manifest_is_refused(cache: Cache) -> None:
    """A manifest nobody can read vouches for nothing."""
    path = keep(cache, PULUMI)
    (path.parent / "manifest.json").write_text("{")
    with pytest.raises(ToolError, match="cannot be used"):
        cache.get(PULUMI)


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
    versions = [(name, tool.version) for name, tool in found.tools.items()]
    assert versions == [
        ("packer", "1.15.4"),
        ("packer-plugin-amazon", "1.8.2"),
        ("pulumi", "3.259.0"),
    ]


def test_looking_builds_nothing(cache: Cache) -> None:
    """Asking what there is leaves the machine as it was."""
    assert [find.look(pin, cache) for pin in PINS.values()] == [None, None, None]
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
