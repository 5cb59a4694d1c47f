"""Imports run one way: DESIGN's layers, as import-linter checks them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHECK = "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of a folder's pyproject.toml on its package."""
    # The folder comes first on the path of `-c`, so its own package is looked at.
    return subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder)},
    )


def test_no_import_runs_upwards() -> None:
    """Every room imports only from the rooms below it."""
    said = check(ROOT)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("module", "imports", "found"),
    [
        ("errors.py", "olrunbook.cli", "olrunbook.errors -> olrunbook.cli"),
        ("record/model.py", "olrunbook.record.judge", ".model -> .judge"),
    ],
)
def test_an_import_that_runs_back_is_found(
    tmp_path: Path, module: str, imports: str, found: str
) -> None:
    """The contracts are not empty: up to a higher room, or in a circle for a type."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "olrunbook", tmp_path / "olrunbook", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "olrunbook" / module).open("a", encoding="utf-8") as file:
        file.write("\nfrom typing import TYPE_CHECKING\n")
        file.write(f"\nif TYPE_CHECKING:\n    import {imports}\n")
    said = check(tmp_path)
    assert said.returncode == 1
    assert found in said.stdout
