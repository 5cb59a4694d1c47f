"""Where a notebook's runs are filed: what its `begin` names, else its parameters."""

from __future__ import annotations

import ast
import contextlib
import re
from typing import Any, TypeGuard

from olrunbook.errors import UsageError
from olrunbook.project.params.declaration import python_of
from olrunbook.project.params.values import Parameter

KINDS = {"target": ("Target", "TargetName"), "app": ("App",), "stage": ("Stage",)}
NONE = "none"  # the folder's name where there is no target or app
BY_BEGIN = "rehearsal"  # the target of a `begin` that names none
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}|")


def filed(
    notebook: dict[str, Any], parameters: dict[str, Parameter], values: dict[str, Any]
) -> dict[str, str]:
    """Return where a run of a notebook is filed: target, app, stage (may be empty).

    Raises:
        UsageError: A value cannot name a folder.

    """
    begin = _begin(notebook)
    found = {"target": NONE if begin is None else BY_BEGIN, "app": NONE, "stage": ""}
    for name, kinds in KINDS.items():
        match (begin or {}).get(name):
            case ast.Constant(value=str(text)):
                chosen: Any = text
            case ast.Name(id=variable) if variable in values:
                chosen = values[variable]
            case _:
                typed = [p.name for p in parameters.values() if p.kind in kinds]
                chosen = values.get(typed[0]) if typed else None
        if chosen is not None and not PLAIN.fullmatch(str(chosen)):
            msg = f"{name} {chosen!r} cannot name a folder of the archive"
            raise UsageError(msg, "Use letters, digits, - and _.")
        found[name] = chosen or found[name]
    return found


def _begin(notebook: dict[str, Any]) -> dict[str, ast.expr] | None:
    """Return the words of the notebook's call of `begin`; None: there is none."""
    for cell in notebook["cells"]:
        source = "".join(cell.get("source", ""))
        if cell.get("cell_type") != "code" or "begin(" not in source:
            continue
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(python_of(source)[0]):
                if begins(node):
                    return {word.arg: word.value for word in node.keywords if word.arg}
    return None


def begins(node: ast.AST | None) -> TypeGuard[ast.Call]:
    """Tell whether a piece of a program is a call of `begin`."""
    names = ("begin", "olrunbook.begin")
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names
