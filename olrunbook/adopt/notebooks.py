"""What is missing in a notebook, by a look at its cells; nothing of it runs."""

from __future__ import annotations

import ast
import inspect
import os
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from olrunbook.errors import UsageError
from olrunbook.project.catalog import Catalog, unknown
from olrunbook.project.params import (
    TYPES,
    begins,
    check,
    declared,
    python_of,
    read_notebook,
    require_python,
    tagged,
)
from olrunbook.record.jupyter import iter_validate
from olrunbook.redact import Redactor, new_key

NEWEST = 5  # minor version of nbformat 4 that is known here
LONG = 160  # characters of what another library says
ALLOWED = "pragma: allowlist secret"  # in a line, as detect-secrets has it
DECLARE = "docs/parameters.md has the types, and what a declaration looks like."
KEEP = (
    "Make it invalid where it came from, and read it from the environment: "
    f'os.environ["…"]. If it is no secret, end the line with: # {ALLOWED}'
)
Level = Literal["error", "warning"]
Piece = tuple[int, ast.AST]  # of a notebook's code, and the number of its cell


class Finding(BaseModel, frozen=True):
    """One thing that is missing or wrong."""

    where: str  # the app and its stage, or the notebook
    cell: int | None = None  # of the notebook, counted from 1
    level: Level
    wrong: str
    hint: str  # what to type or to write


@dataclass
class Found:
    """What was found in one place."""

    where: str
    path: Path | None = None  # of a notebook
    rows: list[Finding] = field(default_factory=list)
    redactor: Redactor = field(default_factory=lambda: Redactor(new_key()))

    def add(self, level: Level, wrong: str, hint: str, cell: int | None = None) -> None:
        """Add a finding; a value in it that looks like a secret is masked."""
        wrong = self.redactor.text(wrong)
        row = Finding(where=self.where, cell=cell, level=level, wrong=wrong, hint=hint)
        self.rows.append(row)

    @contextmanager
    def errors(
        self, hint: str, what: str = "", cell: int | None = None
    ) -> Iterator[None]:
        """Add a UsageError as a finding, and go on after the block."""
        try:
            yield
        except UsageError as error:
            said = str(error).replace(str(self.path or self.where), self.where)
            self.add("error", f"{what}{said}", error.hint or hint, cell)


def look_at_notebook(
    path: Path, where: str, catalog: Catalog, run: type
) -> list[Finding]:
    """Return what is missing or wrong in a notebook."""
    found = Found(where, path)
    with found.errors("Mend it in JupyterLab, or move it out of the folder."):
        notebook = read_notebook(path)
        _require_valid(notebook)
        require_python(notebook, where)
        code = _code(notebook["cells"], found)
        full = [n for n, c in enumerate(notebook["cells"], 1) if c.get("outputs")]
        if full:
            wrong = f"it has outputs, in cell {', '.join(map(str, full))}"
            at = shlex.quote(os.path.relpath(path))
            how = f"jupyter nbconvert --clear-output --inplace {at}"
            found.add("error", wrong, how)
        begun = next((cell for cell, node in code if begins(node)), 0)
        _parameters(notebook, catalog, found, begun=begun > 0)
        _run(code, begun, run, found)
    return found.rows


def _require_valid(notebook: dict[str, Any]) -> None:
    """Raise UsageError where a notebook is none by the schema of nbformat 4."""
    minor = notebook.get("nbformat_minor")
    minor = minor if type(minor) is int and 0 <= minor <= NEWEST else NEWEST
    try:
        wrong = [*iter_validate(notebook, version=4, version_minor=minor)]
    except Exception as error:  # it stumbles over what is no cell
        msg = "no notebook of nbformat 4: something in it is no cell"
        raise UsageError(msg) from error
    if wrong:  # its version explains the rest
        first = min(wrong, key=lambda error: [*error.absolute_path] != ["nbformat"])
        at = "".join(f"[{part!r}]" for part in first.absolute_path)
        msg = f"no notebook of nbformat 4: {at} {first.message[:LONG]}"
        raise UsageError(msg)


def _code(cells: list[dict[str, Any]], found: Found) -> list[Piece]:
    """Return all pieces of a notebook's code; look for secrets in all cells."""
    code: list[Piece] = []
    for number, cell in enumerate(cells, 1):
        source = "".join(cell["source"])
        spans, lines = found.redactor.find(source), source.split("\n")
        for line in dict.fromkeys(source.count("\n", 0, span[0]) for span in spans):
            if ALLOWED not in lines[line]:
                wrong = f"what looks like a secret, in line {line + 1}"
                found.add("error", wrong, KEEP, number)
        if cell["cell_type"] != "code":
            continue
        try:
            code += [(number, node) for node in ast.walk(python_of(source)[0])]
        except SyntaxError as error:
            declares = "parameters" in cell["metadata"].get("tags", [])
            if not declares and not source.lstrip().startswith("%%"):  # not Python
                found.add("warning", f"it is no Python: {error}", "Correct it.", number)
    return code


def _parameters(
    notebook: dict[str, Any], catalog: Catalog, found: Found, *, begun: bool
) -> None:
    """Look at the cell of the parameters."""
    cells = tagged(notebook, "parameters")
    if begun and not cells:
        wrong = "no cell is tagged parameters, so a run can be given none"
        hint = 'In the metadata of the cell that sets them: "tags": ["parameters"]'
        found.add("warning", wrong, hint)
    for cell in cells[:1]:
        number = notebook["cells"].index(cell) + 1
        with found.errors(DECLARE, cell=number):
            parameters = declared(notebook, catalog)
            for one in parameters.values():
                if one.annotation and not one.kind:
                    wrong = (
                        f"{one.name}: no type {one.annotation}, so it is not checked"
                    )
                    near = unknown("type", one.annotation, sorted(TYPES)).hint
                    found.add("warning", wrong, near or DECLARE, number)
            preset = {n: one for n, one in parameters.items() if not one.required}
            check({}, preset, "the notebook")


def _run(code: list[Piece], begun: int, run: type, found: Found) -> None:
    """Look at what is asked of the run that `begin` returned."""
    began, stored, seen = _names(code)
    asked = [
        (cell, node, node.value.id, node.attr)
        for cell, node in code
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        if isinstance(node.value, ast.Name)
    ]
    ends = [(cell, name) for cell, _, name, attr in asked if attr == "conclude"]
    handed_on = any(
        isinstance(node, ast.Name) and node.id in began and node not in seen
        for _, node in code
        if isinstance(getattr(node, "ctx", None), ast.Load)
    )
    if begun and not ends and not handed_on:
        wrong = "begin without conclude, so that no run of it will have succeeded"
        end = f"{min(began, default='run')}.conclude()"
        found.add("error", wrong, f"Make this the last cell: {end}", begun)
    for cell, name in [] if begun else ends[:1]:
        if not stored[name] and not stored["*"]:
            hint = f'{name} = olrunbook.begin("{Path(found.where).stem}", app=…)'
            found.add("error", "conclude without begin", hint, cell)
    known = {*vars(run), *inspect.get_annotations(run)}
    steps = sorted(name for name in known if not name.startswith("_"))
    waits = [node.value for _, node in code if isinstance(node, ast.Await)]
    calls = {node.func for _, node in code if isinstance(node, ast.Call)}
    calls -= {one for value in waits for one in ast.walk(value)}
    if any(isinstance(value, ast.Name) for value in waits):
        calls = set()  # it may be awaited later
    for cell, node, name, attr in asked:
        if began[name] == 0 or stored[name] != began[name] or attr.startswith("_"):
            continue  # it is no run, or not all along
        if attr not in known:
            near = unknown("step", attr, steps)
            wrong = f"{name}.{attr}: a run has no such step"
            found.add("error", wrong, near.hint or str(near), cell)
        elif inspect.iscoroutinefunction(vars(run).get(attr)) and node in calls:
            wrong = f"{name}.{attr} without await does nothing"
            found.add("error", wrong, f"await {name}.{attr}(…)", cell)


def _names(code: list[Piece]) -> tuple[Counter[str], Counter[str], set[ast.AST]]:
    """Return how often names are set to a run, and at all; what is not handed on."""
    began, stored, seen = Counter[str](), Counter[str](), set[ast.AST]()
    for _, node in code:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ) if begins(value):
                began[name] += 1
            case ast.Attribute(value=value) | ast.Expr(value=value):
                seen.add(value)
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                stored[name] += 1
            case ast.alias(name=name, asname=other):
                stored[other or name.partition(".")[0]] += 1
    return began, stored, seen
