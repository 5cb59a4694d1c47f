"""Listing and filtering an archive of many runs, against a walk that reads them all.

python benchmarks/archive.py [RUNS]      default 100,000; a temporary folder of its own
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from olrunbook.archive.index import find, index_file, search
from olrunbook.archive.index_rows import Query
from olrunbook.record.files import new_run_id, stamp

ROUNDS = 5
APPS = ("tika", "edx", "mitx-online", "ocw-studio")
ROOMS = ("image", "CI", "QA", "Production", "release")
COMMAND = [sys.executable, "-c", "from olrunbook.cli import main; main()"]


def make(outputs: Path, number: int) -> list[str]:
    """Write so many runs, one a minute; return their ids."""
    chance = random.Random(7)  # noqa: S311
    first = datetime(2026, 1, 1, tzinfo=UTC)
    ids = []
    for count in range(number):
        at = first + timedelta(minutes=count)
        app, room = chance.choice(APPS), chance.choice(ROOMS)
        notebook = {"image": "image_build", "release": "release"}.get(room, "deploy")
        run_id = new_run_id(int(at.timestamp() * 1e9))
        folder = outputs / "rehearsal" / app / room
        folder /= f"{stamp(at)}_{notebook}_{run_id}"
        folder.mkdir(parents=True)
        failed = chance.random() < 0.01  # noqa: PLR2004
        (folder / "run.json").write_text(
            json.dumps(_record(run_id, notebook, app, room, at, failed=failed))
        )
        ids.append(run_id)
    return ids


def _record(
    run_id: str, notebook: str, app: str, room: str, at: datetime, *, failed: bool
) -> dict[str, object]:
    known = {"value": "ann", "source": "the process"}
    return {
        "schema": "olrunbook/run/1",
        "run_id": run_id,
        "notebook": notebook,
        "target": "rehearsal",
        "app": app,
        "stage": room if room in ROOMS[1:4] else "",
        "images": {"server": f"ami-{run_id[-12:]}"},
        "operator": {"user": known, "host": {**known, "value": "host"}},
        "started_at": at.isoformat(),
        "ended_at": (at + timedelta(seconds=40)).isoformat(),
        "status": "failed" if failed else "succeeded",
        "exit_code": int(failed),
        "cause": 'step "up": it did not work' if failed else "",
        "headline": "" if failed else "3 updated, 14 same",
        "steps": [
            {"name": name, "status": "done", "seconds": 4.2, "result": {"n": "x" * 200}}
            for name in ("preflight", "preview", "up", "serves")
        ],
    }


def walk(outputs: Path) -> int:
    """Count the failed runs by reading every record: what an index is for."""
    failed = 0
    for room in outputs.glob("*/*/*"):
        for entry in os.scandir(room):
            with open(f"{entry.path}/run.json", "rb") as file:  # noqa: PTH123
                failed += json.load(file)["status"] == "failed"
    return failed


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)


def command(*words: str) -> Callable[[], object]:
    """Return a call of the command line, Python's start included."""
    return lambda: subprocess.run(
        [*COMMAND, *words], check=True, stdout=subprocess.DEVNULL
    )


def main(number: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        outputs, cache = Path(folder) / "outputs", Path(folder) / "cache"
        os.environ |= {"OLRUNBOOK_ARCHIVE": str(outputs), "OLRUNBOOK_CACHE": str(cache)}
        ids = make(outputs, number)
        failed = Query(statuses=("failed",), limit=20)
        cases: list[tuple[str, Callable[[], object], int]] = [
            ("walk and json.load of all", lambda: walk(outputs), 1),
            (
                "index made from names, newest 20",
                lambda: search(outputs, cache, Query(limit=20)),
                1,
            ),
            ("every record read once", lambda: search(outputs, cache, failed), 1),
            ("newest 20", lambda: search(outputs, cache, Query(limit=20)), ROUNDS),
            (
                "one app and stage",
                lambda: search(outputs, cache, Query(app="edx", room="QA", limit=20)),
                ROUNDS,
            ),
            ("20 failed ones", lambda: search(outputs, cache, failed), ROUNDS),
            (
                "all failed ones",
                lambda: search(outputs, cache, Query(statuses=("failed",))),
                ROUNDS,
            ),
            (
                "image that is not there",
                lambda: search(outputs, cache, Query(image="ami-0", operator="zoe")),
                ROUNDS,
            ),
            ("run by its end", lambda: find(outputs, cache, ids[5][-7:]), ROUNDS),
            ("olrunbook runs", command("runs"), ROUNDS),
            (
                "olrunbook runs --status failed",
                command("runs", "--status", "failed"),
                5,
            ),
            (
                "olrunbook runs edx --stage QA",
                command("runs", "edx", "--stage", "QA"),
                ROUNDS,
            ),
        ]
        print(f"{number:,} runs; seconds, median of {ROUNDS} (the first three: once)")
        for name, work, rounds in cases:
            print(f"  {name:<36} {seconds(work, rounds):8.3f}", flush=True)
        (outputs / "rehearsal" / "tika" / "CI" / "new").mkdir()
        print(
            f"  {'olrunbook runs after a new run':<36} {seconds(command('runs')):8.3f}"
        )
        size = index_file(outputs, cache).stat().st_size
        print(f"  index {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
