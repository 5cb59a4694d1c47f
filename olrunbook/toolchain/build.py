"""Build a pinned tool from Go modules, each checked against the go.sum we ship."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from olrunbook.errors import ToolError
from olrunbook.events import Event
from olrunbook.processes.tool import Command, Ended, Tool
from olrunbook.record.files import sha256_file
from olrunbook.redact import Redactor, new_key
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.golang import build_environment, find_go, go_version, modules
from olrunbook.toolchain.model import ToolFound
from olrunbook.toolchain.pins import Pin

Emit = Callable[[Event], None]
NEED_BYTES = 6 * 1024**3  # sources, what is compiled, and the linker's work
NEWS_S = 3.0
TAIL = 6


class Progress:
    """Understands what `go build -v` says, and tells it now and then."""

    def __init__(self, pin: Pin, emit: Emit) -> None:
        self.pin, self.emit = pin, emit
        self.began = time.monotonic()
        self.told = 0.0
        self.fetched = self.compiled = 0
        self.tail: deque[str] = deque(maxlen=TAIL)

    def say(self, text: str) -> None:
        """Tell where the build is."""
        data = {
            "state": "doing",
            "elapsed_s": round(time.monotonic() - self.began, 1),
            "expected_s": self.pin.expected_s,
        }
        self.emit(Event(self.pin.name, "progress", text, data))

    def line(self, text: str) -> None:
        """Take one line of `go build -v`."""
        self.tail.append(text)
        if text.startswith("go: downloading "):
            self.fetched += 1
            news = f"fetching modules ({self.fetched}): {text.split()[2]}"
        elif " " not in text.strip():
            self.compiled += 1
            news = f"compiling packages ({self.compiled}): {text.strip()}"
        else:
            return
        if time.monotonic() - self.told >= NEWS_S:
            self.told = time.monotonic()
            self.say(f"{self.pin.title}: {news}")


def build(pin: Pin, cache: Cache, emit: Emit, why: str) -> ToolFound:
    """Build, keep and verify a tool; the caller holds the cache's lock.

    `why` says why it was not downloaded.

    Raises:
        ToolError: It cannot be built; with the end of what the compiler said.
        InterruptedRunError: The build was stopped; nothing half-made is kept.

    """
    progress = Progress(pin, emit)
    minutes = f"about {pin.expected_s / 60:.0f} min, once"
    why = f"; not downloaded: {why}"
    text = f"{pin.title}: building from source, {minutes} ({pin.why}){why}"
    emit(Event(pin.name, "phase", text, {"expected_s": pin.expected_s}))
    room(cache)
    for folder in ("tmp", "modules", "compiled", "path", pin.name):
        (cache.build / folder).mkdir(parents=True, exist_ok=True)
    go = find_go(cache.build, progress.say)
    source = cache.build / pin.name
    shutil.copytree(modules(pin.name), source, dirs_exist_ok=True)
    log = cache.logs / f"build-{pin.name}-{pin.version}.log"
    log.unlink(missing_ok=True)
    made: dict[str, Any] = {
        "package": pin.package,
        "flags": list(pin.flags),
        "go": go_version(go),
        "go_sum_sha256": sha256_file(source / "go.sum"),
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }

    def fill(program: Path) -> None:
        argv = [go, "build", "-v", "-trimpath", "-mod=readonly", "-modcacherw"]
        argv += ["-buildvcs=false", *pin.flags, "-o", str(program), pin.package]
        ended = run(argv, cache, source, log, progress)
        if ended.code or not program.is_file():
            said = "\n  ".join(["", *progress.tail])
            msg = f"{pin.title} could not be built (go ended with {ended.code}{why}):"
            msg += said
            hint = (
                f"The whole output is in {log}. Is the Go module proxy reachable? "
                f"Or install {pin.name} yourself and put it on the PATH."
            )
            raise ToolError(msg, hint, ended.code)
        made["seconds"] = round(ended.seconds, 1)

    found = cache.put(pin, fill, made)
    text = f"{pin.title}: built in {made['seconds']:.0f} s{why}"
    emit(Event(pin.name, "artifact", text, {"path": str(found.path)}))
    return found


def run(
    argv: list[str], cache: Cache, source: Path, log: Path, progress: Progress
) -> Ended:
    """Run go under its own supervisor, so that it ends when we do."""
    command = Command("go", argv, source, build_environment(cache.build), log)
    with Tool(command, Redactor(new_key())) as tool:
        for line in tool.lines():
            progress.line(line.text)
    assert tool.ended is not None
    return tool.ended


def room(cache: Cache, need: int = NEED_BYTES) -> None:
    """Refuse before anything is fetched when the disk is too full.

    Raises:
        ToolError: Less than `need` bytes are free.

    """
    free = shutil.disk_usage(cache.root).free
    if free < need:
        msg = (
            f"{cache.root} has {free / 1024**3:.1f} GB free; "
            f"a build needs {need / 1024**3:.0f} GB for a few minutes"
        )
        raise ToolError(msg, "Free some, or set OLRUNBOOK_CACHE to another disk.")


def drop(cache: Cache) -> None:
    """Remove sources and compiled packages; only the tools stay."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(cache.build)
