"""Whole commands: `olrunbook run` beside `papermill`, interleaved in one run.

    python benchmarks/engine.py [--runs 5] [cells|big|lines]

cells: 5 trivial cells. big: 200 cells that print 50 kB each. lines: one cell that
prints 100,000 lines. Medians; the ratio is what counts, the seconds are the machine's.
`save once` is papermill told not to write after each cell.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
KB50 = 'print("\\n".join(f"{i:06d} " + "x" * 92 for i in range(500)))'
CASES: dict[str, tuple[list[str], float]] = {
    "cells": (["a = 1", "b = a + 1", "print(b)", "c = [a, b]", "c"], 0.35),
    "big": ([KB50] * 200, 1.0),
    "lines": (['for i in range(100_000): print("line", i, "x" * 80)'], 0.6),
}


def notebook(sources: list[str]) -> str:
    """Return a notebook of these cells, which know nothing of us."""
    cells = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    meta = {"kernelspec": kernel}
    body = {"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(body)


def seconds(argv: list[str], folder: Path) -> float:
    """Run a command to its good end and return how long it took."""
    env = {**os.environ, "OLRUNBOOK_ARCHIVE": str(folder / "outputs")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # a checkout has no bytecode yet
    began = time.monotonic()
    done = subprocess.run(
        argv, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
    return took


def api(folder: Path) -> list[str]:
    """Return the command of papermill that writes its output once, at the end."""
    code = (
        "import papermill; papermill.execute_notebook('bench.ipynb', 'out.ipynb', "
        "request_save_on_cell_execute=False, progress_bar=False)"
    )
    del folder
    return [sys.executable, "-c", code]


def measure(case: str, runs: int) -> None:
    """Print one case's medians."""
    sources, goal = CASES[case]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "catalog.toml", folder)
        (folder / "bench.ipynb").write_text(notebook(sources))
        ways: dict[str, Callable[[], list[str]]] = {
            "papermill": lambda: [str(BIN / "papermill"), "bench.ipynb", "out.ipynb"],
            "olrunbook": lambda: [str(BIN / "olrunbook"), "run", "bench.ipynb"],
            "papermill --engine olrunbook": lambda: [
                str(BIN / "papermill"),
                "bench.ipynb",
                "out.ipynb",
                "--engine",
                "olrunbook",
            ],
        }
        if case == "big":
            ways["papermill, save once"] = lambda: api(folder)
        took: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(runs):
            for way, argv in ways.items():
                took[way].append(seconds(argv(), folder))
        base = "papermill, save once" if case == "big" else "papermill"
        against = statistics.median(took[base])
        print(f"{case}: medians of {runs}; goal {goal} of {base}")
        for way, values in took.items():
            median = statistics.median(values)
            spread = f"{min(values):.2f}-{max(values):.2f}"
            ratio = f"{median / against:.2f} of {base}"
            print(f"  {way:<30} {median:7.2f} s ({spread})   {ratio}")
        (place,) = list(folder.glob("outputs/*/*/*/*/notebook.ipynb"))[:1]
        sizes = [(folder / "out.ipynb").stat().st_size, place.stat().st_size]
        print(f"  notebook: {sizes[0] / 1e6:.2f} MB out, {sizes[1] / 1e6:.2f} MB ours")


def main() -> None:
    """Measure the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    options = parser.parse_args()
    for case in options.cases or CASES:
        measure(case, options.runs)


if __name__ == "__main__":
    main()
