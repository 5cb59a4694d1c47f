"""How a refresh is shown before it begins, and when it has."""

from __future__ import annotations

from olrunbook.display.shown import shows
from olrunbook.display.view import Cell, Table, View, identifier, plain, seconds, status
from olrunbook.steps.rollout.refresh import RefreshBegan, RefreshPlan

__all__ = ["began_view", "plan_view"]


@shows(RefreshPlan.schema_name)
def plan_view(plan: RefreshPlan) -> View:
    """Return the tables of what would be replaced, and how."""
    groups = [
        (
            Cell(one.group.name),
            identifier(one.image),
            Cell(one.template, number=True),
            Cell(f"{one.min_healthy} %", number=True),
            Cell(f"{one.max_healthy} %", number=True),
            seconds(one.warmup_s),
        )
        for one in plan.groups
    ]
    columns = ("group", "image", "template", "min healthy", "max healthy", "warm-up")
    rows = [
        (
            Cell(one.group.name),
            identifier(item.id),
            Cell(item.template_version, number=True),
            status(item.state),
        )
        for one in plan.groups
        for item in one.group.instances
    ]
    which = ("group", "instance", "template", "state")
    return View(
        plan.headline(),
        tone="ok",
        word="planned",
        tables=[
            Table("What new instances are made from, and how", columns, groups),
            Table("What is replaced", which, rows),
        ],
        notes=plain(plan.outlook),
        by_hand=plan.by_hand,
    )


@shows(RefreshBegan.schema_name)
def began_view(began: RefreshBegan) -> View:
    """Return which refreshes began."""
    rows = [
        (Cell(group), Cell(one, code=True)) for group, one in began.refreshes.items()
    ]
    return View(
        began.headline(),
        tone="run",
        word="began",
        tables=[Table("Refreshes", ("group", "refresh"), rows)],
        notes=plain(["Began does not mean replaced: the next cell watches it."]),
    )
