"""What is Linux's alone is in one room, and has a name where it is not done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from olrunbook.processes import system

ROOT = Path(__file__).resolve().parents[1]
# The rehearsal is Linux's as a whole.
ROOMS = ("processes/system.py", "rehearsal/")
ONLY_LINUX = re.compile(
    r"""["'(]/proc\b|\bCDLL\b|\bprctl\(|posix_fallocate|\.sched_|memfd_|pidfd_|pipe2"""
)
IMPORT_ALL = """
import importlib, pkgutil, sys
import papermill
import olrunbook

names = [
    one.name
    for one in pkgutil.walk_packages(olrunbook.__path__, "olrunbook.")
    if not one.name.endswith(("__main__", "workers.pyinfra", "verifier"))
]
for name in names:  # what others import on the way is their business
    importlib.import_module(name)
for name in [one for one in sys.modules if one.split(".")[0] == "olrunbook"]:
    del sys.modules[name]


def hook(event, arguments):
    path = str(arguments[0]) if arguments else ""
    if event in ("open", "os.listdir", "os.scandir") and path.startswith("/proc"):
        raise RuntimeError(path)


sys.addaudithook(hook)
sys.platform = "darwin"
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_linux_only_calls_are_in_one_room() -> None:
    """So that what another system lacks can be seen, and named, in one place."""
    found = [
        f"{path}: {hit[0]}"
        for file in sorted((ROOT / "olrunbook").rglob("*.py"))
        if not (path := str(file.relative_to(ROOT / "olrunbook"))).startswith(ROOMS)
        if (hit := ONLY_LINUX.search(file.read_text()))
    ]
    assert found == []


def test_every_module_can_be_imported_on_another_system() -> None:
    """None of them looks into /proc for it, or needs what only Linux has."""
    argv = [sys.executable, "-c", IMPORT_ALL]
    said = subprocess.run(argv, capture_output=True, check=False, text=True)
    assert said.returncode == 0, said.stderr
    assert int(said.stdout) > 300


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the room believe that this is no Linux."""
    monkeypatch.setattr(system.sys, "platform", "darwin")


@pytest.mark.usefixtures("_elsewhere")
def test_elsewhere_psutil_tells_who_lives(tmp_path: Path) -> None:
    """A run whose process ended is found dead there, too, and none that lives."""
    argv = [sys.executable, "-c", "input()", "a word of its own"]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE)
    began = system.since(child.pid)
    assert began
    assert began == system.since(child.pid)
    words = dict(system.commands())
    assert words[child.pid][-1] == "a word of its own"
    assert os.getpid() in words
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not reaped
    assert system.since(child.pid) == ""
    child.wait()
    assert system.since(child.pid) == ""
    assert system.boot()
    with (tmp_path / "room").open("wb") as file:
        system.reserve(file.fileno(), 1 << 18)
    assert (tmp_path / "room").stat().st_size == 1 << 18


@pytest.mark.usefixtures("_elsewhere")
def test_elsewhere_what_is_not_done_is_left_alone() -> None:
    """Nothing is found, and no call fails."""
    assert [*system.folders()] == []
    system.adopt()
    system.die_with_parent(15)


def test_the_docs_name_what_is_not_done() -> None:
    """Word for word, as a preflight says it."""
    text = (ROOT / "docs/machines.md").read_text()
    assert re.findall(r"^- (.*)$", text, re.MULTILINE) == [*system.NOT_DONE]


def test_the_devcontainer_can_be_read() -> None:
    """Its file is JSON, and what it calls is there; more cannot be tried here."""
    folder = ROOT / ".devcontainer"
    made = json.loads((folder / "devcontainer.json").read_text())
    assert (folder / made["build"]["dockerfile"]).is_file()
    assert "--privileged" in made["runArgs"]
    target = made["postCreateCommand"].removeprefix("make ")
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()
