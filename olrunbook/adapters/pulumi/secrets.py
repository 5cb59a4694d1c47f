"""A stack's secret settings, asked of the CLI: never in a log, never in a file."""

from __future__ import annotations

import json
import shutil

from pydantic import SecretStr

from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi.settings import Prepared, prepare, read_yaml
from olrunbook.adapters.toolcall import run_in_private
from olrunbook.errors import ToolError, UsageError

READ_TIMEOUT_S = 120


def read_secrets(ctx: Context, prepared: Prepared) -> dict[str, SecretStr]:
    """Return the stack's secret settings in clear, and let the redactor learn them.

    Raises:
        ToolError: The CLI could not decrypt them.

    """
    call, stack = ctx.tool("pulumi"), prepared.stack
    words = ["config", "--show-secrets", "--json", "--stack", stack]
    program, cwd = call.program("pulumi"), call.begins(prepared.folder)
    argv = call.argv(prepared.folder, program, "--non-interactive", *words)
    done = run_in_private(argv, cwd, call, ctx.redactor, READ_TIMEOUT_S)
    if done.returncode and "no stack named" in done.stderr:
        return {}
    if done.returncode:
        detail = ctx.redactor.text(" ".join(done.stderr.strip().splitlines()[-1:]))
        msg = f"pulumi config of {stack}: {detail}"
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
        known = key in (read_yaml(prepared.settings).get("config") or {})
        found = read_secrets(ctx, prepared) if known else {}
        if key not in found:
            msg = f"stack {prepared.stack} has no secret setting {key!r}"
            raise UsageError(msg, "Deploy the stage first.")
        return found[key]
    finally:
        shutil.rmtree(prepared.root, ignore_errors=True)
