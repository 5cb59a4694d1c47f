"""What a release was: its runs, in order, and how far it came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from olrunbook.archive.place import RunPlace, list_runs
from olrunbook.errors import OlrunbookError, RefusedError, StepError, WaitingError
from olrunbook.record.journal import read_journal
from olrunbook.record.model import PartRecord
from olrunbook.steps.flow import FLOW, RELEASE
from olrunbook.steps.results import Result, Step, listed
from olrunbook.targets import onto

GOOD = ("succeeded", "kept")


class ReleaseResult(Result):
    """A release: the image set, where it came to, and its runs."""

    schema_name: ClassVar[str] = "olrunbook/release/1"

    release: str
    images: dict[str, str]  # the image set; empty where none was built
    stages: list[str]  # the stages it reached with success
    wanted: list[str]  # the stages it was to reach
    rows: list[PartRecord]  # its runs in order
    seconds: float  # from the first run's start to the last one's end
    # what a rollback goes back to, and from what, a sentence each
    rollback: list[str] = Field(default_factory=list)

    def headline(self) -> str:
        """Return where the image set was released to."""
        images = ", ".join(self.images.values()) or "no image"
        if self.rollback and self.stages:
            return f"{self.stages[0]} went back to {images}"
        if not self.stages:
            return f"{images} was released to no stage"
        return f"released {images} to {listed(self.stages)}"


def named(outputs: Path, target: str, app: str, release: str) -> RunPlace:
    """Return the release of an app that is named, else the newest that has runs.

    RefusedError where there is none.
    """
    for place in list_runs(outputs, target=target, app=app, room=RELEASE):
        if release == place.run_id:
            return place
        kinds = {entry["kind"] for entry in read_journal(place.folder)}
        if not release and "part" in kinds:
            return place
    msg = f"no release {release or 'of ' + app} in the archive"
    raise RefusedError(msg, f"Make one: olrunbook release {app}{onto(target)}")


def parts(release: str, entries: Sequence[dict[str, Any]]) -> ReleaseResult:
    """Return a release from the lines of its journal."""
    opened: dict[str, Any] = {}
    for entry in entries:
        opened |= entry if entry["kind"] == "release" else {}
    rows = [
        PartRecord(**{k: v for k, v in entry.items() if k in PartRecord.model_fields})
        for entry in entries
        if entry["kind"] == "part"
    ]
    good = [row for row in rows if row.status in GOOD]
    return ReleaseResult(
        release=release,
        images=opened.get("images", {}),
        stages=[row.stage for row in good if row.notebook == FLOW[-1].notebook],
        wanted=opened.get("stages", []),
        rows=rows,
        seconds=round(sum(row.seconds for row in rows), 1),
        rollback=opened.get("rollback", {}).get("lines", []),
    )


def require(result: ReleaseResult) -> None:
    """Raise if a run of the release did not succeed or a stage is missing."""
    for row in result.rows:
        if row.status not in GOOD:
            where = f" {row.stage}" if row.stage else ""
            said = (row.headline or row.cause).removeprefix(f"{row.status}: ")
            msg = f"{row.notebook}{where} {row.status}: {said}"
            kinds: dict[str, type[OlrunbookError]] = {
                "refused": RefusedError,
                "waiting": WaitingError,
            }
            raise kinds.get(row.status, StepError)(msg)
    missing = [stage for stage in result.wanted if stage not in result.stages]
    if missing:
        msg = f"the release did not reach {', '.join(missing)}"
        raise StepError(msg)


STEP = Step("parts", ReleaseResult, require)
