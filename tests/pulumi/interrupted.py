"""A deploy in a process of its own, to be interrupted: `python FILE JSON`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from olrunbook.adapters.context import Commit, Context
from olrunbook.errors import OlrunbookError
from olrunbook.events import Event
from olrunbook.project.catalog import find_project
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.deploy import update as deploy
from olrunbook.targets import Target


def say(kind: str, text: str) -> None:
    """Print one line for the test."""
    print(json.dumps([kind, text]), flush=True)  # noqa: T201  (the test reads it)


def main(given: dict[str, str]) -> int:
    """Preview and update; return the exit code of the error."""
    project = find_project(Path(given["root"]))
    catalog = project.catalog
    # No stage comes before it: what that has rolled out is not the point here.
    alone = catalog.app("tika").model_copy(update={"stages": [given["stage"]]})
    apps = {"apps": {**catalog.apps, "tika": alone}}
    project.catalog = catalog.model_copy(update=apps)
    target = Target.model_validate_json(Path(given["target"]).read_text())
    folder = Path(given["folder"])
    context = Context(
        project=project,
        place=target,
        app_name="tika",
        app=project.catalog.app("tika"),
        stage=given["stage"],
        run_id="interrupted",
        commit=Commit("0" * 40),
        logs=folder / "logs",
        work=folder / "work",
        redactor=Redactor(new_key(), target.secret_values()),
        emit=tell,
    )
    try:
        plan = deploy.preview(context, {"server": given["image"]})
        say("previewed", plan.headline())
        done = deploy.up(context, plan)
    except OlrunbookError as error:
        say(type(error).__name__, f"{error} | {error.hint}")
        return error.exit_code
    say("done", done.headline())
    return 0


def tell(event: Event) -> None:
    """Say what happens to each resource."""
    if event.kind == "resource":
        say(event.data["state"], f"{event.data['op']} {event.data['type']}")
    elif event.kind in ("warning", "error"):
        say(event.kind, event.text)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
