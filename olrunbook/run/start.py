"""Open a run: check what was asked, find its directory, show its header."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from olrunbook.adapters.context import Commit, Context
from olrunbook.archive.dead import SCRATCH
from olrunbook.archive.place import RunPlace, new_place, place_of
from olrunbook.errors import ToolError, UsageError
from olrunbook.project.catalog import Project, find_project
from olrunbook.project.imageset import LAST_GOOD
from olrunbook.project.tools import needed
from olrunbook.record.heartbeat import process_facts
from olrunbook.record.journal import Journal
from olrunbook.record.provenance import opening
from olrunbook.redact import KEY_VARIABLE, Redactor, new_key, secrets_of_environment
from olrunbook.run.byhand import ByHand
from olrunbook.run.cells import kernel_shell
from olrunbook.run.executor import Executor, executor
from olrunbook.run.gate import Gate
from olrunbook.run.recorder import Recorder
from olrunbook.run.shell_lines import fail_with_shell_lines
from olrunbook.run.steps import Run
from olrunbook.steps.approval.lineage import Lineage
from olrunbook.steps.order import images_for
from olrunbook.targets import Target, find_target, require_target

HEADLESS = "olrunbook_headless"


def begin(
    notebook: str,
    *,
    app: str,
    stage: str = "",
    images: str | None = None,
    target: str = "rehearsal",
    node_type: str = "",
) -> Run:
    """Open a run and show who, where, what, which images, what serves now.

    Args:
        notebook: Name of the notebook, when interactive; headless its file names it.
        app: The app.
        stage: The stage; empty for image notebooks.
        images: The image set, `server=ami-…`; empty: what the run that is taken up has
            shown, else the one built last for this app; `last-good`: a rollback; None:
            the notebook needs none.
        target: Where to work.
        node_type: Only this node type (image notebooks).

    Raises:
        UsageError: A value is wrong, or the run is filed where another app, stage or
            target belongs; nothing was started.
        RefusedError: No image set was named, and nothing was built yet; there is no
            way back.

    """
    project = find_project()
    spec = project.catalog.app(app)
    if stage:
        project.catalog.stage(stage, app)
    require_target(project.catalog, target)
    where = _identified(find_target(target, project, stage))
    project.require_variables(spec, needed(stage), where.env if where else ())
    if node_type and node_type not in spec.node_types:
        have = ", ".join(spec.node_types)
        msg = f"{app} has no node type {node_type!r}; it has: {have}"
        raise UsageError(msg)
    before = ByHand.end_before()
    place, headless = _place(project, notebook, app, stage, target)
    redactor = Redactor(os.environ.pop(KEY_VARIABLE, "") or new_key())
    journal = Journal(place.folder, redactor)
    recorder = Recorder(journal, headless=headless)
    redactor.on_learn = lambda secret: recorder.tell(secret=secret)
    for value in secrets_of_environment(os.environ, project.catalog.secrets):
        redactor.learn(value)
    if shell := kernel_shell():
        fail_with_shell_lines(shell)
    facts = opening(project.root, project.outputs)
    by_hand, warning, form = None, "", False
    if not headless:
        given = {"app": app, "stage": stage, "images": images or "", "target": target}
        who = executor(cells=kernel_shell() is not None)
        warning, form = _unmasked(who), who.person
        journal.add(
            "run",
            run_id=place.run_id,
            notebook=notebook,
            stage=stage,
            parameters=given,
            **who.facts(project.root),
            **facts,
        )
        by_hand = ByHand(place, journal, redactor).start(before)
    context = Context(
        project=project,
        place=where,
        app_name=app,
        app=spec,
        stage=stage,
        run_id=place.run_id,
        commit=Commit(facts["commit"], tuple(facts["dirty"])),
        logs=place.logs,
        work=_work(recorder),
        redactor=redactor,
        emit=recorder.emit,
    )
    gate = Gate(context, place, journal.add, headless=headless, form=form)
    run = Run(context, place, recorder, gate=gate, by_hand=by_hand, node_type=node_type)
    _open(run, context, place, journal, images, headless=headless, warning=warning)
    return run


def _place(
    project: Project, notebook: str, app: str, stage: str, target: str
) -> tuple[RunPlace, bool]:
    """Return the run's directory, and whether an engine made it."""
    given = os.environ.pop("OLRUNBOOK_RUN_DIR", "")
    if shell := kernel_shell():
        if not given and shell.meta.get(HEADLESS):
            msg = "begin was called again: a notebook that runs headless is one run"
            raise UsageError(msg, "Call olrunbook.begin once.")
        shell.meta[HEADLESS] = bool(given)
    if given and (place := place_of(Path(given))):
        named = (target, app, stage or place.notebook)
        if named != (place.target, place.app, place.room):
            filed = "/".join(filter(None, (place.target, place.app, place.room)))
            msg = f"this run is filed under {filed}, but begin names {'/'.join(named)}"
            hint = "Declare `app: App`, `stage: Stage`, `target: Target` as parameters."
            raise UsageError(msg, hint)
        return place, True
    where = {"target": target, "app": app, "notebook": notebook, "stage": stage}
    return new_place(project.outputs, **where), False


def _identified(place: Target | None) -> Target | None:
    """Return the target as AWS says who we are there.

    Where nobody says, its preflight does; what needs no cloud goes on without.
    """
    try:
        return place.identified() if place else None
    except ToolError:
        return place


def _work(recorder: Recorder) -> Path:
    """Return the run's scratch folder; it goes with the engine's, or with us."""
    if given := os.environ.pop("OLRUNBOOK_WORK", ""):
        folder = Path(given)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
    folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
    # Whoever closes the run removes it, unless a tool still works in it.
    recorder.journal.add("kernel", process=process_facts(), folder=str(folder))
    return folder


def _unmasked(who: Executor) -> str:
    """Return what a reader must know of the copy that others save; empty: nothing."""
    if who.by == "papermill":
        return "this record is masked; the notebook that papermill writes is not"
    if kernel_shell() is None or os.environ.get("OLRUNBOOK_LAB"):
        return ""
    return (
        "this record is masked; the working copy that JupyterLab saves is not "
        "(`olrunbook lab` starts one that masks)"
    )


def _open(
    run: Run,
    context: Context,
    place: RunPlace,
    journal: Journal,
    images: str | None,
    *,
    headless: bool,
    warning: str,
) -> None:
    """Learn the target's secrets, decide the image set, show the header."""
    where = context.place
    for value in where.secret_values() if where else ():
        context.redactor.learn(value)
    source = ""
    if images == LAST_GOOD:
        from olrunbook.steps.way_back import taken_up, way_back  # noqa: PLC0415

        found = taken_up(place) or way_back(context)
        run.images, run.rollback, source = found.images, found.record, LAST_GOOD
    elif images == "" and (shown := Lineage.of(place).images):
        run.images, source = shown, "as the run that this one takes up has shown"
    elif images is not None:
        run.images, source = images_for(
            context.project.outputs,
            place.target,
            context.app_name,
            context.app.node_types,
            images,
        )
    facts: dict[str, Any] = {"images": run.images} if run.images else {}
    facts |= {"rollback": run.rollback.model_dump()} if run.rollback else {}
    if where:
        facts |= where.model_dump(include={"account", "cloud_id", "tools"})
        facts["identity"] = where.identity_arn
    if context.stand_ins:
        facts["stand_ins"] = context.stand_ins
    # The kernel's process: a run is dead when nobody who writes for it is left.
    journal.add("begin", process=process_facts(), **facts)
    from olrunbook.display import Seen, header_view, show  # noqa: PLC0415  (heavy)

    view = header_view(
        context,
        notebook=place.notebook,
        images=run.images,
        images_from=source,
        rollback=run.rollback.lines[0] if run.rollback else "",
        folder=place.folder,
        headless=headless,
        warning=warning,
    )
    show(Seen(view))
