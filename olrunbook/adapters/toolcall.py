"""How a tool of the project is called: its environment, its prefix, its interpreter.

What the target sets (keys, endpoints, addresses) comes before what the catalog sets:
a rehearsal is never led to the real Vault.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from olrunbook.errors import ToolError
from olrunbook.processes.handout import handing_out
from olrunbook.project.catalog import Project
from olrunbook.project.tools import ToolSpec
from olrunbook.redact import Redactor, secrets_of_environment
from olrunbook.redact.names import plausible, telling
from olrunbook.targets import KEEP

START = Path(__file__).parents[1] / "workers" / "start.py"
# The prefix begins in the checkout, where `uv run` finds the project; the tool works
# elsewhere.
ELSEWHERE = ("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh")

MOST = 1 << 14  # bytes of a file in which secrets are looked for
# `NAME=value`, `name: value`, `"name": "value",`; of npm `//host/:name=value`
_PAIR = re.compile(
    r"^\s*(?:export\s+|//\S+?:)?[\"']?([\w.-]+)[\"']?\s*[=:]\s*(.*?)\s*,?\s*$",
)
# … and of a `.netrc`, behind the words that may stand before it there
_NETRC = re.compile(
    r"(?:^\s*|\b(?:machine\s+\S+|default)\s+(?:login\s+\S+\s+)?(?:account\s+\S+\s+)?"
    r"|\blogin\s+\S+\s+)(password)\s+(\"[^\"]*\"|\S+)"
)


def find_tool(name: str, env: Mapping[str, str]) -> str:
    """Return a tool of an environment's PATH; ToolError where there is none."""
    found = shutil.which(name, path=env.get("PATH"))
    if not found:
        msg = f"{name} is not on the PATH"
        raise ToolError(msg, "Find or build it: olrunbook tools")
    return found


class ToolCall(NamedTuple):
    """How a tool is called."""

    env: dict[str, str]  # its whole environment
    prefix: tuple[str, ...] = ()  # what is put before it
    python: tuple[str, ...] = (sys.executable,)  # runs deploys and stack programs
    root: Path = Path()  # where a prefix begins: the project's folder
    folder: str = ""  # its working directory in the project; empty: its own default

    def program(self, name: str) -> str:
        """Return what is called: behind a prefix its name, which that one looks up.

        Else where it is on the PATH; ToolError where it is not.
        """
        return name if self.prefix else find_tool(name, self.env)

    def argv(self, cwd: Path, *words: str) -> list[str]:
        """Return what is started in `begins(cwd)` to have these words run in `cwd`."""
        moved = (*ELSEWHERE, str(cwd)) if self.prefix else ()
        return [*self.prefix, *moved, *words]

    def worker(self, module: str, *words: str) -> list[str]:
        """Return what is started in `begins(…)` to run a worker of ours."""
        # -P: neither the folder it starts in nor its own may shadow a module
        return [*self.python, "-P", str(START), module, *words]

    def begins(self, cwd: Path) -> Path:
        """Return the folder in which it is started."""
        return self.root if self.prefix else cwd

    def typed(self, program: str) -> str:
        """Return the program as a person types it, in the project's folder."""
        return shlex.join([*self.prefix, program])


def run_in_private(
    argv: Sequence[str], cwd: Path, call: ToolCall, redactor: Redactor, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; what it says comes by a pipe of this call alone.

    Raises:
        OSError: It cannot be started.
        TimeoutExpired: It took longer than `timeout_s`.

    """
    with handing_out(call.env, redactor.learn) as env:
        return subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            start_new_session=True,
            check=False,
        )


def tool_call(
    project: Project,
    spec: ToolSpec,
    env: Mapping[str, str],
    home: Path,
    redactor: Redactor,
) -> ToolCall:
    """Return how a tool is called, on top of the environment of a target or of docker.

    A home of the tool's own may be made at `home`. The redactor learns the secrets
    among its variables, and in its files of the person's home.

    Raises:
        UsageError: The shell lacks a variable that the catalog names.

    """
    root, theirs = project.root, {*env} - {*KEEP.split(), "PATH"}
    own = spec.variables(root, os.environ, but=theirs)
    for value in secrets_of_environment(own, project.catalog.secrets):
        redactor.learn(value)
    path = [own.pop("PATH", ""), env.get("PATH", "")]
    if python := spec.interpreter:
        python = str(root / python) if "/" in python else python
        path.insert(0, str(Path(python).parent) if "/" in python else "")
    merged = {**env, **own, "PATH": os.pathsep.join(filter(None, path))}
    if spec.home and env.get("HOME") != str(Path.home()):
        merged["HOME"] = str(_home(home, spec.home, env.get("HOME")))
    for file in (Path.home() / name for name in spec.home):
        with contextlib.suppress(OSError):  # there is none, or it is not for us
            if file.is_file() and file.stat().st_size <= MOST:
                text = file.read_text(encoding="utf-8", errors="replace")
                learn_text(redactor, text, every=False)
    if own or spec.prefix:  # what its programs import is in the checkout
        merged["PYTHONDONTWRITEBYTECODE"] = "1"
    prefix = () if python else tuple(spec.prefix)
    words = (*prefix, "python") if prefix else (python or sys.executable,)
    return ToolCall(merged, prefix, words, root, spec.folder)


def _home(folder: Path, names: list[str], common: str | None) -> Path:
    """Make a home of links: to what is named of the person's, and to the common one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    links = {folder / name: Path.home() / name for name in names}
    for link, to in links.items():
        if to.exists() and not link.is_symlink():
            link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            link.symlink_to(to)
    for to in Path(common).iterdir() if common and Path(common).is_dir() else ():
        if not os.path.lexists(folder / to.name):
            (folder / to.name).symlink_to(to)
    return folder


def learn_text(redactor: Redactor, text: str, *, every: bool) -> None:
    """Learn the values of a text that may be secret; a word as `production` is none.

    With `every`, any value in it may be; else, of one that has a name, the name tells,
    and a word that is the whole text is a secret.
    """
    word = len(text.split()) == 1 and text[0] not in "[{"
    if not every and word and plausible(text, quoted=True):
        redactor.learn(text)
    for name, value in _pairs(text):
        told = telling(name)
        # `auth` is Docker's word; it may be a way to log in, too
        if (every or told or name in ("", "auth")) and plausible(value, quoted=told):
            redactor.learn(value)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of a text; a line that has no name is a value."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict | list):
            yield from _leaves("", found)
            return
    for line in text.splitlines():
        pair = _PAIR.match(line)
        pairs = [pair.groups()] if pair else [("", line.strip()), *_NETRC.findall(line)]
        for name, value in pairs:
            yield name, value.strip("\"'")


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts in a JSON value, each with the name that it stands behind."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(name, inner)
    elif isinstance(value, str | int):
        yield name, str(value)
