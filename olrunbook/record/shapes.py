"""What lines and files of a run look like: anything else was damaged, and is not read.

A reader of an archive meets bytes that nobody of ours wrote. Here they are held against
their form once, so that whoever reads them need not ask again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

Test = Callable[[Any], bool]


def _is(*kinds: type) -> Test:
    return lambda value: (
        isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)
    )


def _list_of(test: Test) -> Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


TEXT, NUMBER, DICT = _is(str), _is(int, float), _is(dict)
_texts = _list_of(TEXT)


def is_text(value: Any) -> bool:
    """Whether it is what a notebook calls a text: one, or a list of lines."""
    return TEXT(value) or _texts(value)


def _moment(value: Any) -> bool:
    """Whether it is a time with its zone."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _fits(value: Any, must: dict[str, Test], may: dict[str, Test]) -> bool:
    return (
        isinstance(value, dict)
        and all(name in value and test(value[name]) for name, test in must.items())
        and all(test(value[name]) for name, test in may.items() if name in value)
    )


def process_fits(value: Any) -> bool:
    """Whether it names a process: host, boot, pid, start."""
    names = {"host": TEXT, "boot": TEXT, "pid": _is(int), "start": TEXT}
    return _fits(value, names, {})


def sign_fits(value: Any) -> bool:
    """Whether it is a run's sign of life."""
    more = {"where": TEXT, "elapsed_s": NUMBER, "silent_s": NUMBER}
    return _fits(value, {"at": _moment}, more)


def _change(value: Any) -> bool:
    """Whether it is a change of a cell's outputs: cleared, set at a place, or grown."""
    more = {"append": TEXT, "output": output_fits}
    return _fits(value, {"clear": lambda clear: clear is True}, {}) or _fits(
        value, {"at": _is(int)}, more
    )


def output_fits(value: Any) -> bool:
    """Whether it is an output of a notebook's cell."""
    texts = {"text": is_text, "ename": TEXT, "evalue": TEXT, "traceback": _texts}
    more = {**texts, "name": TEXT, "data": _data, "metadata": DICT}
    return _fits(value, {"output_type": TEXT}, more)


def _data(value: Any) -> bool:
    return isinstance(value, dict) and all(
        is_text(shown)
        for mime, shown in value.items()
        if mime.startswith(("text/", "image/"))
    )


# What a run's opening lines say of it: fields of its record, by the same names.
FACTS: dict[str, Test] = {
    **dict.fromkeys(("parameters", "tools", "versions", "operator"), DICT),
    **dict.fromkeys(
        ("images", "known", "overrides"),
        lambda value: DICT(value) and _texts(list(value.values())),
    ),
    **dict.fromkeys(("stage", "commit", "identity", "release", "resumes"), TEXT),
    **dict.fromkeys(("account", "cloud_id", "source_sha256", "executed_by"), TEXT),
    **dict.fromkeys(("dirty", "stand_ins"), _texts),
    "rollback": lambda value: _fits(
        value,
        {"left": DICT, "run_id": TEXT},
        {"lines": _texts, "revoked": TEXT, "by_hand": TEXT},
    ),
}
OPENING = {**FACTS, "lacks": _texts, "process": process_fits}
STEP: dict[str, Test] = {"event": TEXT, "name": TEXT}
STEP_MORE = {"status": TEXT, "cause": TEXT, "finishing": _texts}
# What each kind of line in a journal must have, and what it may; more is passed over.
LINES: dict[str, tuple[dict[str, Test], dict[str, Test]]] = {
    **dict.fromkeys(("release", "run", "begin"), ({}, OPENING)),
    "kernel": ({"process": process_fits, "folder": TEXT}, {}),
    "step": (STEP, STEP_MORE),
    "part": (
        dict.fromkeys(("run_id", "notebook", "stage", "status", "record"), TEXT),
        {"seconds": NUMBER, "relied": TEXT},
    ),
    "gate": (
        dict.fromkeys(("gate", "question", "status"), TEXT),
        dict.fromkeys(("shown", "digest", "lasts", "by", "known", "reason"), TEXT)
        | dict.fromkeys(("decided_at", "until"), TEXT)
        | {"people": _is(int), "signature": _is(bool), "emergency": _is(bool)},
    ),
    "conclude": ({}, {"headline": TEXT}),
    "leave": ({"pid": _is(int), "began": TEXT, "command": TEXT}, {}),
    "warning": ({"text": TEXT}, {}),
    "end": (
        {"status": TEXT},
        {"cause": TEXT, "exit_code": _is(int), "masked": _is(int), "ended_at": _moment}
        | {"finishing": _texts, "left": _texts},
    ),
    "cell": (
        {"event": TEXT, "n": _is(int)},
        {"source": TEXT, "outputs": _list_of(_change), "cell_id": TEXT, "status": TEXT}
        | {"widgets": DICT},
    ),
}
UNFIT = {
    "output_type": "stream",
    "name": "stderr",
    "text": "[an output that is not of a notebook's form: not shown]\n",
}
CELL_NEEDS = {"started": "source", "output": "outputs", "widgets": "widgets"}


def entry_fits(entry: Any) -> bool:
    """Whether it is a line of a journal."""
    if not _fits(entry, {"kind": TEXT, "at": _moment}, {}):
        return False
    must, may = LINES.get(entry["kind"], ({}, {}))
    if (
        entry["kind"] == "cell"
        and CELL_NEEDS.get(str(entry.get("event")), "n") not in entry
    ):
        return False
    return _fits(entry, must, may)


def _cell_fits(cell: Any) -> bool:
    meta = {"olrunbook": DICT, "papermill": DICT, "tags": _texts}
    more = {
        "metadata": lambda value: _fits(value, {}, meta),
        "outputs": _is(list),
        "execution_count": _is(int, type(None)),
    }
    return _fits(cell, {"source": is_text}, {"cell_type": TEXT, **more})


def notebook_at(path: Path) -> dict[str, Any]:
    """Return the notebook in a file; nothing where it is gone, cut off or damaged.

    An output that no notebook may have is not shown, and says so.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    meta = {"olrunbook": DICT, "papermill": DICT, "language_info": DICT}
    whole = _fits(
        found,
        {"cells": _list_of(_cell_fits)},
        {"metadata": lambda value: _fits(value, {}, meta)},
    )
    if not whole:
        return {}
    for cell in found["cells"]:
        if "outputs" in cell:
            cell["outputs"] = [
                output if output_fits(output) else UNFIT for output in cell["outputs"]
            ]
    return found
