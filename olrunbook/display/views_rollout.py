"""How a rollout is shown, and a refresh: instances, before and after, availability."""

from __future__ import annotations

from olrunbook.adapters.aws.seen import RefreshSeen
from olrunbook.display.plots import rollout_plot
from olrunbook.display.shown import view_of
from olrunbook.display.view import (
    Cell,
    Note,
    Table,
    View,
    clock,
    identifier,
    plain,
    status,
    table,
)
from olrunbook.steps.rollout.model import GroupRollout, InstanceTrack, RolloutResult
from olrunbook.steps.rollout.refresh import RefreshBegan, RefreshPlan
from olrunbook.steps.rollout.samples import ProbeSummary

MILLI = 1000


@view_of.register
def rollout_view(result: RolloutResult) -> View:
    """Return the tables of a rollout."""
    failed = result.outcome == "failed"
    kinds = (_instances, _refreshes, _activities, _unhealthy)
    tables = [of(group) for of in kinds for group in result.groups]
    if result.probe and (result.probe.requests or result.probe.before_first_answer):
        tables.append(_probe(result.probe))
    notes = plain(result.notes)
    for ailment in (one for group in result.groups for one in group.unhealthy):
        if ailment.console:
            notes.append(Note(f"{ailment.id} wrote on its console:"))
            notes.append(Note("\n".join(ailment.console), code=True))
    if result.consequences:
        notes.append(Note("What the failed rollout leaves:", tone="bad"))
        notes += plain(result.consequences)
    return View(
        result.headline(),
        tone="bad" if failed else "ok",
        word=result.outcome,
        tables=tables,
        notes=notes,
        by_hand=result.by_hand,
        # Its notebook ends here and never comes to the cell with the plot.
        picture=rollout_plot(result) if failed else None,
    )


def _instances(group: GroupRollout) -> Table:
    rows = [_instance(track, group) for track in group.instances]
    caption = f"Instances of {group.group or group.label}, before and after"
    times = ("launched", "seen serving", "gone")
    columns = ("instance", "image", "before", "after", *times)
    return table(f"{caption} (UTC)", columns, rows)


def _instance(track: InstanceTrack, group: GroupRollout) -> tuple[Cell | str, ...]:
    before = track.before.state if track.before else ""
    after = track.after.state if track.after else "gone"
    image = identifier(track.image)
    if track.image == group.image:
        image = Cell(f"{image.text} (wanted)", title=track.image, code=True)
    return (
        identifier(track.id),
        image,
        status(before) if before else "not there",
        status(after),
        clock(track.launched_at),
        clock(track.served_at) if track.before is None else "",
        clock(track.gone_at),
    )


def _refreshes(group: GroupRollout) -> Table:
    found = [group.refresh] if group.refresh else []
    rows = [_refresh(refresh) for refresh in [*found, *group.other_refreshes]]
    columns = ("refresh", "status", "done", "began", "ended", "settings", "reason")
    return table(f"Instance refreshes of {group.group} since the update", columns, rows)


def _refresh(refresh: RefreshSeen) -> tuple[Cell | str, ...]:
    low = "" if refresh.min_healthy is None else f"min {refresh.min_healthy} %"
    high = "no max" if refresh.max_healthy is None else f"max {refresh.max_healthy} %"
    warm = "" if refresh.warmup_s is None else f"warm-up {refresh.warmup_s} s"
    return (
        identifier(refresh.id),
        status(refresh.status),
        Cell(f"{refresh.percent} %", number=True),
        clock(refresh.started_at),
        clock(refresh.ended_at),
        ", ".join(part for part in (low, high, warm) if part),
        refresh.reason,
    )


def _activities(group: GroupRollout) -> Table:
    rows = [
        (clock(one.at), status(one.status), one.description, one.message or one.cause)
        for one in group.activities
    ]
    caption = f"Scaling activities of {group.group} since the update, newest first"
    return table(caption, ("at", "status", "what", "why"), rows)


def _unhealthy(group: GroupRollout) -> Table:
    rows = [
        (
            identifier(one.id),
            identifier(one.image),
            clock(one.at),
            one.reason,
            f"logs/{one.log}" if one.log else "nothing",
        )
        for one in group.unhealthy
    ]
    columns = ("instance", "image", "first seen so", "why", "console")
    caption = f"Instances of {group.group} that turned unhealthy (UTC)"
    return table(caption, columns, rows)


def _probe(probe: ProbeSummary) -> Table:
    def ms(value: float | None) -> str:
        return "" if value is None else f"{value * MILLI:.0f} ms"

    kinds = ", ".join(f"{number} times {kind}" for kind, number in probe.errors.items())
    rows = [("requests", f"{probe.requests}", ""), ("failed", f"{probe.failed}", kinds)]
    if probe.failed:
        first, last = clock(probe.first_failure).text, clock(probe.last_failure).text
        longest = f"longest {probe.longest_s:.1f} s, {first} to {last} UTC"
        rows.append(("outage", f"{probe.outage_s:.1f} s", longest))
    if early := probe.before_first_answer:
        rows.append(("before the first answer", f"{early}", "not an outage"))
    slow = f"99th percentile {ms(probe.p99_s)}"
    rows.append(("answer, median", ms(probe.p50_s), slow))
    rows += [(f"answers of {t}", f"{n}", "") for t, n in probe.targets.items() if t]
    cells = [(what, Cell(value, number=True), more) for what, value, more in rows]
    return table("Availability through the load balancer", ("", "", ""), cells)


@view_of.register
def plan_view(plan: RefreshPlan) -> View:
    """Return the table of what would be replaced, and how."""
    rows = [
        (
            one.group.name,
            Cell("\n".join(i.id for i in one.group.instances), code=True),
            identifier(one.image),
            Cell(one.template, number=True),
            "\n".join(f"{k} {v}" for k, v in one.preferences.items()),
        )
        for one in plan.groups
    ]
    columns = ("group", "instances", "image", "template", "preferences")
    return View(
        plan.headline(),
        tone="ok",
        word="planned",
        tables=[table("What would be replaced, and how", columns, rows)],
        notes=plain(plan.outlook),
        by_hand=plan.by_hand,
    )


@view_of.register
def began_view(began: RefreshBegan) -> View:
    """Return which refreshes began."""
    text = "Began does not mean replaced: the next cell watches it."
    return View(began.headline(), tone="run", word="began", notes=plain([text]))
