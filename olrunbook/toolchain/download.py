"""Download a pinned tool from its vendor, checked by the vendor's list of checksums.

Where a vendor keeps what, and where that is known from, says `pins.toml`.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from olrunbook.artifacts.downloads import (
    NoAnswerError,
    download,
    listed_sum,
    require_disk,
    trusted,
)
from olrunbook.errors import ToolError, UsageError
from olrunbook.events import Event
from olrunbook.record.files import sha256_file
from olrunbook.toolchain.build import NEWS_S, Emit
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.model import ToolFound
from olrunbook.toolchain.pins import Pin

NONE = "none"  # instead of an address: build, whatever the vendor has
SILENT_S = 900.0  # how long a host that did not answer is not asked again
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # a member that is locked, or packed in a way nobody knows
)


def base(pin: Pin) -> str:
    """Return the address a tool's release is under, or `none`.

    Raises:
        UsageError: The environment names one that is not asked.

    """
    env = pin.release.env
    found = (os.environ.get(env) or pin.release.base).rstrip("/")
    if found != NONE and (not trusted(found) or "@" in found):
        msg = f"{env} is not an https address (or http on loopback) without a user"
        hint = f"Unset it, or name a mirror: {env}=https://…, or {NONE} to build."
        raise UsageError(msg, hint)
    return found


def from_vendor(pin: Pin, cache: Cache, emit: Emit) -> ToolFound | str:
    """Download, check and keep a tool; return why not where it cannot be had.

    The caller holds the cache's lock.

    Raises:
        ToolError: What came is not what the vendor's list says, or holds no such tool;
            or it cannot be written here.

    """
    address = base(pin)
    if address == NONE:
        return f"{pin.release.env} is {NONE}"
    host = urllib.parse.urlsplit(address).netloc
    silent = cache.build / f"silent-{host}"
    with suppress(FileNotFoundError):
        if time.time() - silent.stat().st_mtime < SILENT_S:
            return silent.read_text(encoding="utf-8")
    url = f"{address}/{pin.filled(pin.release.archive)}"
    name = url.rpartition("/")[2]
    emit(Event(pin.name, "phase", f"{pin.title}: downloading from {host} ({pin.why})"))
    began = told = time.monotonic()
    made: dict[str, Any] = {"host": host, "url": url}

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= NEWS_S:
            told = time.monotonic()
            size = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
            text = f"{pin.title}: downloading from {host}: {size}"
            emit(Event(pin.name, "progress", text, {"state": "doing"}))

    def fill(program: Path) -> None:
        archive = program.with_name(name)
        listed = listed_sum(f"{address}/{pin.filled(pin.release.sums)}", name)
        download(url, archive, tell)
        if (found := sha256_file(archive)) != listed:
            raise _refused(pin, f"has sha256 {found}; {host} lists {listed}")
        _unpack(pin, archive, program)
        archive.unlink()
        made["archive_sha256"] = listed
        made["downloaded_at"] = datetime.now(UTC).isoformat(timespec="seconds")
        made["seconds"] = round(time.monotonic() - began, 1)

    try:
        found = cache.put(pin, fill, made)
    except OSError as error:
        require_disk(error, cache.tools)
        why = f"{host}: {error}"
        if isinstance(error, NoAnswerError):
            silent.parent.mkdir(parents=True, exist_ok=True)
            silent.write_text(why, encoding="utf-8")
        return why
    text = f"{pin.title}: downloaded from {host} in {made['seconds']:.0f} s"
    emit(Event(pin.name, "artifact", text, {"path": str(found.path)}))
    return found


def _refused(pin: Pin, why: str) -> ToolError:
    """Return the error for a download that came whole and is not what it should be."""
    name = PurePosixPath(pin.filled(pin.release.archive)).name
    hint = (
        "Nothing of it was kept. Try again. If it stays so, the list is wrong, or "
        "somebody between here and the vendor changes what you get: find out. "
        f"To build from source instead: {pin.release.env}={NONE}"
    )
    return ToolError(f"{name} {why}", hint)


def _unpack(pin: Pin, archive: Path, program: Path) -> None:
    """Write the one member that is wanted; no name in an archive becomes a path.

    Raises:
        ToolError: The archive is broken, leads out of itself, or has no such member.

    """
    wanted = pin.filled(pin.release.member)
    try:
        for name, opened in _members(archive):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise _refused(pin, f"has a member that leads out of it: {name}")
            if name == wanted and opened and (source := opened()):
                with source, program.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                program.chmod(0o755)
    except BROKEN as error:
        raise _refused(pin, f"cannot be unpacked: {error}") from None
    if not program.is_file():
        raise _refused(pin, f"has no program {wanted}")


def _members(
    archive: Path,
) -> Iterator[tuple[str, Callable[[], IO[bytes] | None] | None]]:
    """Yield the members' names, and for a file how it is read."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                yield entry.filename, partial(packed.open, entry)
        return
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            opened = partial(tar.extractfile, member) if member.isreg() else None
            yield member.name, opened
