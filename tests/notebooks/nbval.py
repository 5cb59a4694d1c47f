"""Run a notebook cell by cell as a person would, by nbval, with parameters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from olrunbook.project.params import read_notebook

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


def by_nbval(
    notebook: str,
    parameters: Mapping[str, str],
    *,
    folder: Path,
    env: Mapping[str, str],
    timeout_s: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Run a notebook's cells by nbval; each cell is a test that passes or fails.

    Nobody seals the run from outside, as in JupyterLab: the last cell does it.

    Args:
        notebook: Its name.
        parameters: Values put in place of the defaults.
        folder: Where the notebook with the values is written.
        env: The environment of the kernel.
        timeout_s: Seconds one cell may take.

    """
    content = read_notebook(FOLDER / f"{notebook}.ipynb")
    for at, cell in enumerate(content["cells"]):
        if "parameters" in cell["metadata"].get("tags", []):
            values = [f"{name} = {value!r}" for name, value in parameters.items()]
            given = {**cell, "id": "injected", "metadata": {}}
            content["cells"].insert(at + 1, {**given, "source": "\n".join(values)})
            break
    path = folder / f"{notebook}.ipynb"
    path.write_text(json.dumps(content), encoding="utf-8")
    words = ["-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    limit = f"--nbval-cell-timeout={timeout_s:g}"
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, limit, str(path)],
        cwd=folder,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
