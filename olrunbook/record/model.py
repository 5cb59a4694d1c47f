"""`run.json`: what one run was, who did it, what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

__all__ = [
    "EXIT_CODES",
    "FileEntry",
    "GateRecord",
    "Known",
    "PartRecord",
    "RollbackRecord",
    "RunRecord",
    "RunStatus",
    "StepRecord",
    "StepStatus",
]

RunStatus = Literal[
    "succeeded",
    "failed",
    "refused",
    "waiting",
    "interrupted",
    "timed-out",
    "kernel-died",
]
StepStatus = Literal[
    "done", "failed", "refused", "waiting", "interrupted", "not-run", "kept"
]

EXIT_CODES: dict[str, int] = {
    "succeeded": 0,
    "failed": 1,
    "waiting": 3,
    "refused": 4,
    "kernel-died": 5,
    "timed-out": 124,
    "interrupted": 130,
}


class Strict(BaseModel, frozen=True, extra="forbid", populate_by_name=True):
    """A frozen value that refuses unknown fields."""


class Known(Strict):
    """A fact about the run and how it is known.

    Args:
        value: The fact.
        source: Where it comes from (`git config`, `environment GITHUB_RUN_ID`, …).

    """

    value: str
    source: str


class FileEntry(Strict):
    """One file of the run."""

    sha256: str
    size: int


class StepRecord(Strict):
    """One step as it ended.

    Args:
        name: The step.
        status: How it ended.
        started_at: When it began; None when it did not run.
        seconds: How long it took.
        headline: Its result in one line.
        cause: Why it did not end well.
        hint: What the reader can do about it.
        result: Its result as plain JSON.
        result_schema: What that JSON is.
        finishing: Tools that outlived it under their supervisors.

    """

    name: str
    status: StepStatus
    started_at: datetime | None = None
    seconds: float | None = None
    headline: str = ""
    cause: str = ""
    hint: str = ""
    result: dict[str, Any] | None = None
    result_schema: str = ""
    finishing: list[str] = []


class GateRecord(Strict):
    """A gate that the run came to.

    Args:
        gate: The gate: its stage.
        question: What was asked.
        status: `no gate`, `not asked`, `waiting`, `approved`, `rejected`.
        shown: What was asked about, in one line.
        digest: Of everything that was shown.
        people: How many people must approve.
        signature: Only signed approvals count.
        lasts: How long an approval holds, in words.
        by: Who decided.
        known: How that is known.
        reason: Why.
        decided_at: When (UTC); of several people, the last.
        until: When the approval ends (UTC).
        emergency: One person approved where more were demanded.

    """

    gate: str
    question: str
    status: str
    shown: str = ""
    digest: str = ""
    people: int = 1
    signature: bool = False
    lasts: str = ""
    by: str = ""
    known: str = ""
    reason: str = ""
    decided_at: str = ""
    until: str = ""
    emergency: bool = False


class RollbackRecord(Strict):
    """What a rollback goes back to, and from what.

    Args:
        left: The image set that is left: what the stage launches until now.
        run_id: The rollout by which the set served well here.
        lines: What people must know of it, a sentence each.
        revoked: That all that served well is revoked, so the set is too; empty: no.
        by_hand: What must be done by hand first; empty: nothing.

    """

    left: dict[str, str]
    run_id: str
    lines: list[str] = []
    revoked: str = ""
    by_hand: str = ""


class PartRecord(Strict):
    """One run that belongs to a release.

    Beside its facts, `relied`: what its update relied on (the stage before, …).
    """

    run_id: str
    notebook: str
    stage: str
    status: str
    cause: str = ""
    headline: str = ""
    seconds: float
    record: str
    relied: str = ""


class RunRecord(Strict):
    """The record of one run: a pure function of its journal and its notebook.

    Times are UTC, sizes bytes, durations seconds. Beside the facts of the run:

    Args:
        tools: Name to version and origin of each tool that was there for the run.
        known: How facts of this record are known, by the name of their field.
        gates: The gates it came to, each as it was left.
        overrides: Rules that were overridden, with the reasons.
        rollback: What it goes back to, and from what; None: it is no rollback.
        release: Id of the release this run belongs to.
        resumes: Id of the run that this one takes up again.
        executed_by: What ran the cells: `olrunbook` (the engine), `kernel` (a person,
            cell by cell), or `papermill` with its own engine.
        presumed: Nobody saw the end: the run was found dead on another host.
        warnings: What was noticed and did not end the run (a silent step).
        lacks: What a record of this kind cannot say, in words.
        finishing: Tools that outlived the run under their supervisors.
        masked: How many secret values were masked.

    """

    schema_: Literal["olrunbook/run/1"] = Field("olrunbook/run/1", alias="schema")
    run_id: str
    notebook: str
    source_sha256: str = ""
    target: str = ""
    account: str = ""
    cloud_id: str = ""
    app: str = ""
    stage: str = ""
    parameters: dict[str, Any] = {}
    images: dict[str, str] = {}
    commit: str = ""
    dirty: list[str] = []
    operator: dict[str, Known] = {}
    identity: str = ""
    versions: dict[str, str] = {}
    tools: dict[str, str] = {}
    known: dict[str, str] = {}
    stand_ins: list[str] = []
    started_at: AwareDatetime
    ended_at: AwareDatetime
    status: RunStatus
    exit_code: int
    cause: str = ""
    headline: str = ""
    steps: list[StepRecord] = []
    cells_not_run: int = 0
    parts: list[PartRecord] = []
    gates: list[GateRecord] = []
    overrides: dict[str, str] = {}
    rollback: RollbackRecord | None = None
    release: str = ""
    resumes: str = ""
    executed_by: str = "olrunbook"
    presumed: bool = False
    warnings: list[str] = []
    lacks: list[str] = []
    finishing: list[str] = []
    masked: int = 0
    files: dict[str, FileEntry] = {}

    def result(self, schema: str) -> dict[str, Any] | None:
        """Return the last result of a schema among the steps that are done."""
        for step in reversed(self.steps):
            if step.result_schema == schema and step.status in ("done", "kept"):
                return step.result
        return None
