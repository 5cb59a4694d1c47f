"""A result that shows itself; the modules `views_*` register how."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from olrunbook.display.render import bundle, text
from olrunbook.display.view import Note, View, table
from olrunbook.steps.results import Result

LONG = 400


@singledispatch
def view_of(result: Result) -> View:
    """Return the view of a result: its own, else all its fields as they are."""
    data = result.model_dump(mode="json")
    rows = [
        (name, _word(value))
        for name, value in data.items()
        if not isinstance(value, dict | list)
    ]
    tables = [table("", ("field", "value"), rows)]
    notes: list[Note] = []
    for name, value in data.items():
        if not value:
            continue
        if isinstance(value, list) and all(isinstance(v, dict) for v in value):
            columns = list(dict.fromkeys(key for item in value for key in item))
            lines = [[_word(item.get(key, "")) for key in columns] for item in value]
            tables.append(table(name, columns, lines))
        elif isinstance(value, dict):
            lines = [[str(key), _word(item)] for key, item in value.items()]
            tables.append(table(name, ("", ""), lines))
        elif isinstance(value, list):
            notes += [Note(f"{name}: {_word(item)}") for item in value]
    return View(result.headline(), tables=tables, notes=notes)


class Shown:
    """A step's result that shows itself as a table and otherwise is the result."""

    def __init__(self, result: Result) -> None:
        self.result = result

    def __getattr__(self, name: str) -> Any:
        """Return the result's attribute."""
        if name.startswith("_"):  # what front ends look for, and copy and pickle
            raise AttributeError(name)
        return getattr(self.result, name)

    def __repr__(self) -> str:
        """Return the tables as text."""
        return text(view_of(self.result))

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Return the tables as HTML and as text."""
        return bundle(view_of(self.result))


def _word(value: object) -> str:
    written = "" if value is None else str(value)
    return written if len(written) <= LONG else f"{written[:LONG]}…"
