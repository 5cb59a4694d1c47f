"""Commands that must end well before anything is done; what they say is secret."""

from __future__ import annotations

import re
import subprocess

from olrunbook.adapters.context import Context
from olrunbook.adapters.toolcall import learn_text, run_in_private
from olrunbook.project.tools import Before, ToolName
from olrunbook.targets import tool_environment

ANSWER_S = 300  # it may decrypt by a service far away


def run_before(ctx: Context, name: ToolName, before: Before) -> str:
    """Run a command as a tool is run, in the project's folder.

    The redactor learns what its output holds.

    Returns:
        What is wrong, in words without any of its output; empty: nothing.

    Raises:
        UsageError: The shell lacks a variable that the catalog names.

    """
    call = ctx.tool(name, None if ctx.place else tool_environment())
    argv = [*call.prefix, *before.run]
    try:
        done = run_in_private(argv, ctx.project.root, call, ctx.redactor, ANSWER_S)
    except OSError as error:
        return f"could not be started: {argv[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"took longer than {ANSWER_S} s"
    learn_text(ctx.redactor, done.stdout, every=True)
    if done.returncode:
        return f"ended with code {done.returncode}"
    return _lacks(before.holds, done.stdout)


def _lacks(holds: str, said: str) -> str:
    """Return what an output lacks, in words; empty: nothing."""
    begin = r"(?<!\w)" if holds[:1].isalnum() else ""  # PUBLIC_KEY= is no KEY=
    found = list(re.finditer(begin + re.escape(holds), said))
    if not found:
        return f"ended with 0, but its output does not hold {holds}"
    values = (said[each.end() :] for each in found)
    if holds.endswith("=") and not all(re.match(r"[\"']?[^\s\"']", v) for v in values):
        return f"ended with 0, but its output has nothing after {holds}"
    return ""
