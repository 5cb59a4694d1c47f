"""What must hold before anything changes: a table, and a refusal where one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from olrunbook.adapters.context import Context
from olrunbook.errors import OlrunbookError, RefusedError, UsageError
from olrunbook.events import Event
from olrunbook.record.model import RollbackRecord
from olrunbook.steps.asked import Asked, Seen, Status
from olrunbook.steps.preflight_checks import CHECKS
from olrunbook.steps.results import Result, Step, Value

# What is to be done to its checks, in the order of their table.
NEEDS: dict[str, tuple[str, ...]] = {
    what: tuple(name for name, one in CHECKS.items() if what in one.needs.split())
    for what in ("image_test", "image_build", "deploy", "rollout", "refresh")
}


class CheckRow(Value):
    """One check."""

    name: str  # what was checked
    status: Status  # `ok`, `warning` (said, and no reason to stop) or `failed`
    found: str  # what was found
    wanted: str  # what was wanted
    hint: str = ""  # what the reader can do
    where: str = ""  # the app and stage, where more than one is looked at


class PreflightResult(Result):
    """All checks of a preflight."""

    schema_name: ClassVar[str] = "olrunbook/preflight/1"

    rows: list[CheckRow]

    @property
    def failed(self) -> list[CheckRow]:
        """The checks that failed."""
        return [row for row in self.rows if row.status == "failed"]

    def headline(self) -> str:
        """Return how many checks passed, or the first that failed."""
        if self.failed:
            first = self.failed[0]
            more = f" (and {len(self.failed) - 1} more)" if len(self.failed) > 1 else ""
            return f"{first.name}: {first.found}; wanted: {first.wanted}{more}"
        warned = dict.fromkeys(r.name for r in self.rows if r.status == "warning")
        text = f"{len(self.rows)} checks passed"
        return f"{text}; warnings: {', '.join(warned)}" if warned else text


def checks_for(name: str) -> tuple[str, ...]:
    """Return a group of checks; UsageError where there is none of the name."""
    if name in NEEDS:
        return NEEDS[name]
    msg = f"there are no checks for {name!r}; choose from: {', '.join(NEEDS)}"
    raise UsageError(msg)


def preflight(
    ctx: Context,
    *,
    need: Sequence[str],
    images: Mapping[str, str] | None = None,
    rollback: RollbackRecord | None = None,
) -> PreflightResult:
    """Check what must hold, by the names of `checks_for`; change nothing."""
    asked, rows = Asked(ctx, images or {}, rollback), []
    for name in need:
        row = look(asked, name)
        rows.append(row)
        data = {"name": name, "state": row.status, "found": row.found}
        ctx.emit(Event("preflight", "operation", f"{name}: {row.found}", data))
    return PreflightResult(rows=rows)


def look(asked: Asked, name: str, where: str = "") -> CheckRow:
    """Return one check as it was seen; what cannot be looked at has failed."""
    try:
        seen = CHECKS[name].look(asked)
    except OlrunbookError as error:
        seen = Seen("failed", str(error), "an answer", error.hint)
    return CheckRow(name=name, where=where, **seen._asdict())


def require(result: PreflightResult) -> None:
    """Raise RefusedError where a check failed: nothing was changed."""
    if result.failed:
        raise RefusedError(result.headline(), result.failed[0].hint)


STEP = Step("preflight", PreflightResult, require)
