"""A stack's secret settings, asked of the CLI.

They come through a pipe of one call: never a log, never a file.
"""

from __future__ import annotations

import json
import shutil
import subprocess

from pydantic import SecretStr

from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi.settings import Prepared, prepare, read_yaml
from olrunbook.errors import ToolError, UsageError
from olrunbook.processes.handout import handing_out

READ_TIMEOUT_S = 120


def read_secrets(ctx: Context, prepared: Prepared) -> dict[str, SecretStr]:
    """Return the stack's secret settings in clear, and let the redactor learn them.

    Raises:
        ToolError: The CLI could not decrypt them.

    """
    call, stack = ctx.tool("pulumi"), prepared.stack
    words = ["config", "--show-secrets", "--json", "--stack", stack]
    program = call.program("pulumi")
    with handing_out(call.env, ctx.redactor.learn) as env:
        done = subprocess.run(
            call.argv(prepared.folder, program, "--non-interactive", *words),
            cwd=call.begins(prepared.folder),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=READ_TIMEOUT_S,
            start_new_session=True,
            check=False,
        )
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
