"""What a caller hands down: none of it decides whether a run is good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from olrunbook.archive.place import list_runs

OLRUNBOOK = Path(sys.executable).parent / "olrunbook"


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
