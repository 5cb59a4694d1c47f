"""How a run ended, and its steps: what was seen, and what is missing."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from olrunbook.record.model import StepRecord

SKIP = "skip-execution"  # the tag by which papermill and nbclient skip a cell
_STEP_CALL = re.compile(r"""\brun\.(?:step\(\s*["']([^"']+)|([a-z_]+)\()""")
_OF_THE_LINE = ("at", "kind", "event", "name")
_NO_STEPS = {"conclude", "leave", "plot", "step"}


def status(
    end: dict[str, Any],
    concluded: dict[str, Any],
    steps: list[StepRecord],
    *,
    begun: bool,
) -> tuple[Any, str]:
    """Decide how the run ended: what was seen at its end, else what is missing.

    Args:
        end: The journal's closing line.
        concluded: Its line that the run concluded.
        steps: The steps.
        begun: The notebook called `begin`: then it has to conclude. One that knows
            nothing of us has succeeded when it came to its end.

    """
    if end.get("status") and end["status"] != "succeeded":
        cut = [step.name for step in steps if step.status == "interrupted"]
        if end["status"] in ("interrupted", "kernel-died") and cut:
            return end["status"], f'{end["cause"]} (step "{cut[-1]}")'
        return end["status"], end.get("cause", "")
    if not concluded and (begun or not end):
        why = "run.conclude() was not reached" if begun else "its end was not recorded"
        return "failed", f"ended early: {end.get('cause') or why}"
    for step in steps:
        if step.status in ("failed", "refused", "interrupted", "waiting"):
            return step.status, f'step "{step.name}": {step.cause}'
    if not end:
        return "failed", "ended early: its end was not recorded"
    return "succeeded", ""


def steps(entries: list[dict[str, Any]], notebook: dict[str, Any]) -> list[StepRecord]:
    """Return the steps in order; a repeated one once, as it ended last."""
    found: dict[str, StepRecord] = {}
    begun: dict[str, datetime] = {}
    for entry in entries:
        if entry["kind"] != "step":
            continue
        name = entry["name"]
        if entry["event"] == "started":
            begun[name] = datetime.fromisoformat(entry["at"])
            found[name] = StepRecord(
                name=name,
                status="interrupted",
                started_at=begun[name],
                cause="it had begun and its end was not recorded",
            )
        else:
            fields = {k: v for k, v in entry.items() if k not in _OF_THE_LINE}
            found[name] = StepRecord(name=name, started_at=begun.get(name), **fields)
    for cell in notebook.get("cells", []):
        ours = cell.get("metadata", {}).get("olrunbook", {})
        if cell.get("cell_type") == "code" and ours.get("status") != "done":
            for names in _STEP_CALL.findall("".join(cell.get("source", ""))):
                name = "".join(names)
                if name not in found and name not in _NO_STEPS:
                    found[name] = StepRecord(name=name, status="not-run")
    return list(found.values())


def skipped(cell: Any) -> bool:
    """Whether a cell is to be skipped where a notebook runs headless."""
    tags = cell.get("metadata", {}).get("tags") or []
    return cell.get("cell_type") == "code" and SKIP in tags


def cells_not_run(notebook: dict[str, Any]) -> int:
    """Return how many code cells of an executed notebook did not run."""
    return sum(
        cell.get("metadata", {}).get("olrunbook", {}).get("status") == "not-run"
        for cell in notebook.get("cells", [])
        if cell.get("cell_type") == "code"
    )
