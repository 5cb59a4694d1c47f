"""Commands that must end well before anything is done; what they say is secret."""

from __future__ import annotations

import re
import subprocess

from olrunbook.adapters.context import Context
from olrunbook.adapters.toolcall import learn_text
from olrunbook.processes.handout import handing_out
from olrunbook.project.tools import Before, ToolName
from olrunbook.targets import tool_environment

ANSWER_S = 300  # it may decrypt by a service far away


def run_before(ctx: Context, name: ToolName, before: Before) -> str:
    """Run a command as a tool is run, in the project's folder.

    Its output comes by a pipe of this call alone; the redactor learns what it holds.

    Returns:
        What is wrong, in words without any of its output; empty: nothing.

    Raises:
        UsageError: The shell lacks a variable that the catalog names.

    """
    call = ctx.tool(name, None if ctx.place else tool_environment())
    try:
        with handing_out(call.env, ctx.redactor.learn) as env:
            done = subprocess.run(
                [*call.prefix, *before.run],
                cwd=ctx.project.root,
                env=env,
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
