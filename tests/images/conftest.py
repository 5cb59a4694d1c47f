"""Fixtures of the image tests: contexts without a cloud, programs that only act."""

from __future__ import annotations

import dataclasses
import shutil
import stat
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from olrunbook.adapters.context import Commit, Context
from olrunbook.events import Event
from olrunbook.project.catalog import Project
from olrunbook.redact import Redactor
from olrunbook.targets import Target
from tests.nowhere import nowhere

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return a function that puts a program of a name first on the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the kit's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("OLRUNBOOK_CACHE", str(folder))
    return folder


class NoCloud(Target):
    """A target whose account is a dictionary of answers."""

    answers: dict[str, Any] = Field(default_factory=dict)
    calls: list[Any] = Field(default_factory=list)

    def client(self, service: str) -> Any:
        """Return a client that answers from the dictionary."""
        return Answers(self.answers, self.calls)


@dataclasses.dataclass
class Answers:
    """An AWS client that knows its answers by name of the call."""

    answers: dict[str, Any]
    calls: list[Any]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a call that notes its arguments."""

        def call(**arguments: Any) -> Any:
            self.calls.append((name, arguments))
            return self.answers.get(name, {})

        return call


@pytest.fixture
def nocloud(tmp_path: Path) -> NoCloud:
    """Return a target that answers what the test puts into `answers`."""
    home = tmp_path / "home"
    home.mkdir()
    env = {"PACKER_PLUGIN_PATH": str(tmp_path / "plugins")}
    return nowhere(NoCloud, home, state=tmp_path / "target", env=env)


@pytest.fixture
def told() -> list[Event]:
    """Return the list in which the context's events are kept."""
    return []


@pytest.fixture
def context(
    project: Project, redactor: Redactor, tmp_path: Path, told: list[Event]
) -> Iterator[Callable[..., Context]]:
    """Return a function that makes a context for an app of the project."""

    def make(app: str = "tika", place: Target | None = None, **more: Any) -> Context:
        found = more.pop("project", project)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return Context(
            project=found,
            place=place,
            app_name=app,
            app=found.catalog.app(app),
            stage="",
            run_id=str(uuid.uuid4()),  # in names of containers: nobody else has it
            commit=Commit("c0ffee"),
            logs=tmp_path / "logs",
            work=work,
            redactor=redactor,
            emit=told.append,
            **more,
        )

    (tmp_path / "logs").mkdir()
    yield make
    shutil.rmtree(tmp_path / "work", ignore_errors=True)


@pytest.fixture
def hello(tmp_path: Path) -> Project:
    """Return a copy of the example project."""
    root = tmp_path / "hello"
    shutil.copytree(ROOT / "examples" / "hello", root)
    return Project(root, root / "catalog.toml")
