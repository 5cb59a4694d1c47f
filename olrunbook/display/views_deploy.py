"""How previews, deploys and releases are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from olrunbook.display.shown import shows
from olrunbook.display.view import (
    Cell,
    Note,
    Table,
    Tone,
    View,
    identifier,
    plain,
    seconds,
    status,
)
from olrunbook.steps.approval.model import GateResult
from olrunbook.steps.release import ReleaseResult
from olrunbook.steps.results import DeployResult, GroupSeen, ResourceChange

if TYPE_CHECKING:
    from olrunbook.steps.deploy.plan import (
        Finding,
        OutsideChange,
        PreviewResult,
        UserDataChange,
    )
    from olrunbook.steps.deploy.since import Since

__all__ = ["deploy_view", "gate_view", "preview_view", "release_view"]

KINDS = {"add": "+", "update": "~", "delete": "-"}
SIGNS = {"create": "+", "update": "~", "delete": "-", "replace": "±"}
KEPT_LINES = 12  # of a value that changes; the rest is in the record


@shows("olrunbook/preview/1")
def preview_view(result: PreviewResult) -> View:
    """Return the table of what would change, and what an operator must know."""
    apart = len(result.apart)
    noted = apart or result.findings or result.outside
    tone: Tone = "warn" if noted else "ok"
    if result.denied:
        tone = "bad"
    notes = plain(result.outlook)
    if apart:
        text = f"Not part of an image roll: {apart} of {len(result.changes)} changes."
        notes.insert(0, Note(text, tone="warn"))
    return View(
        result.headline(),
        tone=tone,
        word="preview",
        tables=[
            _findings(result.findings),
            _changes("What would change", result.programs),
            _user_data(result.user_data),
            _outside(result.outside),
            _images(result.images),
            _since(result.since),
            _groups("What serves now", result.groups),
        ],
        notes=notes,
        by_hand=result.by_hand,
    )


def _findings(findings: Sequence[Finding]) -> Table:
    columns = ("verdict", "rule", "what", "why it is done")
    rows = []
    for one in findings:
        denied = one.verdict == "deny" and not one.overridden
        verdict = Cell(
            "overridden" if one.overridden else one.verdict,
            tone="bad" if denied else "warn",
        )
        rows.append((verdict, Cell(one.rule), Cell(one.text), Cell(one.overridden)))
    return Table("What the rules say", columns, rows)


def _user_data(changes: Sequence[UserDataChange]) -> Table:
    rows = [
        (
            Cell(f"{KINDS.get(one.kind, '·')} {one.kind}"),
            Cell(one.name, code=True),
            Cell(one.file, code=True),
            Cell(one.key, code=True),
            Cell(one.old or "nothing"),
            Cell(one.new or "nothing"),
        )
        for one in changes
    ]
    names = {one.name for one in changes}
    title = f" of {names.pop()}" if len(names) == 1 else ""
    columns = ("change", "resource", "file", "key", "before", "after")
    if title:
        rows = [(row[0], Cell(""), *row[2:]) for row in rows]
    return Table(f"What would change in the user data{title}", columns, rows)


def _outside(changes: Sequence[OutsideChange]) -> Table:
    rows = [
        (
            Cell(_type(one.type), title=one.type),
            Cell(one.name, title=one.urn, code=True),
            Cell(one.path or "the resource"),
            Cell(one.state or "nothing"),
            Cell(one.account or "nothing"),
            Cell(one.then, tone="" if one.undone else "warn"),
        )
        for one in changes
    ]
    columns = ("type", "resource", "property", "in the state", "in the account")
    caption = "Changed outside: not as the last update left it"
    return Table(caption, (*columns, "this update"), rows)


def _since(changes: Sequence[Since]) -> Table:
    rows = [
        (Cell(one.node_type), Cell(one.what), Cell(one.old), Cell(one.new))
        for one in changes
    ]
    columns = ("node type", "what", "serves now", "is to serve")
    return Table("What else changed, from the records of both images", columns, rows)


@shows(GateResult.schema_name)
def gate_view(result: GateResult) -> View:
    """Return the table of the approvals that were used."""
    rows = [
        (Cell(a.person), Cell(a.known), Cell(a.at), Cell(a.reason), Cell(a.until))
        for a in result.approvals
    ]
    columns = ("who", "how known", "when", "reason", "until")
    shown = f"Approved was what was shown, sha256 {result.digest}."
    return View(
        result.headline(),
        tone="ok" if rows else "muted",
        word=result.status,
        tables=[Table(f"{result.question} Approvals", columns, rows)],
        notes=plain([shown if rows else ""]),
    )


@shows(DeployResult.schema_name)
def deploy_view(result: DeployResult) -> View:
    """Return the tables of an update."""
    took = (result.ended_at - result.started_at).total_seconds()
    rows = [(Cell(name), Cell(value)) for name, value in result.outputs.items()]
    notes = [Note("Updated does not mean in service: run the rollout next.")]
    if result.relied:
        notes.append(Note(f"It relied on this: {result.relied}"))
    if result.url:
        notes.insert(0, Note(f"The stage answers at {result.url}"))
    caption = f"What changed in {result.stack}, state version {result.version}"
    return View(
        f"{result.headline()} · {seconds(took).text}",
        tone="ok",
        word="updated" if result.changes else "unchanged",
        tables=[
            _changes(caption, result.changes),
            _images(result.images),
            Table("Outputs", ("output", "value"), rows),
        ],
        notes=notes,
        by_hand=result.by_hand,
    )


@shows(ReleaseResult.schema_name)
def release_view(result: ReleaseResult) -> View:
    """Return the table of a release's runs."""
    rows = [
        (
            Cell(row.step),
            Cell(row.stage or "—"),
            status(row.outcome),
            Cell(row.headline),
            seconds(row.seconds),
            Cell(row.record, code=True),
        )
        for row in result.rows
    ]
    good = result.stages == result.wanted and all(
        row.outcome == "succeeded" for row in result.rows
    )
    relied = [
        f"{row.stage} relied on this: {row.relied}" for row in result.rows if row.relied
    ]
    columns = ("step", "stage", "outcome", "result", "took", "record")
    return View(
        f"{result.headline()} · {seconds(result.seconds).text}",
        tone="ok" if good else "bad",
        word="released" if good else "not released",
        tables=[Table(f"Runs of release {result.release}", columns, rows)],
        notes=plain([*result.rollback, *relied]),
    )


def _changes(caption: str, changes: Sequence[ResourceChange]) -> Table:
    rows = [
        (
            Cell(f"{SIGNS.get(change.op, '·')} {change.op}"),
            Cell(_type(change.type), title=change.type),
            Cell(change.name, title=change.urn, code=True),
            Cell(_properties(change)),
            Cell("") if change.expected else Cell("apart", tone="warn"),
        )
        for change in changes
    ]
    return Table(caption, ("op", "type", "resource", "properties", ""), rows)


def _type(token: str) -> str:
    """Return a type token as it is read: `aws:ec2/launchTemplate:LaunchTemplate`."""
    parts = token.split(":")
    return f"{parts[0]} {parts[-1]}" if len(parts) > 1 else token


def _properties(change: ResourceChange) -> str:
    """Return what changes in a resource, a line each: `imageId: a → b`."""
    lines = []
    for item in change.changes:
        if change.op == "create":
            continue  # everything is new; the record has it all
        old, new = item.old or "nothing", item.new or "nothing"
        lines.append(f"{item.path}: {old} → {new}")
    more = len(lines) - KEPT_LINES
    if more > 0:
        lines = [*lines[:KEPT_LINES], f"and {more} more"]
    return "\n".join(lines)


def _images(images: Mapping[str, str]) -> Table:
    rows = [(Cell(node), Cell(image, code=True)) for node, image in images.items()]
    return Table("Images", ("node type", "image"), rows)


def _groups(caption: str, groups: Sequence[GroupSeen]) -> Table:
    rows = []
    for group in groups:
        if not group.name:
            rows.append((Cell(group.tag_name), Cell("not there"), Cell(""), Cell("")))
        rows += [
            (
                Cell(group.name),
                identifier(item.id),
                identifier(item.image),
                status(item.state),
            )
            for item in group.instances
        ]
        if group.name and not group.instances:
            rows.append((Cell(group.name), Cell("no instance"), Cell(""), Cell("")))
    return Table(caption, ("group", "instance", "image", "state"), rows)
