"""Read a stack's secret settings: through a pipe of one call, never a log or a file."""

from __future__ import annotations

import json
import shutil
import subprocess

from pydantic import SecretStr

from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi.settings import Prepared, prepare
from olrunbook.errors import ToolError, UsageError

__all__ = ["cli", "secret_config"]

READ_TIMEOUT_S = 120


def cli(ctx: Context) -> str:
    """Return the CLI's path; ToolError where there is none."""
    path = ctx.target.environment().get("PATH")
    found = shutil.which("pulumi", path=path)
    if found is None:
        msg = "pulumi is not on PATH"
        raise ToolError(msg, "Find or build it: olrunbook tools")
    return found


def read_secrets(ctx: Context, prepared: Prepared) -> dict[str, SecretStr]:
    """Return the stack's secret settings in clear, and let the redactor learn them.

    They come through a pipe of this call alone: no log, no file. ToolError where the
    CLI could not decrypt them.
    """
    program = cli(ctx)
    arguments = ["config", "--show-secrets", "--json", "--stack", prepared.stack]
    done = subprocess.run(
        [program, "--non-interactive", *arguments],
        cwd=prepared.folder,
        env=ctx.target.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=READ_TIMEOUT_S,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        detail = ctx.redactor.text(" ".join(done.stderr.strip().splitlines()[-1:]))
        msg = f"the secrets of {prepared.stack} could not be read: {detail}"
        raise ToolError(msg, code=done.returncode)
    found = {
        key: SecretStr(item.get("value") or "")
        for key, item in json.loads(done.stdout).items()
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
        known = prepared.kept.exists() and key not in prepared.new_secrets
        found = read_secrets(ctx, prepared) if known else {}
        if key not in found:
            msg = f"stack {prepared.stack} has no secret setting {key!r}"
            raise UsageError(msg, "Deploy the stage first.")
        return found[key]
    finally:
        shutil.rmtree(prepared.root, ignore_errors=True)
