"""Get a file from a vendor's address, or by its Maven coordinates."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import queue
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from olrunbook.errors import ToolError
from olrunbook.targets import tool_environment

ANSWER_S = 5.0  # a vendor that cannot be reached must not hold a release up
LIST_BYTES = 1 << 20
MAVEN_S = 900.0
# Maven is run with the user's own settings: where it finds things is their business.
_KEEP = ("HOME", "JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "M2_HOME")


class NoAnswerError(OSError):
    """Nobody answers at an address, or no more comes: ask there no second time."""


def require_disk(error: OSError, place: Path) -> None:
    """Raise ToolError where an error is this disk's: a vendor's has no number."""
    if error.errno:
        msg = f"{place} cannot be written: {error.strerror}"
        hint = "Make room, or set OLRUNBOOK_CACHE to a folder that can be written."
        raise ToolError(msg, hint) from None


def trusted(url: str) -> bool:
    """Whether an address is https, or http on this machine itself."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return bool(host)
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
    return parts.scheme == "http" and local


def download(
    url: str, path: Path, tell: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write what an address holds into a file.

    `tell` is called with the bytes that came, and all there are (0: nobody said).

    Raises:
        OSError: It cannot be had, or not all of it; NoAnswerError: nobody answers.

    """
    done = 0
    with path.open("wb") as out:
        for data, total in _read(url):
            out.write(data)
            done += len(data)
            tell(done, total)


def listed_sum(url: str, name: str) -> str:
    """Return the sha256 a vendor's list of checksums (`sha256  file`) gives for a file.

    Raises:
        OSError: The list cannot be had (see `download`), or does not name the file.

    """
    text = b""
    for data, _ in _read(url):
        text += data
        if len(text) > LIST_BYTES:
            break
    for line in text.decode(errors="replace").splitlines():
        digest, _, file = line.partition(" ")
        if file.strip().lstrip("*") == name:
            return digest.lower()
    msg = f"{name} is not in the vendor's checksums"
    raise OSError(msg)


def from_maven(coordinates: str, path: Path) -> str:
    """Copy an artifact by its coordinates; return why it failed, empty when it did not.

    `coordinates` are `group:artifact:version`; Maven itself names the file.
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


def _read(url: str) -> Iterator[tuple[bytes, int]]:
    """Yield what an address holds as it comes, each time with the size of it all."""
    done = 0
    with contextlib.closing(_opened(url)) as answer:
        total = answer.length or 0
        try:
            while data := answer.read1(1 << 16):
                done += len(data)
                yield data, total
        except TimeoutError:
            msg = f"nothing more within {ANSWER_S:g} s, after {done} of {total} bytes"
            raise NoAnswerError(msg) from None
        except (OSError, http.client.HTTPException) as error:
            msg = f"cut off after {done} of {total} bytes: {error}"
            raise OSError(msg) from None
    if done < total:
        msg = f"cut off after {done} of {total} bytes"
        raise OSError(msg)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to what may be asked in the first place."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, *rest: Any
    ) -> urllib.request.Request | None:
        _, headers, url = rest
        if not trusted(url):
            msg = f"redirects to {url}, which is not https"
            raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, *rest)


def _opened(url: str) -> Any:
    """Return the answer of an address; proxies and certificates are the user's.

    The limit is on all of it: names that are not found, several addresses of a host
    that are tried one by one, redirects.
    """
    if not trusted(url):
        msg = f"not https: {url}"
        raise OSError(msg)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            opener = urllib.request.build_opener(_Redirects)
            answers.put(opener.open(url, timeout=ANSWER_S))
        except Exception as error:  # noqa: BLE001  (raised by who waits for it)
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_S)
    except queue.Empty:
        answer = TimeoutError()
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        msg = f"HTTP {answer.code}: {answer.reason}"
        raise OSError(msg)
    reason = getattr(answer, "reason", answer)
    if isinstance(reason, TimeoutError):
        msg = f"no answer within {ANSWER_S:g} s"
        raise NoAnswerError(msg)
    if isinstance(answer, OSError):
        raise NoAnswerError(getattr(reason, "strerror", None) or str(reason))
    if isinstance(answer, Exception):  # no HTTP, or no address
        raise OSError(str(answer)) from None
    return answer
