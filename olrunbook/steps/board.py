"""What serves where, since when and by which run; and what no record explains.

The archive says what was done. The account and the stack's history say what is, where
the cloud is up; what differs was done by somebody else.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.aws.seen import GroupSeen, short
from olrunbook.adapters.pulumi.found import State
from olrunbook.adapters.pulumi.state import BY_HAND, look_at
from olrunbook.archive import chain
from olrunbook.archive.place import list_runs, read_record
from olrunbook.archive.seal import build_record
from olrunbook.errors import OlrunbookError
from olrunbook.project.catalog import Project, one_of
from olrunbook.project.imageset import format_images
from olrunbook.record.files import minute
from olrunbook.record.files import short as short_run
from olrunbook.record.model import RunRecord, StepRecord
from olrunbook.steps.approval.decisions import of_kind
from olrunbook.steps.approval.emergency import emergencies
from olrunbook.steps.approval.lineage import asked_of, goes_on, standing_of
from olrunbook.steps.deploy.update import UP
from olrunbook.steps.order import Found, not_verified
from olrunbook.steps.results import Result, Value, listed
from olrunbook.steps.rollout.model import RolloutResult
from olrunbook.steps.rollout.refresh import BEGAN
from olrunbook.steps.serving import in_words
from olrunbook.targets import Target, load_target

UPDATES = 50  # the newest of a stack's history
KEPT = timedelta(weeks=6)  # as long as AWS knows a refresh
SLACK = timedelta(seconds=5)  # between AWS's clock and ours
ROOM = ("target", "app", "room")
SECOND = "%Y-%m-%d %H:%M:%S UTC"


class StageStatus(Value):
    """One stage of one app."""

    app: str
    stage: str
    # the image set that the archive last saw serving; empty: none
    images: dict[str, str] = Field(default_factory=dict)
    since: datetime | None = None  # since when (UTC)
    run: str = ""  # the run that saw it first
    # what was done since, or is being done, a line each
    later: list[str] = Field(default_factory=list)
    serving: str = ""  # what the account says; empty: it was not asked
    refresh: str = ""  # the refresh in progress; empty: none
    mixed: str = ""  # how the instances differ; empty: they do not, or nobody looked
    waiting: list[str] = Field(default_factory=list)  # the runs that wait at a gate
    signed: list[str] = Field(default_factory=list)  # of these, where people must sign
    # of these, those that enough people have approved; with the run or release that
    # goes on when it is resumed
    approved: dict[str, str] = Field(default_factory=dict)
    # the runs of emergencies that nobody has countersigned
    emergencies: list[str] = Field(default_factory=list)
    unexplained: list[str] = Field(default_factory=list)  # what no record explains


class Board(Result):
    """What serves where."""

    schema_name: ClassVar[str] = "olrunbook/status/1"

    target: str
    at: datetime  # the moment (UTC)
    now: bool  # it is the present
    asked: str  # why account and stacks were not asked; empty: they were
    rows: list[StageStatus]  # the stages

    def headline(self) -> str:
        """Return what serves: `tika: CI and QA server=ami-0a17…`, and what is open."""
        apps = []
        for app, rows in groupby(self.rows, key=lambda row: row.app):
            by_set: dict[str, list[str]] = {}
            for row in rows:
                images = ", ".join(f"{n}={short(i)}" for n, i in row.images.items())
                by_set.setdefault(images, []).append(row.stage)
            said = [
                f"{listed(at)} {images}" if images else f"nothing known in {listed(at)}"
                for images, at in by_set.items()
            ]
            apps.append(f"{app}: {', '.join(said)}")
        open_ends = {
            "in refresh": sum(bool(row.refresh) for row in self.rows),
            "mixed": sum(bool(row.mixed) for row in self.rows),
            "waiting for approval": sum(
                len(row.waiting) - len(row.approved) for row in self.rows
            ),
            "approved and not resumed": sum(len(row.approved) for row in self.rows),
            "not countersigned": sum(len(row.emergencies) for row in self.rows),
            "with a later event": sum(bool(row.later) for row in self.rows),
            "not explained": sum(len(row.unexplained) for row in self.rows),
        }
        told = [f"{number} {what}" for what, number in open_ends.items() if number]
        return " · ".join(["; ".join(apps) or "no app has a stack", *told])


def board(
    project: Project,
    *,
    app: str = "",
    stage: str = "",
    target: str = "",
    at: datetime | None = None,
) -> Board:
    """Return what serves where, now or at a moment (aware) by the archive alone.

    Without an app: of all that have a stack; without a target: of the rehearsal.
    UsageError where there is no such app or stage.
    """
    catalog = project.catalog
    if stage:
        one_of("stage", stage, catalog.stages_of(app) if app else catalog.all_stages)
    names = [app] if app else list(catalog.apps)
    apps = [name for name in names if catalog.app(name).stack]
    target = catalog.target(target)
    place, asked = None, "the past is told from the archive alone"
    places = functools.cache(_place)
    rows, moment = [], (at or datetime.now(UTC)).astimezone(UTC)
    for name in apps:
        for one in catalog.stages_of(name):
            if stage not in ("", one):
                continue
            if at is None:
                place, asked = places(project, target, one)
            past = _Past(project, (target, name, one), place, moment)
            facts: dict[str, Any] = {"app": name, "stage": one}
            known = vars(past).items()
            facts |= {k: v for k, v in known if k in StageStatus.model_fields}
            if place:
                facts |= _present(project, place, name, one, past)
            rows.append(StageStatus(**facts))
    return Board(target=target, at=moment, now=at is None, asked=asked, rows=rows)


def _place(project: Project, name: str, stage: str) -> tuple[Target | None, str]:
    """Return the target where it is up and answers as itself, else why not."""
    try:
        place = load_target(name, project, stage)
        wrong = Account(place).wrong_identity()
    except OlrunbookError as error:
        return None, str(error)
    return None if wrong else place, wrong


class _Past:
    """What the archive says of a stage in one cloud, up to a moment."""

    def __init__(
        self,
        project: Project,
        where: tuple[str, str, str],
        place: Target | None,
        at: datetime,
    ) -> None:
        room = project.outputs.joinpath(*where)
        self.found: dict[str, Found] = {}  # by run id, newest first
        self.resumes: dict[str, str] = {}
        self.later: list[str] = []
        self.spans: list[tuple[datetime, datetime]] = []  # of what changes a stage
        now = at.isoformat(timespec="milliseconds")
        entries = [e for e in chain.entries(room) if str(e.get("at")) <= now]
        self.known = {str(e.get("run_id")) for e in of_kind(entries, "open")}
        self._read(room, place.cloud_id if place else "", at)
        self.images, self.since, self.run = self._served()
        if self.run and (wrong := not_verified(self.found[self.run])):
            self.later.append(f"no evidence: {wrong}")
        waits = [
            run for run, one in self.found.items() if one.record.status == "waiting"
        ]
        self.waiting = chain.waiting(waits, self.resumes, entries)
        self.signed = [
            run
            for run in self.waiting
            if any(gate.signature for gate in self.found[run].record.gates)
        ]
        self.approved = {
            run: goes_on(*self.found[run]).run_id
            for run in self.waiting
            if _approved(project, self.found[run], entries, at)
        }
        alone = [e.use for e in emergencies(entries) if e.countersigned is None]
        self.emergencies = [str(use.get("run_id")) for use in alone]

    def _read(self, room: Path, cloud: str, at: datetime) -> None:
        """Read the records of one cloud; what goes on is noted."""
        outputs, where = room.parents[2], dict(zip(ROOM, room.parts[-3:], strict=True))
        served: set[str] = set()
        for run in list_runs(outputs, **where):
            if run.at > at or not (run.record.exists() or run.marker.exists()):
                continue
            record = read_record(run) or build_record(run, {})
            if record.started_at > at:
                continue
            self.resumes[run.run_id] = record.resumes
            if run.marker.exists() or record.ended_at > at:
                text = f"{run.notebook} {short_run(run.run_id)} goes on since "
                self.later.append(f"{text}{minute(run.at)}")
                self._spans(record, at)
                continue
            cloud = cloud or record.cloud_id
            if record.cloud_id and record.cloud_id != cloud:
                return  # the cloud was made anew since: nothing of before serves
            self.found[record.run_id] = Found(run, record)
            self._spans(record, record.ended_at)
            if record.result(RolloutResult.schema_name):
                served.add(format_images(record.images))
            if len(served) > 1 and run.at < at - KEPT:
                return

    def _spans(self, record: RunRecord, end: datetime) -> None:
        """Note when a run changed the stage; the end of what has none is given."""
        for step in filter(changed, record.steps):
            assert step.started_at
            took = step.seconds
            to = end if took is None else step.started_at + timedelta(seconds=took)
            self.spans.append((step.started_at - SLACK, to + SLACK))

    def explains(self, at: datetime) -> bool:
        """Whether a run changed the stage at a moment."""
        return any(start <= at <= end for start, end in self.spans)

    def _served(self) -> tuple[dict[str, str], datetime | None, str]:
        """Return the set last seen serving, since when, and the run that saw it."""
        images: dict[str, str] = {}
        since, run, broken = None, "", False
        for _, record in self.found.values():
            which = f"{record.notebook} {short_run(record.run_id)}"
            for step in reversed(record.steps):
                rolled = step.result_schema == RolloutResult.schema_name
                changes = changed(step)
                if broken or not (rolled or changes):
                    continue
                if rolled and step.status == "done" and record.images:
                    broken = images not in ({}, record.images)
                    if not broken:
                        images, run = dict(record.images), record.run_id
                        since = record.ended_at
                elif images:
                    broken = record.images != images
                else:
                    to = format_images(record.images)
                    how = step.headline or step.cause or step.status
                    text = f"{which} {minute(record.ended_at)}, {step.name}: {how}"
                    self.later.append(f"{text} ({to})")
        return images, since, run


def _approved(
    project: Project, found: Found, entries: list[dict[str, Any]], at: datetime
) -> bool:
    """Whether enough people have approved what a run that waits asks."""
    if not found.record.gates:
        return False
    asked = asked_of(project, found.place, found.record)
    try:
        there = standing_of(project, found.place, asked, entries, at)
    except OlrunbookError:
        return False  # as it is, no signature counts
    return bool(there.enough(asked.spec.people))


def changed(step: StepRecord) -> bool:
    """Whether a step changed the stage, or may have."""
    if step.name not in (UP.name, BEGAN.name) or not step.started_at:
        return False
    if step.status == "done":
        return bool((step.result or {}).get("changes", True))
    return step.status in ("failed", "interrupted")


def last_change(outputs: Path, target: str, app: str, stage: str) -> RunRecord | None:
    """Return the newest run that began to change a stage, or kept what one had done."""
    for run in list_runs(outputs, target=target, app=app, room=stage):
        record = read_record(run)
        for step in record.steps if record else ():
            if step.name in (UP.name, BEGAN.name) and step.status != "not-run":
                return record
    return None


def _present(
    project: Project, place: Target, app: str, stage: str, past: _Past
) -> dict[str, Any]:
    """Return what account and stack say, and what of it no record explains."""
    spec = project.catalog.app(app)
    assert spec.stack is not None
    odd: list[str] = []
    later = list(past.later)
    try:
        seen = Account(place).observe(spec, stage)
    except OlrunbookError as error:
        return {"serving": f"not known: {error}"}
    try:
        stack = look_at(place, project, spec, stage, UPDATES)
        odd += _foreign(stack, past)
        later += _refreshed(stack, past)
    except OlrunbookError as error:
        later.append(f"the stack was not asked: {error}")
    groups, active = [group for group, _ in seen], []
    for group, refreshes in seen:
        for one in refreshes:
            text = f"refresh {short(one.id)} of {group.name}, {one.status}"
            active += [f"{text}, {one.percent} %"] if one.active else []
            at = one.started_at
            if at and not past.explains(at):
                odd.append(f"{text}, began {at:{SECOND}}")
        runs = {i.image for i in group.instances if not i.leaving}
        was = past.images.get(group.node_type, "")
        if len(runs) == 1 and was not in runs and not past.later:
            text = f"{group.name} runs {short(runs.pop())}; the archive says "
            odd.append(text + (short(was) or "nothing of it"))
    return {
        "later": later,
        "serving": "; ".join(in_words(group, many=len(groups) > 1) for group in groups),
        "refresh": "; ".join(active),
        "mixed": "; ".join(filter(None, map(_mixed, groups))),
        "unexplained": odd,
    }


def _foreign(stack: State, past: _Past) -> list[str]:
    """Return the updates of a stack that no run made; what ours did is a span.

    What only writes the state is none: a `pulumi refresh`.
    """
    odd = []
    for update in stack.updates:
        run = update.message.removeprefix("olrunbook run ")
        if run != update.message and run in past.known:
            past.spans.append((update.began - SLACK, update.ended + SLACK))
        elif update.kind != "refresh":
            text = f"pulumi {update.kind} of the stack, {update.result}, began "
            odd.append(f"{text}{update.began:{SECOND}}")
    last = stack.updates[0].ended if stack.updates else None
    at = stack.written
    if last and at and at > last + SLACK and not (stack.locks or past.explains(at)):
        odd.append(f"the stack's state was written {at:{SECOND}}, by no update")
    return odd


def _refreshed(stack: State, past: _Past) -> list[str]:
    """Return the `pulumi refresh` by hand since: they write the state alone."""
    found = []
    for one in stack.updates:
        if one.kind == "refresh" and (past.since is None or one.began > past.since):
            by = one.message.removeprefix(BY_HAND)
            by = ", not known by whom" if by == one.message else by
            text = f"pulumi refresh of the state by hand, {one.result}, at "
            found.append(f"{text}{one.began:{SECOND}}{by}")
    return found


def _mixed(group: GroupSeen) -> str:
    """Return how a group's instances differ; empty: they do not."""
    staying = [item for item in group.instances if not item.leaving]
    images = sorted({short(item.image) for item in staying if item.image})
    versions = sorted({i.template_version for i in staying if i.template_version})
    what = {"images": images, "template versions": versions}
    told = [f"{name} {' and '.join(v)}" for name, v in what.items() if len(v) > 1]
    return f"{group.name}: {', '.join(told)}" if told else ""
