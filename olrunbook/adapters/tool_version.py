"""Which version of a tool is found where the tools are looked for."""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from olrunbook.adapters.toolcall import ToolCall
from olrunbook.errors import ToolError

PROVIDERS = "olrunbook.workers.pulumi.versions"
ASK = {"pyinfra": "--version", "docker": "--version"}
ANSWER_S = 30.0
HERE = Path()
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


class ToolFound(NamedTuple):
    """A tool."""

    path: str = ""  # where it is, or how it is called; empty: nowhere
    version: str = ""  # its version; empty: it did not say


def tool_version(
    name: str, env: Mapping[str, str], prefix: Sequence[str] = (), where: Path = HERE
) -> ToolFound:
    """Look for a tool on the PATH of its environment and ask it for its version.

    With a `prefix` that begins in `where`, what comes after it is asked.
    """
    path = shutil.which(prefix[0] if prefix else name, path=env.get("PATH", ""))
    if path is None:
        return ToolFound()
    file = Path(path).stat()
    words = (path, *prefix[1:], name) if prefix else (path,)
    known = (file.st_mtime_ns, file.st_ino), tuple(env.items())
    found = _asked(name, words, where, *known)
    if not found.version:
        _asked.cache_clear()  # it may say it the next time
    return found


@functools.lru_cache(maxsize=8)
def _asked(
    name: str,
    words: tuple[str, ...],
    where: Path,
    file: tuple[int, int],
    env: tuple[tuple[str, str], ...],
) -> ToolFound:
    """Ask a program for its version; the same file is asked once."""
    del file
    # Nothing of the kind may call home while it is only asked for its version.
    quiet = {"PULUMI_SKIP_UPDATE_CHECK": "true", "CHECKPOINT_DISABLE": "1"}
    try:
        said = subprocess.run(
            [*words, ASK.get(name, "version")],
            capture_output=True,
            cwd=where,
            check=False,
            env={**dict(env), **quiet},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=ANSWER_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ToolFound(shlex.join(words))
    found = None if said.returncode else _VERSION.search(said.stdout)
    return ToolFound(shlex.join(words), found.group(0) if found else "")


def provider_versions(call: ToolCall, names: Iterable[str]) -> dict[str, str]:
    """Return the versions of Pulumi's providers that a stack's program would ask for.

    Those of `names`, as `aws`, that the program has not are left out.

    Raises:
        ToolError: Its interpreter does not answer.

    """
    try:
        said = subprocess.run(
            call.worker(PROVIDERS, *names),
            capture_output=True,
            check=True,
            cwd=call.begins(call.root),
            env=call.env,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=ANSWER_S,
        )
        return dict(json.loads(said.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        msg = f"the versions of the providers cannot be read: {error}"
        raise ToolError(msg) from None
