"""`notebook.html`: one page a run: opens anywhere, loads and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from olrunbook.pages.cells import cells_of, tone
from olrunbook.pages.text import as_text, templates, took
from olrunbook.record.model import GateRecord, Known, PartRecord, RunRecord

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "record.html.j2"
# The browser itself refuses what an output might carry past the cleaning.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "form-action 'none'; base-uri 'none'"
)
SHAPES = {"ok": "✓", "warn": "▲", "bad": "✗", "muted": "·"}
WORDS = {"not-run": "not run", "timed-out": "timed out", "kernel-died": "kernel died"}
EXECUTED_BY = {
    "kernel": "a person, cell by cell, in JupyterLab",
    "papermill": "papermill, with its own engine",
}
UUID_LENGTH = 36
LONG = 14
FILES_NAMED = 8
LONG_OUTPUT = 40  # lines; more scroll on a screen
FOLDED = ("stand-ins",)  # rows whose facts open on a click

_ID = re.compile(r"[\w.-]+")
# Control characters a browser would stumble over; half a surrogate pair.
_BROKEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fact:
    """A field of the page's tables."""

    text: str  # what is read
    title: str = ""  # the whole of what is shortened
    href: str = ""  # where it leads, beside the page
    code: bool = False  # it is an id or a command
    note: str = ""  # what follows in small


class Mark(NamedTuple):
    """A status: a word, a shape, a colour that repeats them."""

    word: str
    shape: str
    tone: str


def render(record: RunRecord, notebook: dict[str, Any]) -> str:
    """Return a run's page; the same record and notebook give the same bytes.

    The record's files need not be listed yet; the notebook is JSON, `{}` where none is.
    """
    cells = cells_of(notebook)
    where = [part for part in (record.app, record.stage) if part]
    title = " · ".join([record.notebook, *where])
    page = _environment().get_template(TEMPLATE).render(
        record=record,
        policy=POLICY,
        title=title,
        cells=cells,
        mark=_mark(record.status),
        ended=next((c.number for c in cells if tone(c.status) in ("bad", "warn")), 0),
        facts=list(_facts(record)),
        versions=_pairs(record.versions),
        hints=list(dict.fromkeys(s.hint for s in record.steps if s.hint)),
        gates=_gates(record.gates),
        printed_id=record.run_id if _ID.fullmatch(record.run_id) else "",
    )  # fmt: skip
    return _BROKEN.sub("�", page)


def prepare() -> None:
    """Compile the page's template: whoever has time now saves it when a run ends."""
    _environment().get_template(TEMPLATE)


@cache
def _environment() -> Environment:
    environment = templates("olrunbook.pages")
    environment.filters.update(mark=_mark, seconds=took, utc=_utc, link=_link)
    environment.globals.update(long_output=LONG_OUTPUT, folded=FOLDED)
    return environment


def _mark(status: str) -> Mark:
    return Mark(WORDS.get(status, status), SHAPES[tone(status)], tone(status))


def _short(identifier: str) -> Fact:
    """Return an id shortened in the middle, the whole of it in its title."""
    if len(identifier) <= LONG:
        return Fact(identifier, code=True)
    head, tail = (4, 6) if len(identifier) == UUID_LENGTH else (8, 3)
    text = f"{identifier[:head]}…{identifier[-tail:]}"
    return Fact(text, title=identifier, code=True)


def _utc(at: datetime | None, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    return at.strftime(form) if at else ""


def _facts(record: RunRecord) -> Iterable[tuple[str, Sequence[Fact]]]:
    """Yield the rows of the page's head: a name and its facts; empty ones left out."""
    masked = record.masked
    rows: list[tuple[str, Sequence[Fact]]] = [
        ("who", list(_who(record.operator))),
        ("identity", _some(record.identity, code=True)),
        ("run", [_short(record.run_id)]),
        ("target", list(_target(record))),
        ("from", list(_source(record))),
        ("images", [_named(k, _short(v)) for k, v in sorted(record.images.items())]),
        ("parameters", _pairs(record.parameters)),
        ("release", [_short(record.release)] if record.release else []),
        ("resumes", [_short(record.resumes)] if record.resumes else []),
        ("executed by", _some(EXECUTED_BY.get(record.executed_by, record.executed_by))),
        ("stand-ins", [Fact(text) for text in record.stand_ins]),
        ("masked", [Fact(f"{masked} secret value{'' if masked == 1 else 's'}")]),
    ]
    yield from (row for row in rows if row[1])


def _who(operator: Mapping[str, Known]) -> Iterable[Fact]:
    for name, known in operator.items():
        text = f"CI build {known.value}" if name == "ci_build" else known.value
        yield Fact(text, note=known.source)


def _target(record: RunRecord) -> Iterable[Fact]:
    if record.target:
        yield Fact(record.target)
    if record.account:
        yield Fact(f"account {record.account}")
    if record.cloud_id:
        yield _named("cloud", _short(record.cloud_id))


def _source(record: RunRecord) -> Iterable[Fact]:
    if record.commit:
        yield Fact(f"commit {record.commit[:12]}", title=record.commit, code=True)
        if not record.dirty:
            yield Fact("clean")
    else:
        yield Fact("no git checkout")
    if record.dirty:
        named = ", ".join(record.dirty[:FILES_NAMED])
        more = len(record.dirty) - FILES_NAMED
        yield Fact(f"differs in {named}" + (f" and {more} more" if more > 0 else ""))
    if record.source_sha256:
        whole = record.source_sha256
        text = f"{record.notebook}.ipynb sha256 {whole[:8]}…{whole[-4:]}"
        yield Fact(text, title=whole, code=True)


def _named(name: str, fact: Fact) -> Fact:
    return Fact(f"{name} {fact.text}", title=fact.title, code=True)


def _some(text: str, *, code: bool = False) -> Sequence[Fact]:
    return [Fact(text, code=code)] if text else []


def _pairs(values: Mapping[str, Any]) -> Sequence[Fact]:
    return [Fact(f"{name} = {as_text(value)}") for name, value in values.items()]


def _link(part: PartRecord) -> Fact:
    """Return a part's id, which leads to its page."""
    # From <target>/<app>/<room>/<run>/ up to the archive, and down again.
    inside = not part.record.startswith("/") and ".." not in part.record.split("/")
    href = f"../../../../{quote(part.record)}/notebook.html"
    return replace(_short(part.run_id), href=href if part.record and inside else "")


def _gates(gates: Sequence[GateRecord]) -> tuple[list[str], list[list[str]]]:
    """Return the gates as a table: its columns, and a row a gate."""
    names = ["question", "status", "shown", "by", "known", "reason", "decided_at"]
    names.append("until")
    columns = [*(name.replace("_", " ") for name in names), "sha256"]
    rows = [
        [*(str(getattr(gate, name)) for name in names), gate.digest[:8]]
        for gate in gates
    ]
    used = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    return [columns[at] for at in used], [[row[at] for at in used] for row in rows]
