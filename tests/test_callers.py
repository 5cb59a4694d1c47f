"""What a caller hands down: none of it decides whether a run is good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from olrunbook.archive.place import list_runs

OLRUNBOOK = Path(sys.executable).parent / "olrunbook"

EARLY = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.modules.pop(sys.argv[1], None)
sys.meta_path.insert(0, Finder())
from olrunbook.cli import main
"""


def bare() -> None:
    """Begin as a daemon or a bare CI runner may have it."""
    os.umask(0o077)
    os.close(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_a_bare_caller_is_no_fault(project, make_notebook) -> None:
    """No locale, no HOME, no standard input, SIGINT ignored, files for one user."""
    path = make_notebook("print('ä→✓')", name="bare")
    env = {**os.environ, "HOME": "/nonexistent/home", "LC_ALL": "C"}
    env |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["run", path], ["runs"], ["verify", "--all"]):
        done = subprocess.run(
            [OLRUNBOOK, *words],
            cwd=project.root,
            env=env,
            preexec_fn=bare,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    (place,) = list_runs(project.outputs)
    shown = json.loads((place.folder / "notebook.ipynb").read_text("utf-8"))
    assert shown["cells"][0]["outputs"][0]["text"] == ["ä→✓\n"]
    mode = (place.folder / "notebook.ipynb").stat().st_mode & 0o777
    assert mode & 0o600 == 0o600


@pytest.mark.parametrize("module", ["typing", "click", "olrunbook.errors"])
def test_a_ctrl_c_before_we_are_there_is_one_line(module) -> None:
    """It comes while the command line imports what it needs: no traceback."""
    words = [sys.executable, "-c", EARLY, module]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "Interrupted.\n")
