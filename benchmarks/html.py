"""The HTML of a record, against nbconvert, each in fresh processes of its own.

python benchmarks/html.py [ROUNDS]      default 5; seconds are medians, imports included

A fresh process pays for pydantic and the model too (the largest part); while a run is
sealed they are there, and a page costs jinja2, mistune, its template and its cells.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

GOAL_S = 0.3
OURS = """
import json, sys
from olrunbook.pages.run import render
from olrunbook.record.model import RunRecord
record = RunRecord.model_validate_json(open(sys.argv[1]).read())
page = render(record, json.load(open(sys.argv[2])))
open(sys.argv[3], "w", encoding="utf-8").write(page)
"""
NBCONVERT = """
import sys
import nbformat
from nbconvert import HTMLExporter
notebook = nbformat.read(sys.argv[2], 4)
page, _ = HTMLExporter().from_notebook_node(notebook)
open(sys.argv[3], "w", encoding="utf-8").write(page)
"""
# As while a run is sealed: the record's own modules are there already.
SEALING = """
import json, sys, time
from olrunbook.archive import seal as build
from olrunbook.record.model import RunRecord
record = RunRecord.model_validate_json(open(sys.argv[1]).read())
notebook = json.load(open(sys.argv[2]))
began = time.perf_counter()
build.render(record, notebook)
print(time.perf_counter() - began)
"""


def notebook() -> dict[str, object]:
    """Return an executed notebook as a deploy leaves it: tables, plots, a log."""
    row = (
        "<tr>" + "<td style='border:1px solid #ccc'>aws:ec2/instance</td>" * 5 + "</tr>"
    )
    table = {"text/html": f"<table><caption>c</caption>{row * 60}</table>"}
    noise = bytes(n * 7 % 251 for n in range(30_000))
    plot = {"image/png": base64.b64encode(noise).decode()}
    log = "".join(
        f"\x1b[32m+\x1b[0m {n} aws:autoscaling:Group created\n" for n in range(1000)
    )
    outputs: list[dict[str, object]] = [
        {"output_type": "display_data", "data": data, "metadata": {}}
        for data in (table, table, plot)
    ]
    outputs.append({"output_type": "stream", "name": "stdout", "text": log})
    ours = {"olrunbook": {"status": "done"}}
    text = "# What changes\n\nThe *preview*, then **up**.\n\n| a |\n|---|\n| 1 |\n"
    cells: list[dict[str, object]] = []
    for n in range(6):
        cells.append(
            {"cell_type": "markdown", "id": f"m{n}", "metadata": {}, "source": text}
        )
        cells.append(
            {
                "cell_type": "code",
                "id": f"c{n}",
                "metadata": ours,
                "source": f"run.preview({n})",
                "outputs": outputs if n % 2 else [],
                "execution_count": n,
            }
        )
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def record() -> dict[str, object]:
    """Return the record of such a run."""
    began = datetime(2026, 11, 23, 15, tzinfo=UTC)
    return {
        "schema": "olrunbook/run/1",
        "run_id": "019a1b2c-3d4e-7f01-8abc-0123456789ab",
        "notebook": "deploy",
        "app": "tika",
        "started_at": began.isoformat(),
        "ended_at": (began + timedelta(seconds=40)).isoformat(),
        "status": "succeeded",
        "exit_code": 0,
        "steps": [{"name": name, "status": "done"} for name in ("preview", "up")],
    }


def main() -> None:
    """Measure in turns, so that a busy moment meets all; print the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "run.json").write_text(json.dumps(record()))
        (place / "notebook.ipynb").write_text(json.dumps(notebook()))

        def run(code: str, name: str) -> str:
            files = [str(place / f) for f in ("run.json", "notebook.ipynb", name)]
            argv = [sys.executable, "-c", code, *files]
            env = {**os.environ, "PYTHONWARNINGS": "ignore"}
            said = subprocess.run(
                argv, check=True, capture_output=True, text=True, env=env
            )
            return said.stdout

        def wall(code: str, name: str) -> Callable[[], float]:
            def measure() -> float:
                began = time.perf_counter()
                run(code, name)
                return time.perf_counter() - began

            return measure

        ways: dict[str, Callable[[], float]] = {
            "Python alone": wall("pass", "none"),
            "nbconvert (API)": wall(NBCONVERT, "theirs.html"),
            "olrunbook, fresh process": wall(OURS, "ours.html"),
            "olrunbook, while sealing": lambda: float(run(SEALING, "none")),
        }
        for measure in ways.values():
            measure()  # bytecode
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, measure in ways.items():
                found[name].append(measure())
        for name, seconds in found.items():
            low, high = min(seconds), max(seconds)
            print(f"{name:<26} {median(seconds):7.3f} s   ({low:.3f} to {high:.3f})")
        for name in ("theirs.html", "ours.html"):
            page = (place / name).read_text()
            loads = len(re.findall(r"""(?:src|href)=["']https?://""", page))
            print(f"{name:<26} {len(page) / 1000:7.0f} kB, loads from outside: {loads}")
        alone = median(found["Python alone"])
        for name, less in (
            ("olrunbook, while sealing", 0.0),
            ("olrunbook, fresh process", alone),
        ):
            seconds = median(found[name]) - less
            word = "met" if seconds <= GOAL_S else "missed"
            print(f"goal {GOAL_S} s, {name}: {seconds:.3f} s, {word}")


if __name__ == "__main__":
    main()
