"""How previews, deploys and releases are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from olrunbook.adapters.aws.seen import GroupSeen
from olrunbook.display.shown import view_of
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
    table,
)
from olrunbook.steps.approval.model import GateResult
from olrunbook.steps.deploy.plan import Finding, PreviewResult
from olrunbook.steps.release import ReleaseResult
from olrunbook.steps.results import DeployResult, Difference, ResourceChange

SIGNS = {"create": "+", "update": "~", "delete": "-", "replace": "±"}
USER_DATA = "What would change in the user data"
OUTSIDE, PLACES = "Changed outside of this stack", ("in the state", "in the account")
SINCE, TIMES = "What else changed in the image", ("serves now", "is to serve")
KEPT_LINES = 12  # of a value that changes; the rest is in the record


@view_of.register
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
            _differences(USER_DATA, ("file", "key", "old", "new"), result.user_data),
            _differences(OUTSIDE, ("resource", "property", *PLACES), result.outside),
            _images(result.images),
            _differences(SINCE, ("node type", "what", *TIMES), result.since),
            _groups("What serves now", result.groups),
        ],
        notes=notes,
        by_hand=result.by_hand,
    )


def _findings(findings: Sequence[Finding]) -> Table:
    columns = ("verdict", "rule", "what", "why it is done")
    rows = []
    for one in findings:
        verdict = "overridden" if one.overridden else one.verdict
        cell = Cell(verdict, tone="bad" if verdict == "deny" else "warn")
        rows.append((cell, one.rule, one.text, one.overridden))
    return table("What the rules say", columns, rows)


def _differences(
    caption: str, columns: Sequence[str], rows: Sequence[Difference]
) -> Table:
    texts = [
        (row.where, row.what, row.old or "—", row.new or "—", getattr(row, "then", ""))
        for row in rows
    ]
    return table(caption, (*columns, "this update"), texts)


@view_of.register
def gate_view(result: GateResult) -> View:
    """Return the table of the approvals that were used."""
    rows = [(a.person, a.known, a.at, a.reason, a.until) for a in result.approvals]
    columns = ("who", "how known", "when", "reason", "until")
    shown = f"Approved was what was shown, sha256 {result.digest}."
    return View(
        result.headline(),
        tone="ok" if rows else "muted",
        word=result.status,
        tables=[table(f"{result.question} Approvals", columns, rows)],
        notes=plain([shown if rows else ""]),
    )


@view_of.register
def deploy_view(result: DeployResult) -> View:
    """Return the tables of an update."""
    took = (result.ended_at - result.started_at).total_seconds()
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
            table("Outputs", ("output", "value"), result.outputs.items()),
        ],
        notes=notes,
        by_hand=result.by_hand,
    )


@view_of.register
def release_view(result: ReleaseResult) -> View:
    """Return the table of a release's runs."""
    rows = [
        (
            row.notebook,
            row.stage or "—",
            status(row.status),
            row.headline or row.cause,
            seconds(row.seconds),
            Cell(row.record, code=True),
        )
        for row in result.rows
    ]
    good = result.stages == result.wanted and all(
        row.status == "succeeded" for row in result.rows
    )
    relied = [
        f"{row.stage} relied on this: {row.relied}" for row in result.rows if row.relied
    ]
    columns = ("step", "stage", "outcome", "result", "took", "record")
    return View(
        f"{result.headline()} · {seconds(result.seconds).text}",
        tone="ok" if good else "bad",
        word="released" if good else "not released",
        tables=[table(f"Runs of release {result.release}", columns, rows)],
        notes=plain([*result.rollback, *relied]),
    )


def _changes(caption: str, changes: Sequence[ResourceChange]) -> Table:
    rows = [
        (
            f"{SIGNS.get(change.op, '·')} {change.op}",
            Cell(_type(change.type), title=change.type),
            Cell(change.name, title=change.urn, code=True),
            _properties(change),
            "" if change.expected else Cell("apart", tone="warn"),
        )
        for change in changes
    ]
    return table(caption, ("op", "type", "resource", "properties", ""), rows)


def _type(token: str) -> str:
    """Return a type token as it is read: `aws:ec2/launchTemplate:LaunchTemplate`."""
    parts = token.split(":")
    return f"{parts[0]} {parts[-1]}" if len(parts) > 1 else token


def _properties(change: ResourceChange) -> str:
    """Return what changes in a resource, a line each: `imageId: a → b`."""
    # Of what is created everything is new; the record has it all.
    changed = [] if change.op == "create" else change.changes
    lines = [
        f"{one.path}: {one.old or 'nothing'} → {one.new or 'nothing'}"
        for one in changed
    ]
    more = len(lines) - KEPT_LINES
    if more > 0:
        lines = [*lines[:KEPT_LINES], f"and {more} more"]
    return "\n".join(lines)


def _images(images: Mapping[str, str]) -> Table:
    rows = [(node, Cell(image, code=True)) for node, image in images.items()]
    return table("Images", ("node type", "image"), rows)


def _groups(caption: str, groups: Sequence[GroupSeen]) -> Table:
    rows: list[tuple[Cell | str, ...]] = []
    for group in groups:
        rows += [
            (
                group.name,
                identifier(item.id),
                identifier(item.image),
                status(item.state),
            )
            for item in group.instances
        ]
        if not group.instances:
            none = "no instance" if group.name else "not there"
            rows.append((group.name or group.tag_name, none, "", ""))
    return table(caption, ("group", "instance", "image", "state"), rows)
