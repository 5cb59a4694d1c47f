"""Parameters of a notebook: declared once, in its `parameters` cell.

The cell's annotations are the declaration: `App`, `Stage`, `Target` (it must be up) and
`TargetName` (it need not) take their choices from the catalog, `Literal[…]` gives its
own, `ImageSet` is `node_type=ami-…` for each node type of the app, `MinHealthy` and
`MaxHealthy` are percentages of a refresh, `str`, `int`, `float` and `bool` are what
they say; the comment is the help text. A string stays the string that was typed. What
has no such type is not checked.
"""

from typing import NewType

from olrunbook.project.params.declaration import (
    declared,
    injected,
    python_of,
    read_notebook,
    require_python,
    tagged,
)
from olrunbook.project.params.filing import NONE, begins, filed
from olrunbook.project.params.values import (
    PAPERMILLS_OWN,
    TYPES,
    Parameter,
    check,
    defaults,
    from_text,
)

__all__ = [
    "NONE",
    "PAPERMILLS_OWN",
    "TYPES",
    "App",
    "ImageSet",
    "MaxHealthy",
    "MinHealthy",
    "Parameter",
    "Stage",
    "Target",
    "TargetName",
    "begins",
    "check",
    "declared",
    "defaults",
    "filed",
    "from_text",
    "injected",
    "python_of",
    "read_notebook",
    "require_python",
    "tagged",
]

App = NewType("App", str)
ImageSet = NewType("ImageSet", str)
MaxHealthy = NewType("MaxHealthy", str)
MinHealthy = NewType("MinHealthy", str)
Stage = NewType("Stage", str)
Target = NewType("Target", str)
TargetName = NewType("TargetName", str)
