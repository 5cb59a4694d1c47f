"""Standard output and error that never end our work, whoever reads them or leaves."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Stream(io.FileIO):
    """Writes to nowhere once its reader has left, or it can no longer be written.

    The descriptor stays open.
    """

    fault: OSError | None = None  # why it could not be written, if its reader is there

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._terminal = self.isatty()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written; the rest is for nobody."""
        try:
            return super().write(data)
        except OSError as error:
            closed = errno.EIO if self._terminal else errno.EPIPE
            if error.errno not in (errno.EPIPE, closed):
                self.fault = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)


def lasting() -> list[Stream]:
    """Put such streams in place of the interpreter's own, also where it has none.

    Returns:
        The new ones; none where somebody else, as a test, has put theirs there.

    """
    if sys.stdin is None:
        _nowhere()  # or the next file we open would be the standard input
    made = []
    for name in ("stdout", "stderr"):
        own = getattr(sys, name)
        if own is not getattr(sys, f"__{name}__"):
            continue
        stream = Stream(_nowhere() if own is None else own.fileno())
        through = own is not None and own.write_through  # PYTHONUNBUFFERED
        text = io.TextIOWrapper(
            stream if through else io.BufferedWriter(stream),
            encoding=own.encoding if own else "utf-8",
            errors=own.errors if own else "replace",
            line_buffering=own is not None and own.line_buffering,
            write_through=through,
        )
        setattr(sys, name, text)
        made.append(stream)
    return made


def _nowhere() -> int:
    """Open the lowest descriptor that is free: the one that was closed."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(descriptor, True)  # noqa: FBT003  (it takes no name)
    return descriptor
