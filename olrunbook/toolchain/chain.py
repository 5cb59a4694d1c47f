"""The whole toolchain: found where it fits, else downloaded or built once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from olrunbook.errors import UsageError
from olrunbook.events import Event
from olrunbook.project.where import cache_dir
from olrunbook.toolchain.build import Emit, build, drop
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.download import base, from_vendor
from olrunbook.toolchain.find import look
from olrunbook.toolchain.model import Toolchain, ToolFound
from olrunbook.toolchain.pins import PINS, Pin


def chosen(names: Iterable[str] | None) -> list[Pin]:
    """Return the pins of these tools, all by default, in building order."""
    wanted = set(PINS if names is None else names)
    if unknown := sorted(wanted - set(PINS)):
        msg = f"no such tool: {', '.join(unknown)}; choose from: {', '.join(PINS)}"
        raise UsageError(msg)
    return [pin for name, pin in PINS.items() if name in wanted]


def ensure(
    names: Iterable[str] | None = None,
    emit: Emit = lambda event: None,
    *,
    keep_build: bool = False,
    cache: Cache | None = None,
) -> Toolchain:
    """Return the tools, getting what is neither on the machine nor kept from before.

    Without `names`: all. With `keep_build`, sources and compiled packages are left for
    the next call, which shares them; else they are removed.

    Raises:
        UsageError: No such tool, or the environment names no address of a vendor.
        ToolError: One cannot be had, or is not what its vendor lists; the hint says
            what to do.
        InterruptedRunError: A build was stopped; nothing half-made is kept.

    """
    cache = cache or Cache(cache_dir())
    pins = chosen(names)
    found = {pin.name: look(pin, cache) for pin in pins}
    if missing := [pin for pin in pins if not found[pin.name]]:
        found |= get_missing(missing, cache, emit, keep_build=keep_build)
    elif not keep_build and cache.build.exists():
        with contextlib.suppress(BlockingIOError), cache.locked():
            drop(cache)  # of a build that was killed; one at work keeps its own
    return Toolchain(tools={name: tool for name, tool in found.items() if tool})


def get_missing(
    pins: list[Pin], cache: Cache, emit: Emit, *, keep_build: bool
) -> dict[str, ToolFound]:
    """Get tools, one process at a time; another one may get them while we wait."""
    for pin in PINS.values():
        base(pin)  # what cannot be asked is refused before anything is changed

    def waiting() -> None:
        text = f"{pins[0].title}: another olrunbook is getting it; waiting"
        emit(Event(pins[0].name, "phase", text, {"expected_s": pins[0].expected_s}))

    with cache.locked(waiting), contextlib.ExitStack() as ended:
        ended.callback(drop, cache)
        made = {pin.name: cache.get(pin) or get(pin, cache, emit) for pin in pins}
        if keep_build:
            ended.pop_all()
    return made


def get(pin: Pin, cache: Cache, emit: Emit) -> ToolFound:
    """Download a tool, or build it where its vendor's release cannot be had."""
    found = from_vendor(pin, cache, emit)
    return build(pin, cache, emit, found) if isinstance(found, str) else found
