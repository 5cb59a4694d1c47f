"""Check values against their declarations; a text stays the text that was typed."""

from __future__ import annotations

import contextlib
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from olrunbook.errors import UsageError
from olrunbook.project.catalog import unknown
from olrunbook.project.healthy import LIMITS, parse_percent, require_near
from olrunbook.project.imageset import LAST_GOOD, parse_images

# What papermill's --inject-paths adds to what was given.
PAPERMILLS_OWN = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")

TEXTS = {"str", "App", "Stage", "Target", "TargetName", "ImageSet", *LIMITS}
TYPES = TEXTS | {"int", "float", "bool"}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter."""

    name: str
    # `str`, `int`, `float`, `bool`, `Literal`, or the name of one of our types; empty:
    # not declared, so that any value will do
    kind: str
    default: Any  # its default value; None where the notebook computes it
    choices: tuple[Any, ...] = ()  # the values allowed; empty: any
    help: str = ""  # the comment beside it
    optional: bool = False  # it may be None
    required: bool = False  # it has no default
    computed: bool = False  # its default is known when the notebook runs, not before
    # of an image set the node types of each app, of a stage its stages
    by_app: Mapping[str, Sequence[str]] = field(default_factory=dict)
    annotation: str = ""  # its type as it is written; empty: none


def check(
    given: dict[str, Any], parameters: dict[str, Parameter], notebook: str
) -> dict[str, Any]:
    """Return the given values in their declared types.

    What no type is declared for passes as it is. A notebook that declares none at all
    takes any name, as with papermill.

    A given value is a text from a command line, or already typed; the notebook's name
    is for messages.

    Raises:
        UsageError: A name is unknown, or a value is not of its type or choices.

    """
    values = {}
    typed_here = any(parameter.kind for parameter in parameters.values())
    for name, value in given.items():
        if name not in parameters and not typed_here:
            values[name] = value
            continue
        if name not in parameters:
            near = difflib.get_close_matches(str(name), parameters, n=1)
            hint = f"Did you mean {near[0]}?" if near else ""
            have = ", ".join(parameters) or "none"
            msg = f"{notebook} has no parameter {name!r}; it has: {have}"
            raise UsageError(msg, hint)
        values[name] = typed(parameters[name], value)
    for name, parameter in parameters.items():
        if name in values:
            continue
        if parameter.required:
            msg = f"{notebook} needs a value for {name}: it has no default"
            raise UsageError(msg, f"Give one: -p {name} VALUE")
        if parameter.choices:
            # A default of another project's catalog is no value of this one.
            try:
                typed(parameter, parameter.default, texts=False)
            except UsageError as error:
                if parameter.kind == "App" and len(parameter.choices) == 1:
                    values[name] = parameter.choices[0]  # it is the only one there is
                    continue
                msg = f"{error} (the default of {notebook})"
                raise UsageError(msg, f"Give one: -p {name} VALUE") from None
    _check_for_app(values, parameters)
    percents = {
        p.kind: parse_percent(p.kind, p.name, str(values.get(p.name, p.default) or ""))
        for p in parameters.values()
        if p.kind in LIMITS
    }
    require_near(percents.get("MinHealthy"), percents.get("MaxHealthy"))
    return values


def _check_for_app(values: dict[str, Any], parameters: dict[str, Parameter]) -> None:
    """Raise UsageError where an image set or a stage is not one of the app's."""
    apps = [p for p in parameters.values() if p.kind == "App"]
    app = values.get(apps[0].name, apps[0].default) if apps else ""
    for parameter in parameters.values():
        value = values.get(parameter.name, parameter.default)
        if not value or app not in parameter.by_app:
            continue
        its = list(parameter.by_app[app])
        if parameter.kind == "ImageSet":
            if value != LAST_GOOD:
                parse_images(value, its)
        elif value not in its:
            msg = (
                f"{parameter.name} {value!r} is not in {app}; it has: {', '.join(its)}"
            )
            raise UsageError(msg, f"Give one: -p {parameter.name} {its[0]}")


def defaults(parameters: dict[str, Parameter]) -> dict[str, Any]:
    """Return the values that hold where none is given, as far as they are known."""
    return {n: p.default for n, p in parameters.items() if not p.computed}


def from_text(value: str) -> Any:
    """Return a text typed for an undeclared parameter, as papermill reads it."""
    words = {"True": True, "False": False, "None": None}
    if value in words:
        return words[value]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(value)
    return value


def typed(parameter: Parameter, value: Any, *, texts: bool = True) -> Any:
    """Return a value in its declared type.

    With `texts`, one that was typed is read as a number or a truth value.

    Raises:
        UsageError: It is of another type, or none of the choices.

    """
    name, kind = parameter.name, parameter.kind
    if not kind:
        return value
    if isinstance(value, (list, tuple, dict, set)):
        msg = f"{name} is one value of type {kind}, not a {type(value).__name__}"
        raise UsageError(msg)
    wants_text = kind in TEXTS or (
        kind == "Literal" and all(isinstance(c, str) for c in parameter.choices)
    )
    if value is None and parameter.optional and (not wants_text or not texts):
        return None
    if wants_text and not isinstance(value, str):
        if value is None and parameter.optional and parameter.default is None:
            msg = f"{name} is None: leave it out instead"
        else:
            msg = (
                f"{name} must be text, but was converted to "
                f"{type(value).__name__} {value!r}"
            )
        hint = f"Give it raw: papermill … -r {name} VALUE (in YAML: in quotes)"
        raise UsageError(msg, hint)
    found = value
    if kind in ("int", "float", "bool"):
        found = _number(parameter, value, texts=texts)
    elif isinstance(value, str) and texts and value not in parameter.choices:
        found = {str(choice): choice for choice in parameter.choices}.get(value, value)
    # 1 and True are equal and not the same; an empty text means "none given" where
    # that is the default.
    same = [c for c in parameter.choices if type(c) is type(found) and c == found]
    if parameter.choices and not same and not found == "" == parameter.default:
        raise unknown(name, found, [str(choice) for choice in parameter.choices])
    return found


def _number(parameter: Parameter, value: Any, *, texts: bool) -> int | float | None:
    """Return a value of a parameter of type int, float or bool."""
    name, kind, found = parameter.name, parameter.kind, value
    if isinstance(value, str) and texts:
        if parameter.optional and value.lower() in ("none", "null"):
            return None
        if kind == "bool":
            found = _WORDS.get(value.lower(), value)
        elif kind == "int" and re.fullmatch(r"[+-]?[0-9]+", value):
            with contextlib.suppress(ValueError):  # thousands of digits
                found = int(value)
        elif kind == "float" and re.fullmatch(r"[+-]?[0-9.][0-9.eE+-]*", value):
            with contextlib.suppress(ValueError):
                found = float(value)
    # papermill's -p makes numbers of "1" and "0" before we see them.
    if kind == "bool" and type(found) is int and found in (0, 1) and texts:
        found = bool(found)
    if kind == "float" and type(found) is int:
        with contextlib.suppress(OverflowError):
            found = float(found)
    if type(found).__name__ != kind:
        wanted = "true or false" if kind == "bool" else kind
        msg = f"{name}: {value!r} is not {wanted}"
        raise UsageError(msg)
    if isinstance(found, float) and not math.isfinite(found):
        msg = f"{name}: {value!r} is not a finite number, and JSON has no other"
        raise UsageError(msg)
    return found  # type: ignore[no-any-return]
