"""How long `--help` takes, above Python's own start; papermill's for comparison.

python benchmarks/help.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROUNDS = 7
GOAL_S = 0.3
BIN = Path(sys.executable).parent
CALLS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "olrunbook --help": [str(BIN / "olrunbook"), "--help"],
    "olrunbook run deploy --help": [str(BIN / "olrunbook"), "run", "deploy", "--help"],
    "olrunbook runs --help": [str(BIN / "olrunbook"), "runs", "--help"],
    "papermill --help": [str(BIN / "papermill"), "--help"],
}


def seconds(call: list[str]) -> float:
    """Return the median time of a call; the first one warms the disk."""
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return median(taken[1:])


def main() -> None:
    """Measure and print."""
    print(f"seconds, median of {ROUNDS}; goal: {GOAL_S} above Python's own start")
    base = 0.0
    for name, call in CALLS.items():
        taken = seconds(call)
        base = base or taken
        print(f"  {name:<30} {taken:6.3f}   {taken - base:+.3f}", flush=True)


if __name__ == "__main__":
    main()
