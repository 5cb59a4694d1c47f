"""Get a file from a vendor's address, or by its Maven coordinates."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from olrunbook.targets import tool_environment

__all__ = ["download", "from_maven", "listed_sum"]

CONNECT_S = 4.0  # a vendor that cannot be reached must not hold a release up
MAVEN_S = 900.0
# Maven is run with the user's own settings: where it finds things is their business.
_KEEP = ("HOME", "JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "M2_HOME")


def download(url: str, path: Path) -> None:
    """Write what an https address holds into a file.

    Raises:
        OSError: It cannot be reached.

    """
    with _open(url) as answer, path.open("wb") as out:
        shutil.copyfileobj(answer, out, 1 << 20)


def listed_sum(url: str, name: str) -> str:
    """Return the sha256 a vendor's list of checksums (`sha256  file`) gives for a file.

    Raises:
        OSError: The list cannot be reached, or does not name the file.

    """
    with _open(url) as answer:
        text = answer.read(1 << 20).decode()
    for line in text.splitlines():
        digest, _, file = line.partition(" ")
        if file.strip().lstrip("*") == name:
            return digest.lower()
    msg = f"{name} is not in the vendor's checksums"
    raise OSError(msg)


def from_maven(coordinates: str, path: Path) -> str:
    """Copy an artifact by its coordinates; return why it failed, empty when it did not.

    Args:
        coordinates: `group:artifact:version`.
        path: The file wanted; Maven itself names it.

    """
    mvn = shutil.which("mvn")
    if not mvn:
        return "mvn is not installed (sudo apt-get install maven)"
    found = {name: os.environ[name] for name in _KEEP if name in os.environ}
    argv = [mvn, "--quiet", "--batch-mode", "dependency:copy"]
    argv += [f"-Dartifact={coordinates}", f"-DoutputDirectory={path.parent}"]
    try:
        done = subprocess.run(
            argv,
            cwd=path.parent,
            env={**tool_environment(), **found},
            capture_output=True,
            text=True,
            timeout=MAVEN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"mvn took longer than {MAVEN_S:g} s"
    if path.is_file():
        return ""
    output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    errors = [line for line in output.splitlines() if "[ERROR]" in line]
    first = errors[0] if errors else "mvn ended without the file"
    return first.replace("[ERROR]", "").strip()


@contextlib.contextmanager
def _open(url: str) -> Iterator[IO[bytes]]:
    if not url.startswith("https://"):
        msg = f"not https: {url}"
        raise OSError(msg)
    with urllib.request.urlopen(url, timeout=CONNECT_S) as answer:  # noqa: S310  (above)
        yield answer
