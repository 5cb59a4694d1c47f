"""The notebooks as files: thin, stripped, declared parameters, calls that fit."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import nbformat
import pytest

import olrunbook
from olrunbook.project.catalog import Project
from olrunbook.project.params import declared, read_notebook
from olrunbook.run import Run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
PARAMETERS = {
    "image_test": ["app", "target", "base", "node_type"],
    "image_build": ["app", "target", "node_type", "on_error", "variables"],
    "deploy": ["app", "stage", "images", "target"],
    "rollout": ["app", "stage", "deploy_run", "target"],
    "refresh": ["app", "stage", "min_healthy", "max_healthy", "target"],
    "release": ["app", "release", "target"],
}
LINES = 5


@pytest.fixture(params=sorted(PARAMETERS))
def path(request: pytest.FixtureRequest) -> Path:
    """Return each notebook, one after the other."""
    found: Path = FOLDER / f"{request.param}.ipynb"
    return found


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    """Return a notebook's cells of a kind."""
    return [c for c in read_notebook(path)["cells"] if c["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    """Return a cell's text."""
    return "".join(cell["source"])


def test_there_are_these_and_no_others() -> None:
    """A notebook without an entry here is tried by nobody."""
    assert {file.stem for file in FOLDER.glob("*.ipynb")} == set(PARAMETERS)


def test_it_is_valid_and_carries_no_run(path: Path) -> None:
    """Valid nbformat 4.5, no outputs, no counts, nothing of the machine it ran on."""
    nbformat.validate(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    notebook = read_notebook(path)
    assert notebook["metadata"] == {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_cells_have_names_that_stay(path: Path) -> None:
    """Two runs of one notebook can be compared cell by cell."""
    ids = [cell["id"] for cell in read_notebook(path)["cells"]]
    assert len(ids) == len(set(ids))
    assert all(name.replace("-", "").isalpha() for name in ids)


def test_its_parameters_are_declared_with_a_help(path: Path) -> None:
    """Typed, in this order, each explained; the defaults run a rehearsal of Tika."""
    catalog = Project(ROOT, ROOT / "catalog.toml").catalog
    found = declared(read_notebook(path), catalog)
    assert list(found) == PARAMETERS[path.stem]
    assert all(parameter.help for parameter in found.values())
    assert found["app"].default == "tika"
    assert found["target"].default == "rehearsal"
    if "stage" in found:
        assert found["stage"].default == catalog.stages.order[0]


def test_its_cells_are_thin(path: Path) -> None:
    """A person reads the document; what is done stands in the steps."""
    for cell in cells(path):
        if "parameters" not in cell["metadata"].get("tags", []):
            assert len(source(cell).splitlines()) <= LINES


def test_it_explains_itself(path: Path) -> None:
    """Title first; what, when, what can go wrong, and what is not tested or shown."""
    first = source(read_notebook(path)["cells"][0])
    assert first.startswith("# ")
    for word in ("**What.**", "**When.**", "**What can go wrong.**", "**What is not"):
        assert word in first


def test_it_begins_and_concludes(path: Path) -> None:
    """The run carries the notebook's own name; the last cell is the conclusion."""
    texts = [source(cell) for cell in cells(path)]
    assert f'olrunbook.begin("{path.stem}"' in texts[1]
    assert texts[-1].startswith("run.conclude(")


def test_its_calls_fit_the_run(path: Path) -> None:
    """Every method a cell calls is there and takes these arguments."""
    for cell in cells(path):
        for node in ast.walk(ast.parse(source(cell))):
            if not isinstance(node, ast.Call) or not isinstance(
                node.func, ast.Attribute
            ):
                continue
            assert isinstance(node.func.value, ast.Name)
            owner, name = node.func.value.id, node.func.attr
            of_run = owner == "run"
            called: Any = getattr(Run if of_run else olrunbook, name)
            values = [None, *node.args] if of_run else node.args
            names = {keyword.arg: None for keyword in node.keywords}
            inspect.signature(called).bind(*values, **names)
