"""Short questions to the CLI: a stack's secret settings, and what only it can read.

The answers come through a pipe of one call: never a log, never a file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping

from pydantic import SecretStr

from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi.settings import Prepared, prepare, read_yaml
from olrunbook.errors import ToolError, UsageError
from olrunbook.processes.handout import handing_out

__all__ = ["ask", "cli", "secret_config"]

READ_TIMEOUT_S = 120


def cli(env: Mapping[str, str]) -> str:
    """Return the CLI's path in an environment; ToolError where there is none."""
    found = shutil.which("pulumi", path=env.get("PATH"))
    if found is None:
        msg = "pulumi is not on PATH"
        raise ToolError(msg, "Find or build it: olrunbook tools")
    return found


def ask(ctx: Context, prepared: Prepared, arguments: list[str]) -> str:
    """Ask the CLI about a stack; the answer comes by a pipe of this call alone.

    Returns:
        What it said; empty: there is no such stack.

    Raises:
        ToolError: It could not say it.

    """
    with handing_out(ctx.environment("pulumi"), ctx.redactor.learn) as env:
        done = subprocess.run(
            [cli(env), "--non-interactive", *arguments],
            cwd=prepared.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=READ_TIMEOUT_S,
            start_new_session=True,
            check=False,
        )
    if done.returncode and "no stack named" in done.stderr:
        return ""
    if done.returncode:
        detail = ctx.redactor.text(" ".join(done.stderr.strip().splitlines()[-1:]))
        msg = f"pulumi {' '.join(arguments[:2])} of {prepared.stack}: {detail}"
        raise ToolError(msg, code=done.returncode)
    return done.stdout


def read_secrets(ctx: Context, prepared: Prepared) -> dict[str, SecretStr]:
    """Return the stack's secret settings in clear, and let the redactor learn them.

    They come through a pipe of this call alone: no log, no file.

    Raises:
        ToolError: The CLI could not decrypt them.

    """
    said = ask(
        ctx,
        prepared,
        ["config", "--show-secrets", "--json", "--stack", prepared.stack],
    )
    found = {
        key: SecretStr(item.get("value") or "")
        for key, item in json.loads(said or "{}").items()
        if item.get("secret")
    }
    for value in found.values():
        ctx.redactor.learn(value.get_secret_value())
    return found


def secret_config(ctx: Context, key: str) -> SecretStr:
    """Return a secret setting of the app's stack in this stage: `tika:access_token`.

    Raises:
        UsageError: The stack has no such secret (it was never previewed or deployed).
        ToolError: The CLI could not decrypt it.

    """
    prepared = prepare(ctx, {})
    try:
        known = key in (read_yaml(prepared.settings).get("config") or {})
        found = read_secrets(ctx, prepared) if known else {}
        if key not in found:
            msg = f"stack {prepared.stack} has no secret setting {key!r}"
            raise UsageError(msg, "Deploy the stage first.")
        return found[key]
    finally:
        shutil.rmtree(prepared.root, ignore_errors=True)
