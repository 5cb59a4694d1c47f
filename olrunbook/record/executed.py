"""The notebook of an interactive run: what was executed in a kernel, in that order.

A pure function of the journal, so that the kernel and whoever finds it dead make the
same notebook.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
WIDGETS = "application/vnd.jupyter.widget-state+json"
VERSION = {"version_major": 2, "version_minor": 0}
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,50}")
INTRODUCTION = """\
> **Executed cell by cell in a kernel.** This is what was executed, in this order;
> a cell that was executed twice stands here twice, as it was each time. The text
> between the cells of the notebook is not part of it."""


def notebook_of(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the notebook (nbformat 4.5) that a journal's cells make."""
    cells: dict[int, dict[str, Any]] = {}
    names: set[str] = set()
    widgets: dict[str, Any] = {}
    for entry in entries:
        if entry.get("kind") != "cell":
            continue
        number = entry["n"]
        if entry["event"] == "started":
            cells[number] = _cell(entry, names)
        elif number in cells and entry["event"] == "output":
            _apply(cells[number]["outputs"], entry["outputs"])
        elif entry["event"] == "widgets":
            widgets.update(entry["widgets"])
        elif number in cells and entry["event"] == "ended":
            ours = cells[number]["metadata"]["olrunbook"]
            ours.pop("cause", None)
            ours.update({key: entry[key] for key in ENDED if entry.get(key)})
    widgets = {name: state for name, state in widgets.items() if state}
    shown = {WIDGETS: {"state": widgets, **VERSION}}
    introduction = {
        "cell_type": "markdown",
        "id": "olrunbook-executed",
        "metadata": {},
        "source": INTRODUCTION,
    }
    return {
        "cells": [introduction, *cells.values()],
        "metadata": {
            "kernelspec": {**KERNEL, "language": "python"},
            "language_info": {"name": "python"},
            "olrunbook": {"executed": "cell by cell"},
            **({"widgets": shown} if widgets else {}),
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


ENDED = ("status", "seconds", "cause")
STARTED = ("n", "repeat_of", "edited", "note")


def _cell(entry: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a cell as it began; until its end is seen it counts as interrupted."""
    ours = {key: entry[key] for key in STARTED if entry.get(key)}
    if not entry.get("before"):  # else nobody saw when it began
        ours["started_at"] = entry["at"]
    ours |= {"status": "interrupted", "cause": "it had begun; its end was not recorded"}
    known = entry.get("cell_id") or ""
    name = known if CELL_ID.fullmatch(known) else f"executed-{entry['n']}"
    if name in names:
        name = f"{name}-{entry['n']}"
    names.add(name)
    return {
        "cell_type": "code",
        "execution_count": entry.get("execution_count"),
        "id": name,
        "metadata": {"olrunbook": ours},
        "outputs": [],
        "source": entry["source"],
    }


def _apply(outputs: list[dict[str, Any]], changes: list[dict[str, Any]]) -> None:
    """Put what changed into a cell's outputs: cleared, set at a place, or grown."""
    for change in changes:
        if change.get("clear"):
            outputs.clear()
            continue
        at = change["at"]
        if "append" in change:
            if at < len(outputs):
                outputs[at]["text"] += change["append"]
        elif at < len(outputs):
            outputs[at] = dict(change["output"])
        else:
            outputs.append(dict(change["output"]))
