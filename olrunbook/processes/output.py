"""What a tool writes: two streams, masked, in whole lines where they come."""

from __future__ import annotations

import codecs

from olrunbook.redact import Redactor, StreamMask


class ToolOutput:
    """The tool's two streams, masked and cut into lines; unfinished ones are held."""

    def __init__(self, redactor: Redactor) -> None:
        self.masks = {name: StreamMask(redactor) for name in ("stdout", "stderr")}
        # A letter may be cut in two by the pipe as well.
        self._letters = {
            name: codecs.getincrementaldecoder("utf-8")("replace")
            for name in self.masks
        }
        self.fed = dict.fromkeys(self.masks, 0.0)
        self.open = set(self.masks)

    def cut(self, name: str, got: bytes, clock: float) -> list[str]:
        """Return the lines that are whole with what a stream gave; nothing ends it."""
        if not got:
            self.open.discard(name)
        self.fed[name] = clock
        text = self._letters[name].decode(got, final=not got)
        whole = self.masks[name].feed(text.replace("\r\n", "\n"))
        return whole.split("\n")[:-1]

    def give(self, name: str) -> str:
        """Return a stream's unfinished line, without what may begin a secret."""
        mask = self.masks[name]
        return mask.flush() if name in self.open else mask.close()
