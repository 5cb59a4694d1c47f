"""How a refresh is shown before it begins, and when it has."""

from __future__ import annotations

from olrunbook.display.shown import shows
from olrunbook.display.view import Cell, View, identifier, plain, table
from olrunbook.steps.rollout.refresh import RefreshBegan, RefreshPlan


@shows(RefreshPlan.schema_name)
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


@shows(RefreshBegan.schema_name)
def began_view(began: RefreshBegan) -> View:
    """Return which refreshes began."""
    text = "Began does not mean replaced: the next cell watches it."
    return View(began.headline(), tone="run", word="began", notes=plain([text]))
