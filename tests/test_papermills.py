"""papermill's own test notebooks end through our engine as they do through its own."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import pytest

from olrunbook.project.catalog import find_project

_SPEC = find_spec("papermill")
assert _SPEC is not None
assert _SPEC.origin is not None
PAPERMILLS = Path(_SPEC.origin).parent / "tests" / "notebooks"
# One sleeps for a minute, the other runs papermill from a checkout of it.
LEFT_OUT = {"binder", "keyboard_interrupt"}
NOT_PYTHON = {"notimplemented_translator"}


def ends(engine: str | None, path: Path) -> str:
    """Return how a notebook ends: well, or by an error.

    Each process has one at a time: papermill changes what is one for a process.
    """
    papermill = import_module("papermill")

    kernel = {} if path.stem in NOT_PYTHON else {"kernel_name": "python3"}
    try:
        papermill.execute_notebook(
            path,
            None,
            engine_name=engine,
            cwd=path.parent,
            progress_bar=False,
            **kernel,
        )
    except Exception:  # noqa: BLE001  (each engine has its own)
        return "failed"
    return "succeeded"


def settle(folder: Path) -> None:
    """Work in a project of our own, with kernels that need no port."""
    # First what makes jupyter_client quick to import.
    import_module("olrunbook.record.jupyter")
    import_module("tests.sockets").over_files()
    os.chdir(folder)
    os.environ["OLRUNBOOK_STATE"] = str(folder / "state")


@pytest.fixture(scope="module")
def papermills(tmp_path_factory) -> dict[str, tuple[str, str]]:
    """Return how each of papermill's notebooks ends, by its engine and by ours."""
    folder = tmp_path_factory.mktemp("papermill")
    (folder / "catalog.toml").write_text(find_project().catalog_file.read_text())
    paths = [p for p in sorted(PAPERMILLS.glob("*.ipynb")) if p.stem not in LEFT_OUT]
    count, context = len(paths), get_context("spawn")
    with ProcessPoolExecutor(3, context, settle, (folder,)) as pool:
        found = list(pool.map(ends, [None] * count + ["olrunbook"] * count, paths * 2))
    both = zip(found[:count], found[count:], strict=True)
    return dict(zip((path.stem for path in paths), both, strict=True))


@pytest.mark.parametrize(
    "name", sorted({path.stem for path in PAPERMILLS.glob("*.ipynb")} - LEFT_OUT)
)
def test_papermills_own_notebooks_end_as_they_do_there(papermills, name) -> None:
    """In the same class: well, or not."""
    theirs, mine = papermills[name]
    assert mine == theirs


def test_papermills_notebooks_end_in_both_ways(papermills) -> None:
    """The comparison has something to compare."""
    assert {theirs for theirs, _ in papermills.values()} == {"succeeded", "failed"}
