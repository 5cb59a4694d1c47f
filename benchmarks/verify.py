"""How long `verify` takes for an archive of 10,000 runs, and how fast it reads.

`python benchmarks/verify.py [RUNS]`: makes the archive in a temporary folder, verifies
it five times by the copy that lies in it, and prints the median.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from olrunbook.archive.chain import renew_verifier
from olrunbook.record.files import new_run_id

ROOMS = ("image", "CI", "QA", "Production")
# As a deploy leaves them; sizes in bytes.
FILES = {
    "notebook.ipynb": 12_000,
    "notebook.html": 24_000,
    "journal.jsonl": 4_000,
    "logs/pulumi-up.log": 8_000,
}
TIMES = 5
GOAL_S = 3.0


def make(outputs: Path, runs: int, sizes: dict[str, int]) -> None:
    """Write an archive; entries by hand, for appending waits for the disk each time."""
    for room in ROOMS:
        folder = outputs / "rehearsal" / "tika" / room
        folder.mkdir(parents=True)
        before, number = "0" * 64, 0
        with (folder / "chain.jsonl").open("wb") as chain:
            for _ in range(runs // len(ROOMS)):
                for entry in run(folder, room, sizes):
                    number += 1
                    line = json.dumps({"n": number, "prev": before, **entry}).encode()
                    before = hashlib.sha256(line).hexdigest()
                    chain.write(line + b"\n")
        head = json.dumps({"n": number, "sha256": before})
        (folder / "chain.head").write_text(head)
    renew_verifier(outputs)


def run(room_folder: Path, room: str, sizes: dict[str, int]) -> list[dict[str, str]]:
    """Write one run and return its entries."""
    run_id = new_run_id()
    folder = room_folder / f"2026-11-23T15-09-44Z_deploy_{run_id}"
    (folder / "logs").mkdir(parents=True)
    listed = {}
    for name, size in sizes.items():
        raw = os.urandom(size)
        (folder / name).write_bytes(raw)
        listed[name] = {"sha256": hashlib.sha256(raw).hexdigest(), "size": size}
    facts = {"target": "rehearsal", "app": "tika"}
    stage = "" if room == "image" else room
    record = {"run_id": run_id, **facts, "stage": stage, "status": "succeeded"}
    raw = json.dumps({**record, "files": listed, "steps": ["x" * 3000]}).encode()
    (folder / "run.json").write_bytes(raw)
    digest = hashlib.sha256(raw).hexdigest()
    at = "2026-11-23T15:09:44.000+00:00"
    open_, close = ({"at": at, "kind": kind, "run_id": run_id} for kind in "oc")
    return [
        {**open_, "kind": "open", "folder": folder.name, **facts, "room": room},
        {**close, "kind": "close", "record_sha256": digest, "status": "succeeded"},
    ]


def measure(outputs: Path) -> tuple[float, list[float], str]:
    """Return the median, all times (seconds) and what verify said."""
    times, said = [], ""
    for _ in range(TIMES):
        began = time.perf_counter()
        argv = [sys.executable, "-I", str(outputs / "verify.py")]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        times.append(time.perf_counter() - began)
        said = done.stdout.strip()
    return statistics.median(times), times, said


def main(runs: int) -> None:
    """Make, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs"
        make(outputs, runs, FILES)
        median, times, said = measure(outputs)
        print(said)
        spread = ", ".join(f"{value:.2f}" for value in times)
        print(f"verify of {runs} runs: median {median:.2f} s of {spread}")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = (used.ru_utime + used.ru_stime) / TIMES
        text = f"{cpu:.2f} s of processor time on {os.cpu_count()} processors"
        print(f"goal: {GOAL_S} s, warm files; {text}")
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs"
        size = 50_000_000
        make(outputs, 8, {"logs/build.log": size})
        median, _, _ = measure(outputs)
        speed = 8 * size / 1e6 / median
        print(f"large files: {speed:.0f} MB/s (8 runs with one of {size / 1e6:.0f} MB)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
