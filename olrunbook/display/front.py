"""Put something before the reader: in a notebook as an output, elsewhere as text."""

from __future__ import annotations

import sys
from typing import Any

from olrunbook.display.render import bundle
from olrunbook.display.view import Note, View


def kernel() -> bool:
    """Whether we run in a kernel, so that outputs reach a notebook."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return getattr(shell, "kernel", None) is not None


def show(what: Any) -> None:
    """Show something that shows itself."""
    if kernel():
        from IPython.display import display  # noqa: PLC0415  (heavy)

        display(what)  # type: ignore[no-untyped-call]
    else:
        sys.stdout.write(f"{what!r}\n")


def note(text: str) -> None:
    """Show a line of text."""
    show(Seen(View("", notes=[Note(text)])))


class Seen:
    """A view that shows itself."""

    def __init__(self, view: View) -> None:
        self._bundle = bundle(view)

    def __repr__(self) -> str:
        """Return it as text."""
        return str(self._bundle["text/plain"]).strip()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Return it as HTML and as text."""
        return self._bundle


class Output:
    """One output of a notebook that is replaced as things change.

    Outside of a kernel it shows nothing: a terminal has its own progress.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def put(self, data: dict[str, Any]) -> None:
        """Show this in place of what was shown."""
        if self._handle is not None:
            self._handle.update(data, raw=True)
        elif kernel():
            from IPython.display import display  # noqa: PLC0415  (heavy)

            self._handle = display(  # type: ignore[no-untyped-call]
                data, raw=True, display_id=True
            )
