"""Who, where, from what: the facts of a run and how each is known."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import socket
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from olrunbook.record.files import sha256_file
from olrunbook.record.heartbeat import process_facts
from olrunbook.record.model import Known

# How the facts are known; each belongs to a field of `run.json`.
KNOWN = {
    "commit": "git rev-parse HEAD, in the project's folder",
    "dirty": "git status --porcelain, in the project's folder",
    "source_sha256": "the bytes of the notebook's file as the run began",
    "parameters": "given by whoever started the run, else the notebook's defaults",
    "versions": "metadata of the installed packages",
    "tools": "asked of each tool when it was found; built ones also by their sha256",
    "images": "chosen when the run began, or what its build made",
    "account": "the target's private file",
    "identity": "the target's private file; preflight asks STS GetCallerIdentity",
    "started_at": "the clock of the machine that ran it",
}

# Variable that carries the build's address or number, by CI system.
CI_VARIABLES = """
    BUILD_URL GITHUB_RUN_ID CI_PIPELINE_URL BUILDKITE_BUILD_URL CIRCLE_BUILD_URL
    BUILD_ID
"""
PACKAGES = "olrunbook papermill ipykernel pyinfra pulumi pulumi-aws boto3 moto"


def _git(folder: Path, *words: str, errors: str = "replace") -> str:
    try:
        # The owner of the checkout may be another (a CI container): asked for this call
        # only.
        done = subprocess.run(
            ["git", "-c", f"safe.directory={folder}", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors=errors,
            timeout=20,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def git_state(folder: Path, without: Path) -> tuple[str, tuple[str, ...]]:
    """Return a checkout's commit and the files that differ from it.

    The folder `without` does not count: the archive grows with every run.

    Returns:
        The full hash and the changed paths; empty where there is no checkout.

    """
    sha = _git(folder, "rev-parse", "HEAD").strip()
    if not sha:
        return "", ()
    said = _changes(_root(folder), without, "--untracked-files=normal")
    said = said.encode(errors="surrogateescape").decode(errors="replace")
    return sha, tuple(sorted(line[3:] for line in said.splitlines()))


def _root(folder: Path) -> Path:
    top = _git(folder, "rev-parse", "--show-toplevel", errors="surrogateescape")
    return Path(top.removesuffix("\n"))


def _changes(root: Path, without: Path, *how: str) -> str:
    """Return what git says of a checkout's changes, without a folder's."""
    words = ["status", "--porcelain", "--no-renames", *how, "--", ":/"]
    if (apart := without.resolve()).is_relative_to(root):
        words.append(f":(top,literal,exclude){apart.relative_to(root)}")
    return _git(root, *words, errors="surrogateescape")


def contents(folder: Path, without: Path) -> str:
    """Return a sha256 over the files of a checkout that differ from its commit.

    Each is read once; those that do not differ are not read. The folder `without` does
    not count: the archive grows with every run.
    """
    root, found = _root(folder), hashlib.sha256()
    lines = _changes(root, without, "-z", "--untracked-files=all").split("\0")
    for relative in sorted(line[3:] for line in lines if line):
        path, what = root / relative, "gone"
        if path.is_symlink():
            what = f"to {path.readlink()}"
        elif path.is_file():
            what = f"{os.access(path, os.X_OK)} {sha256_file(path)}"
        text = f"{relative}\0{what}\0"
        found.update(text.encode(errors="surrogateescape"))
    return found.hexdigest()


def commits_between(folder: Path, old: str, new: str) -> list[str] | None:
    """Return the commits of a project that `new` has and `old` has not, newest first.

    Returns:
        `abc1234 subject` each; None: one of the two is not in this checkout.

    """
    for sha in (old, new):
        if not re.fullmatch("[0-9a-f]{40,64}", sha) or not _git(
            folder, "rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}"
        ):
            return None
    log = _git(folder, "log", "--format=%h %s", f"{old}..{new}", "--", ".")
    return log.splitlines()


def files(folder: Path) -> list[str]:
    """Return the files below a folder that git has or would add; without git: none.

    Of a submodule that is checked out, those of the submodule.
    """
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    found = list[str]()
    for name in _git(folder, *words, errors="surrogateescape").split("\0")[:-1]:
        inner = folder / name
        # A checkout that only lies there is not one: git ends its name with a slash.
        if (
            not name.endswith("/")
            and not inner.is_symlink()
            and (inner / ".git").exists()
        ):
            found += [f"{name}/{file}" for file in files(inner)]
        else:
            found.append(name)
    return found


def uncommitted(folder: Path, name: str) -> bool:
    """Whether a file in a checkout is not as it was committed; without git: no."""
    words = ("status", "--porcelain", "--ignored", "--untracked-files=all", "--", name)
    return bool(_git(folder, *words).strip())


def operator(folder: Path) -> dict[str, Known]:
    """Return who runs this and where, each with how it is known."""
    facts: dict[str, Known] = {}
    try:
        facts["user"] = Known(value=getpass.getuser(), source="operating system")
    except (OSError, KeyError):
        facts["user"] = Known(value=str(os.getuid()), source="user id")
    if sudo := os.environ.get("SUDO_USER"):
        facts["sudo_user"] = Known(value=sudo, source="environment SUDO_USER")
    facts["host"] = Known(value=socket.gethostname(), source="operating system")
    if email := _git(folder, "config", "user.email").strip():
        facts["git"] = Known(value=email, source="git config user.email")
    for name in CI_VARIABLES.split():
        if value := os.environ.get(name):
            facts["ci_build"] = Known(value=value, source=f"environment {name}")
            break
    return facts


def person(facts: Mapping[str, Known]) -> str:
    """Return who runs this in one line, from what `operator` found."""
    known = {name: fact.value for name, fact in facts.items()}
    names = [name for name in ("sudo_user", "git", "ci_build") if name in known]
    more = ", ".join(f"{name} {known[name]}" for name in names)
    who = f"{known['user']}@{known['host']}"
    return f"{who} ({more})" if more else who


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages a run stands on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES.split():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def opening(folder: Path, outputs: Path) -> dict[str, Any]:
    """Return the facts that open a run's journal."""
    sha, dirty = git_state(folder, outputs)
    return {
        "commit": sha,
        "dirty": list(dirty),
        "operator": {
            name: fact.model_dump() for name, fact in operator(folder).items()
        },
        "versions": versions(),
        "process": process_facts(),
        "known": KNOWN,
    }
