"""Ask a deployed stage what the catalog says it must answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import SecretStr

from olrunbook.adapters.http import Answer, ask
from olrunbook.catalog import Check
from olrunbook.errors import StepError, UsageError
from olrunbook.events import Event
from olrunbook.steps.context import Context
from olrunbook.steps.results import Result, Value

__all__ = ["Answered", "ChecksResult", "require", "run_checks"]

TIMEOUT_S = 30.0
EXCERPT = 200


class Answered(Value):
    """One check and its answer.

    Args:
        name: What the answer shows.
        request: Method and path, and the names of the secret headers.
        status: `ok` or `failed`.
        wanted: The answer wanted.
        found: The answer.
        seconds: How long it took.
        target: The instance that answered, where the balancer says so.

    """

    name: str
    request: str
    status: Literal["ok", "failed"]
    wanted: str
    found: str
    seconds: float
    target: str = ""


class ChecksResult(Result):
    """The checks of a stage.

    Args:
        url: Where the load balancer answers.
        rows: The checks in the catalog's order.
        notes: What a reader must know about them.

    """

    schema_name: ClassVar[str] = "olrunbook/checks/1"

    url: str
    rows: list[Answered]
    notes: list[str]

    def headline(self) -> str:
        """Return how many checks passed, or the first that failed."""
        failed = [row for row in self.rows if row.status == "failed"]
        if failed:
            first = failed[0]
            return f"{first.name}: {first.found}; wanted: {first.wanted}"
        return f"{len(self.rows)} of {len(self.rows)} checks passed"


def run_checks(
    ctx: Context, url: str, secrets: Mapping[str, SecretStr]
) -> ChecksResult:
    """Make the app's checks through a stage's load balancer.

    Args:
        ctx: The step's context.
        url: Where the load balancer answers.
        secrets: Config key to its secret value, for the secret headers.

    Raises:
        UsageError: The stage has no address, or a secret value is missing.

    """
    checks = ctx.app.checks
    missing = {key for check in checks for key in check.secret_headers.values()}
    missing -= set(secrets)
    if missing:
        msg = f"no value is known of {', '.join(sorted(missing))}"
        raise UsageError(msg, "Is the stage deployed? Its stack holds the value.")
    if checks and not url:
        msg = f"{ctx.app_name} has no load balancer in {ctx.stage}"
        raise UsageError(msg, "Deploy the stage first.")
    for value in secrets.values():
        ctx.redactor.learn(value.get_secret_value())
    rows = []
    for check in checks:
        answer = ask(
            url.rstrip("/") + check.path,
            check.method,
            body=check.body,
            headers={**check.headers, **_secret_headers(check, secrets)},
            timeout_s=TIMEOUT_S,
        )
        row = _judge(ctx, check, answer)
        rows.append(row)
        data = {"name": row.name, "state": row.status, "seconds": row.seconds}
        ctx.emit(Event("checks", "operation", f"{row.name}: {row.found}", data))
    notes = []
    if url.startswith("https:"):
        notes.append("The certificate is not verified.")
    return ChecksResult(url=url, rows=rows, notes=notes)


def require(result: ChecksResult) -> None:
    """Raise StepError where a check failed."""
    if any(row.status == "failed" for row in result.rows):
        raise StepError(result.headline())


def _secret_headers(check: Check, secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    return {
        header: secrets[key].get_secret_value()
        for header, key in check.secret_headers.items()
    }


def _judge(ctx: Context, check: Check, answer: Answer) -> Answered:
    """Compare an answer with the one wanted; nothing secret gets into the row."""
    wanted = f"{check.status}"
    if check.contains:
        wanted += f" with “{check.contains}”"
    good = answer.status == check.status and check.contains in answer.body
    if not answer.status:
        found = answer.error
    elif good:
        found = f"{answer.status}"
        if check.contains:
            found += ", and the text is there"
    else:
        excerpt = " ".join(ctx.redactor.text(answer.body).split())[:EXCERPT]
        found = f"{answer.status}: {excerpt}" if excerpt else f"{answer.status}"
    request = f"{check.method} {check.path}"
    if check.secret_headers:
        request += f" with {', '.join(check.secret_headers)}"
    return Answered(
        name=check.name,
        request=request,
        status="ok" if good else "failed",
        wanted=wanted,
        found=found,
        seconds=round(answer.seconds, 3),
        target=answer.target,
    )
