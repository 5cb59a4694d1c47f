"""Parameters of a notebook: declared once, in its `parameters` cell.

The cell's annotations are the declaration: `App`, `Stage` and `Target` take their
choices from the catalog, `Literal[…]` gives its own, `str`, `int`, `float` and `bool`
are what they say; the comment is the help text. A string stays the string that was
typed.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NewType

from olrunbook.catalog import Catalog
from olrunbook.errors import UsageError

__all__ = ["App", "Parameter", "Stage", "Target", "check", "declared", "read_notebook"]

App = NewType("App", str)
Stage = NewType("Stage", str)
Target = NewType("Target", str)

_TYPES = {"str", "int", "float", "bool", "App", "Stage", "Target"}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter.

    Args:
        name: Its name.
        kind: `str`, `int`, `float`, `bool`, `App`, `Stage`, `Target` or `Literal`.
        default: Its default value.
        choices: The values allowed; empty: any.
        help: The comment beside it.

    """

    name: str
    kind: str
    default: Any
    choices: tuple[Any, ...] = ()
    help: str = ""


def read_notebook(path: Path) -> dict[str, Any]:
    """Return a notebook's JSON.

    Raises:
        UsageError: It cannot be read or is no notebook.

    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise UsageError(msg) from None
    except ValueError as error:
        msg = f"{path} is not a notebook: {error}"
        raise UsageError(msg) from None
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list):
        msg = f"{path} is not a notebook: it has no cells"
        raise UsageError(msg)
    return found


def declared(notebook: dict[str, Any], catalog: Catalog) -> dict[str, Parameter]:
    """Return the parameters a notebook declares, in order.

    Args:
        notebook: Its JSON.
        catalog: Gives the choices of App, Stage and Target.

    Raises:
        UsageError: A declaration cannot be understood.

    """
    for cell in notebook["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            source = cell["source"]
            return _parse("".join(source), catalog)
    return {}


def _parse(source: str, catalog: Catalog) -> dict[str, Parameter]:
    comments = {}
    try:
        tree = ast.parse(source)
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                comments[token.start[0]] = token.string.lstrip("# ").strip()
    except (SyntaxError, tokenize.TokenError) as error:
        msg = f"the parameters cell cannot be read: {error}"
        raise UsageError(msg) from None
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue  # an import above the declarations is fine
        name, where = node.target.id, f"parameter {node.target.id!r}"
        try:
            default = ast.literal_eval(node.value) if node.value else None
        except ValueError:
            msg = f"{where}: its default is not a plain value"
            raise UsageError(msg) from None
        kind, choices = _kind(node.annotation, catalog, where)
        text = comments.get(node.end_lineno or node.lineno, "")
        found[name] = Parameter(name, kind, default, choices, text)
    return found


def _kind(
    annotation: ast.expr, catalog: Catalog, where: str
) -> tuple[str, tuple[Any, ...]]:
    if isinstance(annotation, ast.Name) and annotation.id in _TYPES:
        choices: dict[str, tuple[str, ...]] = {
            "App": tuple(catalog.apps),
            "Stage": tuple(catalog.stages.order),
            "Target": tuple(catalog.targets),
        }
        return annotation.id, choices.get(annotation.id, ())
    if (
        isinstance(annotation, ast.Subscript)
        and ast.unparse(annotation.value) == "Literal"
    ):
        values = ast.literal_eval(annotation.slice)
        return "Literal", values if isinstance(values, tuple) else (values,)
    msg = f"{where}: type {ast.unparse(annotation)} is not known"
    raise UsageError(msg, f"Use one of {', '.join(sorted(_TYPES))} or Literal[…].")


def check(
    given: dict[str, Any], parameters: dict[str, Parameter], notebook: str
) -> dict[str, Any]:
    """Return the given values in their declared types.

    Args:
        given: Name to value; a text from a command line, or a value already typed.
        parameters: The declarations.
        notebook: The notebook's name, for messages.

    Raises:
        UsageError: A name is unknown, or a value is not of its type or choices.

    """
    values = {}
    for name, value in given.items():
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f"Did you mean {near[0]}?" if near else ""
            have = ", ".join(parameters) or "none"
            msg = f"{notebook} has no parameter {name!r}; it has: {have}"
            raise UsageError(msg, hint)
        values[name] = _typed(parameters[name], value)
    for name, parameter in parameters.items():
        # A default of another project's catalog is no value of this one.
        if name not in values and parameter.choices:
            try:
                _typed(parameter, parameter.default)
            except UsageError as error:
                msg = f"{error} (the default of {notebook})"
                raise UsageError(msg, f"Give one: --{name}") from None
    return values


def _typed(parameter: Parameter, value: Any) -> Any:
    name, kind = parameter.name, parameter.kind
    if kind in ("str", "App", "Stage", "Target") and not isinstance(value, str):
        msg = (
            f"{name} is a text and arrived as {type(value).__name__} {value!r}: "
            "it was converted on its way"
        )
        raise UsageError(msg, f"Give it raw: papermill … -r {name} VALUE")
    typed: Any = value
    if isinstance(value, str) and kind in ("int", "float", "bool"):
        try:
            typed = _WORDS[value.lower()] if kind == "bool" else _number(kind, value)
        except (ValueError, KeyError):
            wanted = "true or false" if kind == "bool" else kind
            msg = f"{name}: {value!r} is not {wanted}"
            raise UsageError(msg) from None
    if kind == "Literal" and isinstance(value, str):
        typed = {str(choice): choice for choice in parameter.choices}.get(value, value)
    if kind in ("int", "bool") and type(typed).__name__ != kind:
        msg = f"{name}: {value!r} is not of type {kind}"
        raise UsageError(msg)
    # An empty text means "none given" where that is the default.
    if parameter.choices and typed not in parameter.choices:
        if typed == "" == parameter.default:
            return typed
        texts = [str(choice) for choice in parameter.choices]
        folded = {text.lower(): text for text in texts}
        near = difflib.get_close_matches(str(typed).lower(), folded, n=1, cutoff=0.5)
        hint = f"Did you mean {folded[near[0]]}?" if near else ""
        msg = f"{name} {typed!r} is unknown; there is: {', '.join(texts)}"
        raise UsageError(msg, hint)
    return typed


def _number(kind: str, value: str) -> int | float:
    if "_" in value:
        raise ValueError(value)
    return int(value) if kind == "int" else float(value)
