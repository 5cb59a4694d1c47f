"""What Output widgets hold, put where they are shown, also inside other widgets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from olrunbook.pages.text import as_dict, as_list
from olrunbook.record.executed import WIDGETS

WIDGET = "application/vnd.jupyter.widget-view+json"
REFERENCE = "IPY_MODEL_"


def models_of(notebook: Any) -> dict[str, Any]:
    """Return a notebook's widgets by their ids, as far as they can be read."""
    found = as_dict(notebook)
    for key in ("metadata", "widgets", WIDGETS, "state"):
        found = as_dict(found.get(key))
    return found


def unfolded(
    outputs: list[Any], models: dict[str, Any]
) -> Iterator[tuple[bool, list[Any]]]:
    """Yield outputs in groups, and whether the group stands in an Output widget.

    Each widget is unfolded once: what refers to itself comes to an end.
    """
    for owner, found in groupby(_flat(outputs, models), lambda pair: pair[0]):
        yield bool(owner), [output for _, output in found]


def _flat(outputs: list[Any], models: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield outputs with the widget each stands in; an Output gives way to its own."""
    waiting = [("", output) for output in reversed(outputs)]
    seen: set[str] = set()
    while waiting:
        owner, output = waiting.pop()
        shown = as_dict(as_dict(as_dict(output).get("data")).get(WIDGET))
        name = shown.get("model_id")
        held = _held(name, models, seen)
        if name not in [owner for owner, _ in held]:
            yield owner, output
        waiting += reversed(held)


def _held(name: Any, models: dict[str, Any], seen: set[str]) -> list[tuple[str, Any]]:
    """Return what the Output widgets in a widget hold, with the id of each."""
    found: list[tuple[str, Any]] = []
    names = [name]
    while names:
        name = names.pop()
        if not isinstance(name, str) or name in seen:
            continue
        seen.add(name)
        model = as_dict(models.get(name))
        state = as_dict(model.get("state"))
        if model.get("model_name") == "OutputModel":
            found += [(name, output) for output in as_list(state.get("outputs"))]
        children = as_list(state.get("children"))
        names += [str(child).removeprefix(REFERENCE) for child in reversed(children)]
    return found
