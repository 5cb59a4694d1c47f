"""nbclient and nbformat, without the seconds that others take which they never use.

jsonschema compiles a grammar of IRIs when it is imported where `rfc3987_syntax` is
installed (JupyterLab needs it): 2 s and more on each start, and others for URIs and
durations. The schema of notebooks has none. They wait for the first one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = [
    "CellExecutionComplete",
    "NotebookClient",
    "iter_validate",
    "later",
    "new_code_cell",
    "new_notebook",
    "new_output",
]


def _stand_in(name: str) -> ModuleType:
    def get(word: str) -> Any:
        if sys.modules.get(name) is not module:
            return getattr(import_module(name), word)
        if word.startswith("__"):
            raise AttributeError(word)
        return lambda *args, **more: get(word)(*args, **more)  # noqa: PLW0108  (later)

    module = ModuleType(name)
    vars(module)["__getattr__"] = get
    return module


@contextmanager
def later(*names: str) -> Iterator[None]:
    """Let what is imported here import modules, or functions of them, on first use."""
    made = {name: _stand_in(name) for name in names if name not in sys.modules}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:  # whoever asks for it from now on gets the real
            sys.modules.pop(name, None)


with later("rfc3987_syntax", "rfc3986_validator", "arrow"):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionComplete
    from nbformat.v4 import new_code_cell, new_notebook, new_output
    from nbformat.validator import iter_validate
