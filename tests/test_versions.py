"""The versions that are taken, and that were tried: one table for code and docs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from olrunbook.project.versions import VERSIONS
from olrunbook.toolchain.pins import PINS

ROOT = Path(__file__).resolve().parents[1]


def test_the_docs_show_the_table() -> None:
    """docs/machines.md has a row for each tool, and says the same."""
    rows = [
        f"| {name} | {row.minimum} | {', '.join(row.tried)} | {row.note} |"
        for name, row in VERSIONS.items()
    ]
    text = (ROOT / "docs/machines.md").read_text()
    start = text.index("| tool | ")
    assert text[start:].partition("\n\n")[0].splitlines()[2:] == rows


def test_what_is_pinned_was_tried() -> None:
    """A tool that is downloaded or built is one that fits, and that was run."""
    for name, pin in PINS.items():
        assert pin.version in VERSIONS[name].tried
        assert VERSIONS[name].fit(pin.version)


def test_the_oldest_python_is_said_once() -> None:
    """What cannot read the table says the same: packaging, and what finds a Python."""
    oldest = VERSIONS["python"].minimum
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["requires-python"] == f">={oldest}"
    assert pyproject["tool"]["mypy"]["python_version"] == oldest
    for file in ("setup/run.sh", "README.md"):
        assert f"{oldest} or newer" in (ROOT / file).read_text()


@pytest.mark.parametrize(
    ("found", "fits"),
    [("20.10.24+dfsg1", True), ("28.2.2", True), ("19.03.15", False), ("", False)],
)
def test_versions_are_compared_as_numbers(found: str, *, fits: bool) -> None:
    """Whatever a distribution has put after it; what says none does not fit."""
    assert VERSIONS["docker"].fit(found) == fits
