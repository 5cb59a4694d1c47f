"""Who sends the cells: a person at a Jupyter server, papermill, or it is not known."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrunbook.record.files import sha256_file

ANCESTORS = 6
PAPERMILL = (
    "executed by papermill's own engine: no limits on steps or silence",
    "nothing outside the kernel watches it",
    "an interrupt reaches the kernel before the tools",
    "cells after a failed one are not listed",
    "the notebook papermill itself writes is not masked",
)
TEXT = "the text between the cells is not part of the record"
SERVERS = """
    jupyter-lab jupyter-notebook jupyter-server jupyter_server jupyterhub-singleuser
    jupyterlab
"""
HEADLESS = ("nbconvert", "jupyter-execute", "nbclient", "nbval")


@dataclass(frozen=True, slots=True)
class Executor:
    """Who sends the cells of a run that no engine of ours started."""

    by: str  # `kernel` or `papermill`
    known: str  # how that is known
    lacks: tuple[str, ...]  # what such a record cannot say, in sentences
    source: Path | None = None  # the notebook's file, where it can be known
    person: bool = False  # a person sends them, and can be asked

    def facts(self, root: Path) -> dict[str, Any]:
        """Return what goes into the journal's first line; `root` is the project's."""
        facts: dict[str, Any] = {
            "executed_by": self.by,
            "executed_by_known": self.known,
            "lacks": list(self.lacks),
        }
        if self.source:
            facts["source"] = os.path.relpath(self.source, root)
            facts["source_sha256"] = sha256_file(self.source)
        return facts


def executor(*, cells: bool) -> Executor:
    """Return who sends the cells, by the processes this one comes from.

    `cells`: we run in a kernel.
    """
    import psutil  # noqa: PLC0415  (only here)

    if not cells:
        lacks = ("plain Python, not a kernel: what was executed is not recorded",)
        return Executor("kernel", "no kernel: plain Python", lacks)
    chain: list[tuple[int, list[str], Path]] = []
    for parent in psutil.Process().parents()[:ANCESTORS]:
        try:
            words = parent.cmdline()
            chain.append((parent.pid, words, Path(parent.cwd())))
        except (psutil.Error, OSError):
            break  # what could be seen has to do
    return judged(chain, os.environ)


def judged(
    chain: Sequence[tuple[int, Sequence[str], Path]], environ: Mapping[str, str]
) -> Executor:
    """Return who sends the cells, by a kernel's environment and those it comes from.

    Of these the process id, command line and working directory: parent, grandparent, …
    """
    for pid, words, cwd in chain[:1]:
        named = {Path(word).name for word in words[:3]}
        line = f"command line of process {pid}"
        if "papermill" in named:
            notebooks = (cwd / word for word in words[1:] if word.endswith(".ipynb"))
            source = next(filter(Path.is_file, notebooks), None)
            return Executor("papermill", f"{line}: papermill", PAPERMILL, source)
        if found := [name for name in HEADLESS if any(name in w for w in words)]:
            by = f"executed by {found[0]}, not by a person"
            return Executor("kernel", f"{line}: {found[0]}", (by, TEXT))
    session = environ.get("JPY_SESSION_NAME", "")
    source = Path(session) if session.endswith(".ipynb") else None
    if source and not source.is_file():
        source = None
    lacks: tuple[str, ...] = () if source else (TEXT,)
    known = "environment JPY_SESSION_NAME (a Jupyter server)" if session else ""
    for pid, words, _ in chain:
        if found := [s for s in SERVERS.split() if any(s in w for w in words[:3])]:
            known = known or f"command line of process {pid}: {found[0]}"
    if known:
        return Executor("kernel", known, lacks, source, person=True)
    parent = Path(chain[0][1][0]).name if chain and chain[0][1] else "gone"
    unknown = f"unknown whether a person or a program sent the cells ({parent})"
    return Executor("kernel", "not known", (*lacks, unknown), source)
