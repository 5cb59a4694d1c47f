"""Parameters of a notebook: declared once, in its `parameters` cell.

The cell's annotations are the declaration: `App`, `Stage` and `Target` take their
choices from the catalog, `Literal[…]` gives its own, `str`, `int`, `float` and `bool`
are what they say; the comment is the help text. A string stays the string that was
typed.
"""

from olrunbook.project.params.declaration import (
    App,
    Stage,
    Target,
    declared,
    injected,
    read_notebook,
)
from olrunbook.project.params.values import PAPERMILLS_OWN, Parameter, check

__all__ = [
    "PAPERMILLS_OWN",
    "App",
    "Parameter",
    "Stage",
    "Target",
    "check",
    "declared",
    "injected",
    "read_notebook",
]
