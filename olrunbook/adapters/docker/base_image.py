"""Make the base images the kit needs: `mmdebstrap`, then `docker import`.

A recipe is a folder (`images/base/`, `images/balancer/`) with a `recipe.toml` and an
optional `customize.sh`. An image is named after the hash of its recipe, so all
checkouts on a machine share it, and a second call only asks docker whether it is there.
Packages come from the Debian mirror this machine's own apt uses.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from olrunbook.adapters.docker.apt_sources import debian_sources, proxy_options
from olrunbook.adapters.docker.command import docker, exists
from olrunbook.errors import ToolError, UsageError
from olrunbook.events import Event
from olrunbook.processes.tool import Command, StopPolicy, Tool
from olrunbook.project.catalog import Project
from olrunbook.project.where import cache_dir
from olrunbook.redact import Redactor, new_key
from olrunbook.targets import tool_environment

LABEL = "olrunbook.base"
NO_MIRROR = r"Could not (resolve|connect)|Temporary failure|Failed to fetch"
UNREAD = ("man", "locale", "doc")  # nobody reads them in an image
# mmdebstrap removes its half-made tree when it is interrupted; that takes seconds.
POLICY = StopPolicy((("SIGINT", 20.0), ("SIGTERM", 5.0), ("SIGKILL", 5.0)), group=True)
_STAGES = {
    r"I: (?:running )?apt(?:-get)? update": "reading the package lists",
    r"I: downloading packages": "downloading packages",
    r"I: extracting archives": "unpacking the essential packages",
    r"I: installing (?:remaining|essential) packages": "installing packages",
    r"I: creating tarball": "packing the file system",
}


class Recipe(BaseModel, frozen=True, extra="forbid"):
    """What an image is made of."""

    suite: str  # Debian release, by code name
    packages: list[str]  # packages beside the essential ones
    command: list[str]  # what a container of it runs
    customize: str = ""  # shell script run once with the new root as `$1`


def ensure(
    name: str, *, project: Project, emit: Callable[[Event], None] = lambda event: None
) -> str:
    """Return the tag of a base image, and make the image first where it is missing.

    `name` is that of the recipe's folder under `images/`; the project's own wins over
    the shipped one.

    Raises:
        UsageError: There is no such recipe, or it cannot be read.
        ToolError: docker or mmdebstrap failed; the hint says what can be done.

    """
    folder = project.path(f"images/{name}")
    tag = tag_of(name, folder)
    if exists(tag):
        return tag
    cache = cache_dir() / "base-images"
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f"{tag.replace('/', '-').replace(':', '-')}.lock", emit):
        if not exists(tag):  # another process may have made it meanwhile
            _make(name, tag, load_recipe(folder), cache, emit)
    return tag


def tag_of(name: str, folder: Path) -> str:
    """Return the image name of a recipe's present state."""
    return f"olrunbook/{name}:{recipe_hash(folder)}"


def recipe_hash(folder: Path) -> str:
    """Return a hash over a recipe's files: names and contents (12 hex digits)."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".toml", ".sh"):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def load_recipe(folder: Path) -> Recipe:
    """Read a recipe folder; UsageError where `recipe.toml` is missing or wrong."""
    path = folder / "recipe.toml"
    script = folder / "customize.sh"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        text = script.read_text(encoding="utf-8") if script.is_file() else ""
        return Recipe(**data, customize=text)
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise UsageError(msg) from None


def _make(
    name: str, tag: str, recipe: Recipe, cache: Path, emit: Callable[[Event], None]
) -> None:
    emit(_progress(f"{tag} is missing: making it (about a minute, once)"))
    with tempfile.TemporaryDirectory(prefix="olrunbook-base-", dir=cache) as scratch:
        archive = Path(scratch) / "root.tar"
        _bootstrap(name, recipe, archive, cache, emit)
        emit(_progress("handing the file system to docker"))
        docker(
            "import",
            *("--change", f"CMD {json.dumps(recipe.command)}"),
            *("--change", f"LABEL {LABEL}={name}"),
            str(archive),
            tag,
        )
    emit(Event("docker", "artifact", f"made {tag}", {"id": tag}))


def _bootstrap(
    name: str, recipe: Recipe, archive: Path, cache: Path, emit: Callable[[Event], None]
) -> None:
    sources = debian_sources(recipe.suite)
    command = Command(
        "mmdebstrap",
        [
            "mmdebstrap",
            "--variant=minbase",
            # The tree is packed and thrown away: syncing it to disk triples the time.
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude=/usr/share/{of}/*" for of in UNREAD),
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            *(f"--aptopt={option}" for option in proxy_options()),
            *([f"--include={','.join(recipe.packages)}"] if recipe.packages else []),
            *([f"--customize-hook={recipe.customize}"] if recipe.customize else []),
            # Only the tool's own shell sees this: it removes what must not be shared.
            '--customize-hook=rm -rf "$1"/var/cache/apt/*.bin "$1"/var/log/*.log',
            recipe.suite,
            str(archive),
            *sources,
        ],
        cwd=Path("/"),
        env=_environment(),
        log=cache / f"{name}.log",
        policy=POLICY,
    )
    last: list[str] = []
    stage = ""
    with Tool(command, Redactor(new_key())) as tool:
        for line in tool.lines():
            last = [*last[-400:], line.text]
            for sign, words in _STAGES.items():
                if re.match(sign, line.text) and words != stage:
                    stage = words
                    emit(_progress(words))
    code = tool.ended.code if tool.ended else None
    if code != 0:
        raise _failure(name, last, command.log, code)


def _failure(name: str, last: list[str], log: Path, code: int | None) -> ToolError:
    said = "\n".join(last)
    lines = [line for line in last if line.strip()]
    at = [i for i, line in enumerate(lines) if line.startswith(("E:", "error:"))][:1]
    # The cause of a failed command is the line before the error itself.
    errors = lines[max(at[0] - 1, 0) : at[0] + 1] if at else lines[-1:]
    errors = [line for line in errors if not line.startswith("I:")]
    hint = f"The whole output is in {log}."
    if "No space left on device" in said:
        hint = "Free some disk space (1 GB is needed while the image is made)."
    elif "newuidmap" in said or "unshare" in said:
        hint = "Install uidmap (sudo apt-get install uidmap), or run this once as root."
    elif re.search(NO_MIRROR, said):
        hint = "This machine's Debian mirror must answer: try sudo apt-get update"
    elif "NO_PUBKEY" in said or "not signed" in said:
        hint = "Install Debian's keys: sudo apt-get install debian-archive-keyring"
    detail = "; ".join(errors) or "no output"
    return ToolError(f"the image {name!r} could not be made: {detail}", hint, code)


def _environment() -> dict[str, str]:
    env = tool_environment()
    # In its own user namespace mmdebstrap cannot enter a private temporary folder.
    env.pop("TMPDIR", None)
    env["PATH"] += os.pathsep + "/usr/sbin:/sbin"
    return env


def _progress(text: str) -> Event:
    return Event("mmdebstrap", "progress", text)


@contextlib.contextmanager
def _lock(path: Path, emit: Callable[[Event], None]) -> Iterator[None]:
    """Hold a lock file, so that two checkouts do not make one image twice."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            emit(_progress("another process is making this image; waiting for it"))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
