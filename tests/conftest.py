"""Fixtures for every room: a project of one's own, nothing of the user's shell."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import olrunbook.record.jupyter  # noqa: F401  (first: makes the next nbformat quick)
from olrunbook.project.catalog import Project, find_project
from olrunbook.redact import Redactor, new_key

ROOT = Path(__file__).resolve().parents[1]
UNSET = (
    "OLRUNBOOK_PROJECT",
    "OLRUNBOOK_ARCHIVE",
    "OLRUNBOOK_RUN_DIR",
    "OLRUNBOOK_GRACE_S",
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's settings out, and bytecode in: tools start faster with it."""
    for name in (*UNSET, "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project in a temporary folder with the shipped catalog and no cloud."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "catalog.toml", folder)
    monkeypatch.setenv("OLRUNBOOK_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(folder)
    return find_project()


@pytest.fixture(scope="module")
def one_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a kernel for tests that begin runs of their own in it and conclude."""
    from tests.kernels import desk_in  # noqa: PLC0415  (it imports from here)

    with desk_in(tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return somebody with an account: a second rehearsal, without containers."""
    from tests.account import person_at  # noqa: PLC0415  (it imports the rehearsal)

    with person_at(tmp_path_factory.mktemp("person")) as made:
        yield made


@pytest.fixture
def redactor() -> Redactor:
    """Return a redactor with a fresh key and no secrets."""
    return Redactor(new_key())


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Return a function that waits until a condition is true or a deadline is over."""

    def wait(condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
        end = time.monotonic() + timeout_s
        while not (got := condition()):
            assert time.monotonic() < end, f"not true within {timeout_s} s"
            time.sleep(0.05)
        return got

    return wait


@pytest.fixture
def make_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a notebook from its cells' sources.

    A source that begins with `# parameters` is tagged so.
    """

    def make(
        *sources: str, name: str = "sample", tags: dict[int, str] | None = None
    ) -> Path:
        cells = []
        for number, source in enumerate(sources):
            marks = ["parameters"] if source.startswith("# parameters") else []
            marks += [tags[number]] if tags and number in tags else []
            cells.append(
                {
                    "cell_type": "code",
                    "id": f"cell-{number}",
                    "metadata": {"tags": marks} if marks else {},
                    "source": source,
                    "outputs": [],
                    "execution_count": None,
                }
            )
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        body = {
            "cells": cells,
            "metadata": {"kernelspec": kernel},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = tmp_path / f"{name}.ipynb"
        path.write_text(json.dumps(body))
        return path

    return make


def pytest_configure() -> None:
    """Take nothing from the caller that tests rely on.

    A shell's background job has its children ignore SIGINT (`nohup`: SIGHUP), and tests
    send them. The tests and their child processes write bytecode: they start faster
    with it. Few objects of so many modules are garbage: it is looked for less often.
    """
    gc.set_threshold(20_000)
    sys.dont_write_bytecode = False
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish() -> None:
    """Let no search for garbage look through what stays to the end."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle modules, and the tests in them, where a seed is given (`make flaky`)."""
    if seed := os.environ.get("OLRUNBOOK_SHUFFLE"):
        chance = random.Random(seed)  # noqa: S311  (no secret)
        places = {item.path: chance.random() for item in items}
        items.sort(key=lambda item: (places[item.path], chance.random()))


_SECONDS: dict[str, float] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what a test and its fixtures took."""
    _SECONDS[report.nodeid] = _SECONDS.get(report.nodeid, 0) + report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave the times where `make test` asks for them; a worker's are counted once."""
    path = os.environ.get("OLRUNBOOK_DURATIONS")
    if path and not hasattr(session.config, "workerinput"):
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        with Path(path).open("a") as out:
            out.writelines(
                f"{seconds:7.1f}  {name} (Python {python})\n"
                for name, seconds in _SECONDS.items()
            )


# A green run can be repeated: the examples are the same each time. `make fuzz` looks
# for new ones; what it finds is kept in the tests as an `@example`.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("OLRUNBOOK_HYPOTHESIS", "same"))
