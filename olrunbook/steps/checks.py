"""Ask a deployed stage what the catalog says it must answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import SecretStr

from olrunbook.adapters.context import Context
from olrunbook.adapters.http import Answer, ask
from olrunbook.errors import StepError, UsageError
from olrunbook.events import Event
from olrunbook.project.catalog import Check
from olrunbook.steps.results import Result, Step, Value

TIMEOUT_S = 30.0
EVERY_S = 0.5
EXCERPT = 200


class Answered(Value):
    """One check and its answer."""

    name: str  # what the answer shows
    request: str  # method and path, and the names of the secret headers
    ok: bool  # whether it is the answer wanted
    wanted: str  # the answer wanted
    found: str  # the answer
    seconds: float
    target: str = ""  # the instance that answered, where the balancer says so


class ChecksResult(Result):
    """The checks of a stage."""

    schema_name: ClassVar[str] = "olrunbook/checks/1"

    url: str  # where the load balancer answers
    answers: list[Answered]  # the checks and their answers, in the catalog's order
    notes: list[str]  # what a reader must know about them

    def headline(self) -> str:
        """Return how many checks passed, or the first that failed."""
        failed = [answer for answer in self.answers if not answer.ok]
        if failed:
            first = failed[0]
            return f"{first.name}: {first.found}; wanted: {first.wanted}"
        return f"{len(self.answers)} of {len(self.answers)} checks passed"


def run_checks(
    ctx: Context, url: str, secrets: Mapping[str, SecretStr]
) -> ChecksResult:
    """Make the app's checks through a stage's load balancer; secrets by config key.

    UsageError where the stage has no address, or a secret value is missing.
    """
    checks = ctx.app.checks
    missing = {key for check in checks for key in check.secret_headers.values()}
    missing -= set(secrets)
    if missing:
        msg = f"no value known for {', '.join(sorted(missing))}"
        raise UsageError(msg, "Is the stage deployed? Its stack holds the value.")
    if checks and not url:
        msg = f"{ctx.app_name} has no load balancer in {ctx.stage}"
        raise UsageError(msg, "Deploy the stage first.")
    for value in secrets.values():
        ctx.redactor.learn(value.get_secret_value())
    answers = []
    for check in checks:
        secret = {
            header: secrets[key].get_secret_value()
            for header, key in check.secret_headers.items()
        }
        until = ctx.clock() + timedelta(seconds=check.within_s)
        while True:
            answer = ask(
                url.rstrip("/") + check.path,
                check.method,
                body=check.body,
                headers={**check.headers, **secret},
                timeout_s=TIMEOUT_S,
            )
            seen = _judge(ctx, check, answer)
            if seen.ok or ctx.clock() >= until:
                break
            ctx.sleep(EVERY_S)
        answers.append(seen)
        state = "ok" if seen.ok else "failed"
        data = {"name": seen.name, "state": state, "seconds": seen.seconds}
        ctx.emit(Event("checks", "operation", f"{seen.name}: {seen.found}", data))
    unsafe = url.startswith("https:")
    notes = ["The certificate is not verified."] if unsafe else []
    return ChecksResult(url=url, answers=answers, notes=notes)


def require(result: ChecksResult) -> None:
    """Raise StepError where a check failed."""
    if not all(answer.ok for answer in result.answers):
        raise StepError(result.headline())


def _judge(ctx: Context, check: Check, answer: Answer) -> Answered:
    """Compare an answer with the one wanted; nothing secret gets into the row."""
    wanted = f"{check.status}"
    if check.contains:
        wanted += f" with “{check.contains}”"
    good = answer.status == check.status and check.contains in answer.body
    found = f"{answer.status}" if answer.status else answer.error
    if good and check.contains:
        found += ", and the text is there"
    elif answer.status and not good:
        excerpt = " ".join(ctx.redactor.text(answer.body).split())[:EXCERPT]
        found += f": {excerpt}" if excerpt else ""
    request = f"{check.method} {check.path}"
    if check.secret_headers:
        request += f" with {', '.join(check.secret_headers)}"
    return Answered(
        name=check.name,
        request=request,
        ok=good,
        wanted=wanted,
        found=found,
        seconds=round(answer.seconds, 3),
        target=answer.target,
    )


STEP = Step("checks", ChecksResult, require)
