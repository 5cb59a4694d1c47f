"""`run.json`: what one run was, who did it, what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

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
    """A fact about the run and how it is known."""

    value: str  # the fact
    source: str  # where it comes from (`git config`, `environment GITHUB_RUN_ID`, …)


class FileEntry(Strict):
    """One file of the run."""

    sha256: str
    size: int


class StepRecord(Strict):
    """One step as it ended."""

    name: str  # the step
    status: StepStatus  # how it ended
    started_at: datetime | None = None  # when it began; None when it did not run
    seconds: float | None = None
    headline: str = ""  # its result in one line
    cause: str = ""  # why it did not end well
    hint: str = ""  # what the reader can do about it
    result: dict[str, Any] | None = None  # its result as plain JSON
    result_schema: str = ""  # what that JSON is
    finishing: list[str] = []  # tools that outlived it under their supervisors


class GateRecord(Strict):
    """A gate that the run came to."""

    gate: str  # the gate: its stage
    question: str  # what was asked
    # `no gate`, `no change`, `not asked`, `waiting`, `approved`, `rejected`
    status: str
    shown: str = ""  # what was asked about, in one line
    digest: str = ""  # of everything that was shown
    people: int = 1  # how many people must approve
    signature: bool = False  # only signed approvals count
    lasts: str = ""  # how long an approval holds, in words
    by: str = ""  # who decided
    known: str = ""  # how that is known
    reason: str = ""
    decided_at: str = ""  # when (UTC); of several people, the last
    until: str = ""  # when the approval ends (UTC)
    emergency: bool = False  # one person approved where more were demanded


class RollbackRecord(Strict):
    """What a rollback goes back to, and from what."""

    # the image set that is left: what the stage launches until now
    left: dict[str, str]
    run_id: str  # the rollout by which the set served well here
    lines: list[str] = []  # what people must know of it, a sentence each
    # that all that served well is revoked, so the set is too; empty: no
    revoked: str = ""
    # that all that served well was left by rollbacks, this set too; empty: no
    rolled_back: str = ""
    by_hand: str = ""  # what must be done by hand first; empty: nothing


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
    # name to version and origin of each tool that was there for the run
    tools: dict[str, str] = {}
    # how facts of this record are known, by the name of their field
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
    gates: list[GateRecord] = []  # the gates it came to, each as it was left
    overrides: dict[str, str] = {}  # rules that were overridden, with the reasons
    # what it goes back to, and from what; None: it is no rollback
    rollback: RollbackRecord | None = None
    release: str = ""  # id of the release this run belongs to
    resumes: str = ""  # id of the run that this one takes up again
    # what ran the cells: `olrunbook` (the engine), `kernel` (a person, cell by cell),
    # or `papermill` with its own engine
    executed_by: str = "olrunbook"
    presumed: bool = False  # nobody saw the end: the run was found dead on another host
    warnings: list[str] = []  # what was noticed and did not end the run (a silent step)
    lacks: list[str] = []  # what a record of this kind cannot say, in words
    finishing: list[str] = []  # tools that outlived the run under their supervisors
    masked: int = 0  # how many secret values were masked
    files: dict[str, FileEntry] = {}

    def result(self, schema: str) -> dict[str, Any] | None:
        """Return the last result of a schema among the steps that are done."""
        for step in reversed(self.steps):
            if step.result_schema == schema and step.status in ("done", "kept"):
                return step.result
        return None
