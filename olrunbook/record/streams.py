"""Long output: the first and last lines are shown, the whole goes to a log."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import TextIO

from olrunbook.redact import Masked, Redactor, StreamMask

HEAD, TAIL = 500, 500  # lines kept from the beginning and from the end
LINE = 20_000  # characters of one line; of a longer one its beginning and end are shown


class StreamCap:
    """Keep the first and last lines of a stream; the whole goes to a log.

    The log is opened at the first line left out; a value cut by a flush is masked too.
    """

    def __init__(self, log: Path, redactor: Redactor) -> None:
        self._path, self._mask = log, StreamMask(redactor)
        self._redactor, self._generation = redactor, redactor.generation
        self._log: TextIO | None = None
        self._spilt = False
        self._logged = 0  # characters of `_ended` that are in the log
        self._ended = ""  # what was shown as the end, masked; more may come after it
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._lines = 0
        self.fed = 0  # characters taken

    def feed(self, text: str) -> None:
        """Take the next piece of the stream."""
        self.fed += len(text)
        block = self._mask.feed(text)
        if not block:
            return
        block, self._ended = self._ended + block, ""
        written, self._logged = self._logged, 0
        lines = block.split("\n")[:-1]
        long = len(block) > LINE and max(map(len, lines)) > LINE
        if self._spilt or self._lines + len(lines) > HEAD + TAIL or long:
            self._spill()
        if self._log:
            self._log.write(block[written:])
        for line in lines:
            self._lines += 1
            (self._head if len(self._head) < HEAD else self._tail).append(
                self._short(line)
            )

    def _spill(self) -> None:
        """Have the whole go to the log from now on; what came before is shown whole."""
        if self._log is None:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._log = os.fdopen(handle, "w", encoding="utf-8")
        if not self._spilt:
            self._log.writelines(f"{line}\n" for line in (*self._head, *self._tail))
            self._spilt = True

    def _short(self, line: str) -> str:
        """Return a line as it is shown: a long one by its beginning and end."""
        if len(line) <= LINE:
            return line
        note = f"{len(line)} characters; all of them: logs/{self._path.name}"
        return f"{line[: LINE // 2]} … {note} … {line[-LINE // 2 :]}"

    @property
    def dropped(self) -> int:
        """How many lines are left out in the middle."""
        return self._lines - len(self._head) - len(self._tail)

    def text(self, *, final: bool = False) -> str:
        """Return what the notebook shows of the stream so far.

        Unless nothing more will come (`final`), what may begin a secret is held back.
        """
        note = f"… {self.dropped} lines left out; all of them: logs/{self._path.name} …"
        if final:
            self._ended += self._mask.close()
            if len(self._ended) > LINE:
                self._spill()
        rest = self._short(self._ended + ("" if final else self._mask.peek()))
        lines = [*self._head, *([note] if self.dropped else []), *self._tail]
        whole = "".join(f"{line}\n" for line in lines) + rest
        return Masked(whole, self._generation)

    def close(self) -> None:
        """Close the log, if there is one; a line without an end is in it too."""
        if self._spilt and self._ended:
            self._spill()
            assert self._log
            self._log.write(self._ended[self._logged :])
            self._logged = len(self._ended)
        if self._log:
            self._log.close()
            self._log = None
