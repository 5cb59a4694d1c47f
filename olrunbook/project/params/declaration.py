"""Read what a notebook's `parameters` cell declares."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
import tokenize
import warnings
from pathlib import Path
from typing import Any

from olrunbook.errors import UsageError
from olrunbook.project.catalog import Catalog
from olrunbook.project.params.values import TYPES, Parameter, typed

# IPython's own lines are no Python: magics, shell lines, and what they are assigned to.
_MAGIC = re.compile(r"^([ \t]*)(?:[%!?]|[\w, \t]+=[ \t]*[%!]).*$", re.MULTILINE)


def read_notebook(path: Path) -> dict[str, Any]:
    """Return a notebook's JSON.

    Raises:
        UsageError: It cannot be read, is no notebook, or one of an old format.

    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise UsageError(msg) from None
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not a notebook: {error}"
        raise UsageError(msg) from None
    if isinstance(found, dict) and "cells" not in found and "worksheets" in found:
        msg = (
            f"{path} is a notebook of nbformat {found.get('nbformat', 3)}, wanted is 4"
        )
        how = f"jupyter nbconvert --to notebook --inplace {shlex.quote(str(path))}"
        raise UsageError(msg, f"Convert it: {how}")
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list):
        msg = f"{path} is not a notebook: it has no cells"
        raise UsageError(msg)
    return found


def require_python(notebook: dict[str, Any], name: str) -> None:
    """Raise UsageError where a notebook is in another language than ours."""
    meta = notebook.get("metadata", {})
    language = str(
        meta.get("kernelspec", {}).get("language")
        or meta.get("language_info", {}).get("name")
        or "python"
    )
    if language.lower() not in ("python", "ipython", "python3"):
        msg = f"{name} is a notebook in {language}: olrunbook runs Python"
        raise UsageError(msg, "Run it with papermill, without --engine olrunbook.")


def python_of(source: str) -> tuple[ast.Module, str]:
    """Return a cell as Python, and its source: where need be without IPython's lines.

    Raises:
        SyntaxError: It is no Python without them either.

    """
    wrong = SyntaxError()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cell's own escapes
        # As it is first: `%` may begin a line of Python, too.
        for text in (source, _MAGIC.sub(r"\1pass", source)):
            try:
                return ast.parse(text), text
            except SyntaxError as error:
                wrong = error
            except (ValueError, MemoryError, RecursionError) as error:
                wrong = SyntaxError(str(error))
    raise wrong


def declared(notebook: dict[str, Any], catalog: Catalog) -> dict[str, Parameter]:
    """Return the parameters a notebook declares, in order.

    Raises:
        UsageError: A declaration cannot be understood.

    """
    return _parse(_source(notebook, "parameters"), catalog)


def injected(notebook: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """Return the values that papermill's injected cell gives a notebook's parameters.

    What the cell assigns is what runs. papermill keeps the metadata of a notebook that
    it has run before, also where the cell was edited or is gone.
    """
    source = _source(notebook, "injected-parameters")
    found = dict(recorded) if source else {}
    with contextlib.suppress(SyntaxError):
        for node in ast.parse(source).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    with contextlib.suppress(ValueError):
                        found[name] = ast.literal_eval(value)
    return found


def tagged(notebook: Any, tag: str) -> list[Any]:
    """Return the cells of a notebook that have a tag."""
    cells = notebook["cells"]
    return [cell for cell in cells if tag in cell.get("metadata", {}).get("tags", [])]


def _source(notebook: dict[str, Any], tag: str) -> str:
    return "".join(next((cell["source"] for cell in tagged(notebook, tag)), ""))


def _parse(source: str, catalog: Catalog) -> dict[str, Parameter]:
    comments = {}
    try:
        tree, source = python_of(source)
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                comments[token.start[0]] = token.string.lstrip("# ").strip()
    except (SyntaxError, tokenize.TokenError) as error:
        msg = f"the parameters cell cannot be read: {error}"
        raise UsageError(msg) from None
    found = {}
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                annotation: ast.expr | None = node.annotation
            case ast.Assign(targets=[ast.Name(id=name)]):
                annotation = None
            case _:
                continue  # an import above the declarations is fine
        text = comments.get(node.end_lineno or node.lineno, "")
        found[name] = _parameter(name, annotation, node.value, catalog, text)
    return found


def _parameter(
    name: str,
    annotation: ast.expr | None,
    value: ast.expr | None,
    catalog: Catalog,
    text: str,
) -> Parameter:
    where = f"parameter {name!r}"
    default, computed = None, False
    try:
        default = ast.literal_eval(value) if value else None
    except (ValueError, TypeError, MemoryError):
        computed = True
    kind, choices, optional = _kind(annotation, catalog)
    optional = optional or (value is not None and default is None)
    by_app: dict[str, list[str]] = {}
    if kind == "ImageSet":
        by_app = {app: spec.node_types for app, spec in catalog.apps.items()}
    elif kind == "Stage":
        by_app = {app: catalog.stages_of(app) for app in catalog.apps}
    made = Parameter(
        name,
        kind,
        default,
        choices,
        text,
        optional,
        value is None,
        computed,
        by_app,
        ast.unparse(annotation) if annotation else "",
    )
    plain = kind in ("str", "int", "float", "bool")
    if computed and kind and not plain:
        msg = f"{where}: its default must be written out: a {kind} is checked first"
        raise UsageError(msg)
    if plain and value is not None and not computed:
        try:
            typed(made, default, texts=False)
        except UsageError:
            msg = f"{where}: its default {default!r} is not of type {kind}"
            raise UsageError(msg) from None
    return made


def _kind(
    annotation: ast.expr | None, catalog: Catalog
) -> tuple[str, tuple[Any, ...], bool]:
    """Return the type's name, its choices, and whether None is one of them.

    A type that is none of ours is not checked: its name is empty.
    """
    match annotation:
        case ast.Constant(value=str(quoted)):
            with contextlib.suppress(SyntaxError):
                return _kind(ast.parse(quoted, mode="eval").body, catalog)
        case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
            return (*_kind(inner, catalog)[:2], True)
        case ast.Name(id=name) if name in TYPES:
            choices: dict[str, tuple[str, ...]] = {
                "App": tuple(catalog.apps),
                "Stage": tuple(catalog.all_stages),
                "Target": tuple(catalog.targets),
                "TargetName": tuple(catalog.targets),
            }
            return name, choices.get(name, ()), False
        case ast.Subscript(value=outer, slice=inner):
            if ast.unparse(outer).removeprefix("typing.") == "Optional":
                return (*_kind(inner, catalog)[:2], True)
            if ast.unparse(outer).removeprefix("typing.") == "Literal":
                with contextlib.suppress(ValueError):
                    values = ast.literal_eval(inner)
                    some = values if isinstance(values, tuple) else (values,)
                    return "Literal", some, None in some
    return "", (), False
