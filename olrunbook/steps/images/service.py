"""Ask a service inside a test container what the catalog says it must answer."""

from __future__ import annotations

import time

from olrunbook.adapters.context import Context
from olrunbook.adapters.docker.container import Box
from olrunbook.errors import ToolError
from olrunbook.events import Event
from olrunbook.project.catalog import Check
from olrunbook.steps.images.results import CheckSeen

UP_S = 90.0  # a slow machine's JVM
MARK = "\n--status "


def service_checks(ctx: Context, box: Box) -> list[CheckSeen]:
    """Wait until the service answers the probe, then make the checks without a secret.

    An empty list where the catalog names no answer to wait for.
    """
    probe = ctx.app.probe
    if not probe.expect:
        return []
    ctx.emit(Event("docker", "phase", f"waiting for {probe.path}"))
    check = Check(name="probe", path=probe.path, contains=probe.expect)
    found = [_until_up(ctx, box, check)]
    if found[0].ok:
        plain = [check for check in ctx.app.checks if not check.secret_headers]
        found += [_ask(box, check) for check in plain]
    return found


def _until_up(ctx: Context, box: Box, check: Check) -> CheckSeen:
    began = time.monotonic()
    while True:
        seen = _ask(box, check)
        seconds = round(time.monotonic() - began, 1)
        if seen.ok or seconds > UP_S:
            name = f"the service answers {check.path} after a boot"
            return seen.model_copy(update={"name": name, "seconds": seconds})
        ctx.sleep(0.3)


def _ask(box: Box, check: Check) -> CheckSeen:
    """Make one request inside the container, over TLS to its own port 443."""
    given = (": ".join(item) for item in check.headers.items())
    headers = [part for header in given for part in ("--header", header)]
    body = ["--data-binary", check.body] if check.body else []
    began = time.monotonic()
    try:
        said = box.run(
            "curl",
            *("--silent", "--show-error", "--insecure", "--max-time", "20"),
            *("--request", check.method, *headers, *body),
            *("--write-out", f"{MARK}%{{http_code}}"),
            f"https://127.0.0.1{check.path}",
        )
    except ToolError as error:
        return CheckSeen(name=check.name, ok=False, detail=str(error))
    text, _, status = said.rpartition(MARK.strip())
    good = status.strip() == str(check.status) and check.contains in text
    detail = f"{status.strip()} {text.strip()[:120]}".strip()
    seconds = round(time.monotonic() - began, 3)
    return CheckSeen(name=check.name, ok=good, seconds=seconds, detail=detail)
