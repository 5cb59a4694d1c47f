"""All checks of all notebooks, over apps and stages; nothing is changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from olrunbook.adapters.context import Commit, Context
from olrunbook.adopt.asking import ask, principal
from olrunbook.adopt.iam import Given, Policy, policies
from olrunbook.errors import OlrunbookError, RefusedError
from olrunbook.project.catalog import Project, one_of
from olrunbook.record.provenance import git_state
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.asked import Asked, Seen
from olrunbook.steps.order import last_build
from olrunbook.steps.preflight import CheckRow, PreflightResult, look
from olrunbook.steps.preflight_checks import CHECKS
from olrunbook.targets import Target, find_target, load_target

EACH = ("machine", "app", "stage")


class Diagnosis(PreflightResult):
    """All checks; the first to be looked at is what an update left half done."""

    schema_name: ClassVar[str] = "olrunbook/doctor/1"


def doctor(
    project: Project, app: str = "", stage: str = "", target: str = ""
) -> Diagnosis:
    """Check machine, apps (or one) and stages (or one); change nothing.

    Without a target it is the rehearsal. UsageError where there is no such app, stage
    or target.
    """
    catalog = project.catalog
    target = catalog.target(target)
    if stage:
        one_of("stage", stage, catalog.stages_of(app) if app else catalog.all_stages)
    asked: dict[str, list[tuple[str, Asked]]] = {each: [] for each in EACH}
    sha, dirty = git_state(project.root, project.outputs)
    with tempfile.TemporaryDirectory(prefix="olrunbook-doctor-") as scratch:
        for name in [app] if app else list(catalog.apps):
            spec = catalog.app(name)
            built = last_build(project.outputs, target, name, spec.node_types)
            ctx = Context(
                project=project,
                place=find_target(target, project, stage),
                app_name=name,
                app=spec,
                stage="",
                run_id="",
                commit=Commit(sha, tuple(dirty)),
                logs=Path(scratch),
                work=Path(scratch),
                redactor=Redactor(new_key()),
            )
            first = Asked(ctx, built.record.images if built else {}, None)
            asked["machine"] = asked["machine"] or [("", first)]
            asked["app"].append((name, first))
            for one in catalog.stages_of(name) if spec.stack else []:
                if stage in ("", one):
                    place = find_target(target, project, one)
                    its = replace(first, ctx=replace(ctx, stage=one, place=place))
                    asked["stage"].append((f"{name} {one}", its))
        return Diagnosis(rows=list(_rows(asked)))


def _rows(asked: dict[str, list[tuple[str, Asked]]]) -> Iterator[CheckRow]:
    """Yield each check, once for each that it is made for."""
    down = ""
    for name, check in CHECKS.items():
        for where, its in asked[check.each]:
            if name == "stage order" and not its.images:
                continue
            row = look(its, name, where)
            if row.status == "failed":
                if row.found == down:
                    continue  # the target is not up: that was said
                if its.ctx.place is None and name == "target":
                    down = row.found
                if check.advice:
                    row = row.model_copy(update={"status": "warning"})
            yield row


def permitted(
    project: Project, app: str = "", stage: str = "", target: str = ""
) -> Diagnosis:
    """Ask IAM whether the identity in use may do what the notebooks do.

    Of which apps, stages and target: as for `doctor`.

    Raises:
        UsageError: There is no such app, stage or target.
        RefusedError: The target is not up, or does not answer as itself.
        ToolError: There are no credentials.

    """
    catalog = project.catalog
    target = catalog.target(target)
    place = load_target(target, project, stage).identified()
    given = Given(account=place.account, region=place.region)
    rows: list[CheckRow] = []
    for name in [app] if app else list(catalog.apps):
        found, _ = policies(project, name, stage, target, given)
        # Whoever only looks does so as each stage; builds are of none.
        first = stage or catalog.stages_of(name)[0]
        at = ["" if one.kind == "build" else one.stage or first for one in found]
        for its in dict.fromkeys(at):
            some = [one for one, of in zip(found, at, strict=True) if of == its]
            rows += _allowed(load_target(target, project, its), name, some)
    return Diagnosis(rows=rows)


def _allowed(place: Target, app: str, found: list[Policy]) -> Iterator[CheckRow]:
    """Yield whether who we are on a target may do what policies of an app allow."""
    try:
        who = principal(place.identified())
        answers = list(ask(place, who, found))
    except OlrunbookError as error:
        hint = "Let it be allowed iam:SimulatePrincipalPolicy on itself."
        seen = Seen("warning", f"not asked: {error}", "an answer of IAM", hint)
        if isinstance(error, RefusedError):
            seen = Seen("failed", str(error), "the identity of the catalog", error.hint)
        yield CheckRow(name="permissions", where=app, **seen._asdict())
        return
    for answer in answers:
        only = f" --stage {answer.stage}" if answer.stage else ""
        seen = Seen(
            "failed" if answer.missing else "ok",
            answer.found,
            f"{who} may do what it does",
            f"What should be allowed: olrunbook iam {app}{only}",
        )
        where = " ".join(filter(None, (app, answer.stage, answer.notebook)))
        yield CheckRow(name="permissions", where=where, **seen._asdict())
