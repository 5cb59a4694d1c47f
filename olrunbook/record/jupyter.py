"""nbclient and nbformat, without the seconds that a grammar of jsonschema takes.

jsonschema compiles a grammar of IRIs when it is imported where `rfc3987_syntax` is
installed (JupyterLab needs it): 2 s and more on each start. The schema of notebooks has
no IRI. Here it is compiled when the first one is checked.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = [
    "CellExecutionComplete",
    "NotebookClient",
    "new_code_cell",
    "new_notebook",
    "new_output",
]

GRAMMAR = "rfc3987_syntax"


def _is_valid_syntax(term: str, value: Any) -> bool:
    from rfc3987_syntax import is_valid_syntax  # noqa: PLC0415  (what takes so long)

    return bool(is_valid_syntax(term, value))


_later = ModuleType(GRAMMAR)
vars(_later)["is_valid_syntax"] = _is_valid_syntax
sys.modules.setdefault(GRAMMAR, _later)
try:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionComplete
    from nbformat.v4 import new_code_cell, new_notebook, new_output
finally:
    if sys.modules[GRAMMAR] is _later:  # whoever asks for it from now on gets the real
        del sys.modules[GRAMMAR]
