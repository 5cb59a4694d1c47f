"""From SIGTERM to the end of the command and its record, ours against papermill's.

python benchmarks/ending.py [ROUNDS]      default 5; medians in seconds

A tool runs in the cell and takes 0.2 s to end when it is interrupted: as a subprocess
under papermill, in a step under its supervisor with us. Also told: what each leaves.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

GOAL_S = 1.0
BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
PRELUDE = ROOT / "tests" / "endings" / "prelude.py"
PARAMETERS = 'from olrunbook import App\napp: App = "tika"\n'
PLAIN = """
import subprocess, sys
with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as tool:
    tool.stdout.readline()
    open(SIGN, "w").write(str(tool.pid))
    tool.wait()
"""
TOOL = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.2), sys.exit(3)))
print("up", flush=True)
time.sleep(300)
"""


def notebook(path: Path, *sources: str) -> None:
    """Write a notebook of these cells; the first has the parameters."""
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {} if number else {"tags": ["parameters"]},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    body = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4}
    path.write_text(json.dumps({**body, "nbformat_minor": 5}))


def measure(words: list[str], desk: Path) -> float:
    """Return the seconds from SIGTERM in the step to the end of a command."""
    sign = desk / "sign"
    sign.unlink(missing_ok=True)
    env = {name: v for name, v in os.environ.items() if "OLRUNBOOK" not in name}
    child = subprocess.Popen(
        words,
        cwd=desk,
        env={**env, "ENDINGS_DESK": str(desk), "OLRUNBOOK_STATE": str(desk / "state")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not sign.exists():
        assert child.poll() is None, "it ended too early"
        time.sleep(0.01)
    time.sleep(1)  # as in the middle of something long
    began = time.perf_counter()
    child.send_signal(signal.SIGTERM)
    child.wait(60)
    return time.perf_counter() - began


def ours(desk: Path) -> tuple[float, str]:
    """Measure `olrunbook run`; the record is complete when it ends."""
    took = measure([str(BIN / "olrunbook"), "run", "image_test"], desk)
    newest = max((desk / "outputs").glob("*/*/*/*/run.json"))
    record = json.loads(newest.read_text())
    assert record["exit_code"] == 128 + signal.SIGTERM, record["cause"]
    return took, f"record {record['status']}, {record['cells_not_run']} cell not run"


def papermills(desk: Path) -> tuple[float, str]:
    """Measure papermill's own engine; it says nothing of its end."""
    words = [str(BIN / "papermill"), "plain.ipynb", "out.ipynb", "--no-progress-bar"]
    took = measure(words, desk)
    cells = json.loads((desk / "out.ipynb").read_text())["cells"]
    status = cells[-2]["metadata"]["papermill"]["status"]
    pid = int((desk / "sign").read_text())
    try:
        os.kill(pid, signal.SIGKILL)
        left = "the tool still runs"
    except ProcessLookupError:
        left = "no tool is left"
    return took, f'its cell says "{status}", {left}'


def main(rounds: int) -> None:
    """Measure both in turn and print the medians."""
    with tempfile.TemporaryDirectory(prefix="ending-") as name:
        desk = Path(name)
        (desk / "notebooks").mkdir()
        (desk / "catalog.toml").write_text((ROOT / "catalog.toml").read_text())
        path = desk / "notebooks" / "image_test.ipynb"
        step = "step('build', OBEYS)"
        notebook(path, PARAMETERS, PRELUDE.read_text(), step, "conclude()")
        named = f"PROGRAM, SIGN = {TOOL!r}, {str(desk / 'sign')!r}\n"
        notebook(desk / "plain.ipynb", "app = 'tika'", named + PLAIN, "print('end')")
        seconds: dict[str, list[float]] = {"olrunbook": [], "papermill": []}
        said: dict[str, str] = {}
        for _ in range(rounds):
            for who, call in (("olrunbook", ours), ("papermill", papermills)):
                took, said[who] = call(desk)
                seconds[who].append(took)
    for who, took_s in seconds.items():
        print(f"{who:10} {median(took_s):.2f} s  ({said[who]})")
    print(f"goal       {GOAL_S:.2f} s  for olrunbook when the tool obeys")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
