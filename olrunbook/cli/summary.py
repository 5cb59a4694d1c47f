"""What is said of a run, as names and texts, and as Markdown for a pull request."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrunbook.archive.place import RunPlace
from olrunbook.cli.common import duration
from olrunbook.project.imageset import format_images
from olrunbook.record.files import short
from olrunbook.record.model import RunRecord, StepRecord

MARKS = {
    "done": "✓",
    "kept": "=",
    "failed": "✗",
    "refused": "⊘",
    "interrupted": "■",
    "waiting": "⋯",
    "not-run": "·",
}
EXECUTED_BY = {
    "olrunbook": "",  # as ever
    "kernel": "a person, cell by cell",
    "papermill": "papermill's own engine",
}
OPS = {"create": "+", "update": "~", "replace": "±", "delete": "-"}
MANY = 6
MEGA = 1_000_000
TITLE_MARKS = {"succeeded": "✅", "waiting": "⏳"}
LOG_LINES = 60
LOG_CHARS = 8_000
LIMIT = 60_000  # GitHub takes 65,536 characters
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)")


@dataclass(frozen=True, slots=True)
class Summary:
    """One run in words."""

    title: str  # `deploy · tika · Production · succeeded`
    # name and text, in the order of the questions people ask
    lines: list[tuple[str, str]]
    # mark, name, status, time and result of each step
    steps: list[tuple[str, ...]]
    # the same of each run of a release; its name says which
    parts: list[tuple[str, ...]]
    # name and size of each file, the logs first
    files: list[tuple[str, str]]


def summary(record: RunRecord, place: RunPlace, *, status: str = "") -> Summary:
    """Return what is to be said about a run; `status` is for one without a record.

    Of a run that goes on, `record` is what is known of it until now.
    """
    stage = record.stage or "—"
    words = [record.notebook, record.app or "—", stage, status or record.status]
    presumed = " (presumed: its end was not seen)" if record.presumed else ""
    cause = record.cause + presumed if record.cause and not status else ""
    left = f"{record.cells_not_run} cells" if record.cells_not_run else ""
    back = record.rollback.lines if record.rollback else []
    lines = [
        ("cause", cause),
        ("result", record.headline),
        ("not run", left),
        *_origin(record),
        *_gates(record),
        *(("OVERRIDDEN", f'rule {k}: "{v}"') for k, v in record.overrides.items()),
        *(("ROLLBACK", text) for text in back),
        *_outcome(record),
        *(("warning", text) for text in record.warnings),
        *(("lacks", text) for text in record.lacks),
        *(("left", f"still finishing: {text}") for text in record.finishing),
        ("masked", f"{record.masked} secret values" if record.masked else ""),
    ]
    names = sorted(record.files, key=lambda name: (not name.startswith("logs/"), name))
    return Summary(
        title=" · ".join(words),
        lines=[(name, text) for name, text in lines if text],
        steps=[_step(step, going_on=status == "running") for step in record.steps],
        parts=[
            (
                {"succeeded": "✓", "kept": "=", "waiting": "⋯"}.get(part.status, "✗"),
                f"{part.notebook} {part.stage}".strip(),
                part.status,
                duration(part.seconds),
                f"{short(part.run_id)}  {part.headline or part.cause}".strip(),
            )
            for part in record.parts
        ],
        files=[(name, size(record.files[name].size)) for name in names]
        or [  # it has no list of them yet
            (path.name, size(path.stat().st_size))
            for path in sorted(place.folder.rglob("*"))
            if path.is_file()
        ],
    )


def size(number: int) -> str:
    """Return a number of bytes as a person reads it."""
    if number < 1000:  # noqa: PLR2004
        return f"{number} B"
    return f"{number / 1000:.0f} kB" if number < MEGA else f"{number / MEGA:.1f} MB"


def _step(step: StepRecord, *, going_on: bool) -> tuple[str, ...]:
    if going_on and step.status == "interrupted" and step.seconds is None:
        return ("·", step.name, "running", "", "")  # its end is not recorded yet
    took = "" if step.seconds is None else duration(step.seconds)
    text = step.headline if step.status in ("done", "kept") else step.cause
    if step.hint and step.status != "done":
        text = f"{text}  What you can do: {step.hint}"
    return (MARKS.get(step.status, "·"), step.name, step.status, took, text)


def _origin(record: RunRecord) -> list[tuple[str, str]]:
    known = {name: fact.value for name, fact in record.operator.items()}
    person = f"{known.get('user', '?')}@{known.get('host', '?')}"
    detail = [f"git {known['git']}"] if known.get("git") else []
    detail += [record.identity] if record.identity else []
    who = f"{person} ({', '.join(detail)})" if detail else person
    who += f"  CI build {known['ci_build']}" if known.get("ci_build") else ""
    state = f"{len(record.dirty)} files changed" if record.dirty else "clean"
    source = f"{record.commit[:7]} ({state})" if record.commit else "no commit"
    sha = f" sha256 {record.source_sha256[:8]}…" if record.source_sha256 else ""
    cloud = f"{record.target}, cloud {record.cloud_id or '—'}" if record.target else ""
    tools = (f"{name} {told.split(',')[0]}" for name, told in record.tools.items())
    given = (f"{name}={value}" for name, value in record.parameters.items() if value)
    return [
        ("who", who),
        ("from", f"{source} · {record.notebook}.ipynb{sha}"),
        ("run by", EXECUTED_BY.get(record.executed_by, record.executed_by)),
        ("resumes", record.resumes),
        ("release", record.release),
        ("target", cloud),
        ("tools", ", ".join(tools)),
        ("stand-ins", " · ".join(record.stand_ins)),
        ("given", " ".join(given)),
    ]


def _gates(record: RunRecord) -> list[tuple[str, str]]:
    """Return how the run left each gate: who, when, why, how that is known, digest."""
    lines = []
    for gate in record.gates:
        words = [f'"{gate.question}"', gate.status, f"by {gate.by}" if gate.by else ""]
        words += [f"({gate.known})" if gate.known else "", gate.decided_at]
        reason = f', "{gate.reason}"' if gate.reason else ""
        shown = f", shown {gate.digest[:4]}…" if gate.digest else ""
        lines.append(("gate", " ".join(filter(None, words)) + reason + shown))
    return lines


def _outcome(record: RunRecord) -> list[tuple[str, str]]:
    lines = [("images", format_images(record.images))]
    for step in record.steps:
        result = step.result or {}
        by_hand = result.get("by_hand") or ""
        if isinstance(by_hand, list):
            by_hand = " && ".join(by_hand)
        if ("command", by_hand) not in lines:
            lines.append(("command", by_hand))
        lines.append(("relied on", result.get("relied", "")))
        changes = result.get("changes")
        if step.name == "up" and isinstance(changes, list) and changes:
            told = [_change(change) for change in changes[:MANY]]
            more = len(changes) - MANY
            told += [f"{more} more"] if more > 0 else []
            lines.append(("changes", " · ".join(told)))
    return lines


def _change(change: dict[str, Any]) -> str:
    kind = str(change.get("type", "")).rpartition(":")[2]
    paths = ", ".join(str(c.get("path", "")) for c in change.get("changes", []))
    mark = OPS.get(str(change.get("op", "")), str(change.get("op", "")))
    return f"{mark} {kind} {change.get('name', '')} {paths}".rstrip()


def markdown(told: Summary, when: str, folder: Path) -> str:
    """Return a run as Markdown; the ends of its logs are read from its directory."""
    mark = TITLE_MARKS.get(told.title.rpartition(" · ")[2], "❌")
    parts = [f"### {mark} {_cell(told.title)}", "", _cell(when), ""]
    parts += ["| | |", "|---|---|"]
    parts += [f"| {name} | {_cell(text)} |" for name, text in told.lines]
    for title, rows in (("step", told.steps), ("part", told.parts)):
        if rows:
            parts += ["", f"| {title} | status | time | result |", "|---|---|--:|---|"]
            parts += [
                f"| {sign} {_cell(name)} | {status} | {took} | {_cell(text)} |"
                for sign, name, status, took, text in rows
            ]
    text = "\n".join(parts) + "\n"
    for name, size in told.files:
        log = _log(folder, name, size) if name.endswith(".log") else ""
        text += log if len(text) + len(log) < LIMIT else ""
    return text


def _log(folder: Path, name: str, size: str) -> str:
    """Return the end of a log, folded."""
    try:
        raw = (folder / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = _ESCAPES.sub("", raw).splitlines()
    end = "\n".join(lines[-LOG_LINES:])[-LOG_CHARS:]
    if not end:
        return ""
    # The fence is longer than any in the log, or the log would end it.
    fence = "`" * (max(map(len, re.findall("`+", end)), default=0) + 3)
    which = f", the last {LOG_LINES} lines" if len(lines) > LOG_LINES else ""
    head = f"<details><summary>{html.escape(name)} ({size}{which})</summary>"
    return f"\n{head}\n\n{fence}text\n{end}\n{fence}\n\n</details>\n"


def _cell(text: str) -> str:
    """Return a text that stays in its cell, formats nothing and calls nobody."""
    safe = html.escape(" ".join(text.split()), quote=False)
    safe = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", safe)
    return safe.replace("@", "@<!-- -->")
