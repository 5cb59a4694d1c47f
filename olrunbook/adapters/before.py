"""Commands that must end well before anything is done; what they say is secret."""

from __future__ import annotations

import re
import subprocess

from olrunbook.adapters.context import Context
from olrunbook.adapters.toolcall import learn_text
from olrunbook.project.tools import Before, ToolName

__all__ = ["run_before"]

ANSWER_S = 300  # it may decrypt by a service far away


def run_before(ctx: Context, name: ToolName, before: Before) -> str:
    """Run a command as a tool is run, in the project's folder.

    Its output comes by a pipe of this call alone; the redactor learns what it holds.

    Returns:
        What is wrong, in words without any of its output; empty: nothing.

    Raises:
        RefusedError: The run has no target.
        UsageError: The shell lacks a variable that the catalog names.

    """
    call, folder = ctx.tool(name), ctx.project.root
    try:
        done = subprocess.run(
            [*call.prefix, *before.run],
            cwd=folder,
            env=call.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        program = [*call.prefix, *before.run][0]
        return f"could not be started: {program}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"took longer than {ANSWER_S} s"
    learn_text(ctx.redactor, done.stdout, every=True)
    if done.returncode:
        return f"ended with code {done.returncode}"
    if before.holds not in done.stdout:
        return f"ended with 0, but its output does not hold {before.holds}"
    value = re.escape(before.holds) + r"[\"']?[^\s\"']"
    if before.holds.endswith("=") and not re.search(value, done.stdout):
        return f"ended with 0, but its output has nothing after {before.holds}"
    return ""
