"""Packer, its Amazon plugin and Pulumi: found, or had by olrunbook.toolchain."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from setup.report import Report, Step

TOOLS = ("packer", "packer-plugin-amazon", "pulumi")


def ensure(report: Report, python: Path, root: Path) -> None:
    """See that every tool is there.

    Raises:
        SetupError: One cannot be had.

    """
    for name in TOOLS:
        with report.step(name) as step:
            argv = [str(python), "-m", "olrunbook.toolchain", "ensure", "--events"]
            if name != TOOLS[-1]:  # they share much of what is compiled
                argv.append("--keep-build")
            step.run([*argv, name], cwd=root, line=functools.partial(relay, step))


def relay(step: Step, line: str) -> None:
    """Tell what the toolchain says in JSON; other lines are in the log."""
    if not line.startswith("{"):
        return
    said = json.loads(line)
    text = str(said["text"])
    if said["state"] == "doing":
        step.doing(text, float(said.get("expected_s", 0)), said.get("fraction"))
    elif said["state"] == "built":
        step.done(text)
    elif step.ending is None:  # not said of what was just built
        step.found(text)
