"""What a notebook gets from `begin`: a run whose methods are the steps.

Each method writes what happens to the journal, shows it as it happens, and returns its
result, which shows itself as a table. The rules are in `steps`; nothing is decided
here.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olrunbook import gates
from olrunbook.catalog import Project, find_project
from olrunbook.errors import (
    InterruptedRun,
    OlrunbookError,
    RefusedError,
    StepError,
    UsageError,
    WaitingError,
)
from olrunbook.events import Event
from olrunbook.record.archive import RunPlace, list_runs, new_place, place_of
from olrunbook.record.build import seal
from olrunbook.record.journal import Journal, read_journal
from olrunbook.record.provenance import opening
from olrunbook.redact import KEY_VARIABLE, Redactor, new_key
from olrunbook.steps.context import Commit, Context
from olrunbook.targets import Target, load_target

if TYPE_CHECKING:
    from olrunbook.display import Shown
    from olrunbook.steps.deploy import PreviewResult
    from olrunbook.steps.results import Result

__all__ = ["Run", "begin"]

# The step whose result is the answer to the notebook's question.
MAIN_STEP = {
    "image_test": "image_test",
    "image_build": "build",
    "deploy": "up",
    "rollout": "rollout",
    "release": "parts",
}
STATUS: tuple[tuple[type[BaseException], str], ...] = (
    (RefusedError, "refused"),
    (UsageError, "refused"),
    (WaitingError, "waiting"),
    (InterruptedRun, "interrupted"),
    (KeyboardInterrupt, "interrupted"),
)


def begin(
    notebook: str,
    *,
    app: str,
    stage: str = "",
    images: str = "",
    target: str = "rehearsal",
    node_type: str = "",
) -> Run:
    """Open a run and show who, where, what, which images, what serves now.

    Args:
        notebook: Name of the notebook.
        app: The app.
        stage: The stage; empty for image notebooks.
        images: The image set, `server=ami-…`; empty: the one built last for this app.
        target: Where to work.
        node_type: Only this node type (image notebooks).

    Raises:
        UsageError: A value is wrong; nothing was started.
        RefusedError: The target is not up, or nothing was built yet.

    """
    project = find_project()
    spec = project.catalog.app(app)
    if stage:
        project.catalog.stage(stage)
    if node_type and node_type not in spec.node_types:
        msg = f"{app} has no node type {node_type!r}; it has: {', '.join(spec.node_types)}"
        raise UsageError(msg)
    place, headless = _place(project, notebook, app, stage, target)
    redactor = Redactor(os.environ.pop(KEY_VARIABLE, "") or new_key())
    journal = Journal(place.folder, redactor)
    facts = opening(project.root)
    if not headless:
        journal.add(
            "run",
            run_id=place.run_id,
            notebook=notebook,
            stage=stage,
            parameters={"app": app, "stage": stage, "images": images, "target": target},
            **facts,
        )
    where: Target | None
    try:
        where = load_target(target, project.root)
    except RefusedError:
        if notebook != "image_test":  # it works in a container of its own
            raise
        where = None
    run = Run(
        Context(
            project=project,
            place=where,
            app_name=app,
            app=spec,
            stage=stage,
            run_id=place.run_id,
            commit=Commit(facts["commit"], tuple(facts["dirty"])),
            logs=place.logs,
            work=Path(tempfile.mkdtemp(prefix="olrunbook-run-")),
            redactor=redactor,
            emit=lambda event: run._emit(event),  # noqa: SLF001  (bound right below)
        ),
        place,
        journal,
        headless=headless,
        node_type=node_type,
    )
    run._open(images)  # noqa: SLF001
    return run


def _place(
    project: Project, notebook: str, app: str, stage: str, target: str
) -> tuple[RunPlace, bool]:
    """Return the run's directory: the engine's, else a new one."""
    given = os.environ.pop("OLRUNBOOK_RUN_DIR", "")
    if given and (place := place_of(Path(given))):
        return place, True
    outputs = project.outputs
    return (
        new_place(outputs, target=target, app=app, notebook=notebook, stage=stage),
        False,
    )


class Run:
    """One run of a notebook. Made by `begin`.

    Args:
        context: What the steps get.
        place: Its directory.
        journal: Its journal.
        headless: An engine runs us and seals the record.
        node_type: Only this node type (image notebooks).

    """

    def __init__(
        self,
        context: Context,
        place: RunPlace,
        journal: Journal,
        *,
        headless: bool,
        node_type: str,
    ) -> None:
        self._context, self._place, self._journal = context, place, journal
        self._headless, self._node_type = headless, node_type
        self._live: Any = None
        self._images: dict[str, str] = {}
        self._images_from = ""
        self._failures: list[str] = []
        self._headline = ""
        self._told = 0.0
        descriptor = os.environ.get("OLRUNBOOK_TELL_FD")
        self._tell = (
            os.fdopen(int(descriptor), "w") if descriptor and headless else None
        )
        context.redactor.on_learn = lambda secret: self._tell_engine(secret=secret)

    def __repr__(self) -> str:
        """Return the first line of the header."""
        context = self._context
        return f"<run {gates.short(context.run_id)} {self._place.notebook} {context.app_name}>"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._context.run_id

    @property
    def images(self) -> dict[str, str]:
        """The image set of this run."""
        return dict(self._images)

    # -- steps ------------------------------------------------------------------------

    def preflight(self) -> Shown:
        """Check what must hold before anything changes; a failed check ends here."""
        from olrunbook.steps import preflight as step  # noqa: PLC0415

        need = step.NEEDS[self._place.notebook]
        return self._step(
            "preflight",
            lambda: step.preflight(
                self._context,
                need=need,
                images=self._images,
                stage_before=self._stage_before if self._context.stage else None,
            ),
            step.require,
        )

    def image_test(self, base: str = "") -> Shown:
        """Provision a container with the app's deploy, twice; see what it says."""
        from olrunbook.steps.image_test import image_test, require  # noqa: PLC0415

        return self._step(
            "image_test",
            lambda: image_test(self._context, base=base, node_type=self._node_type),
            require,
        )

    def validate(self) -> Shown:
        """Let Packer check the template: init, validate, fmt."""
        from olrunbook.steps.image_build import validate  # noqa: PLC0415

        return self._step(
            "validate", lambda: validate(self._context, node_type=self._node_type)
        )

    def build(self, on_error: str = "cleanup", variables: str = "") -> Shown:
        """Bake the image of every node type."""
        from olrunbook.steps.image_build import build, parse_variables  # noqa: PLC0415

        shown = self._step(
            "build",
            lambda: build(
                self._context,
                node_type=self._node_type,
                on_error=on_error,
                variables=parse_variables(variables),
            ),
        )
        self._images = dict(shown.result.images)
        self._journal.add("begin", images=self._images)
        return shown

    def preview(self) -> Shown:
        """Let Pulumi say what it would change."""
        from olrunbook.steps.deploy import preview  # noqa: PLC0415

        return self._step("preview", lambda: preview(self._context, self._images))

    def up(self, plan: Shown | PreviewResult) -> Shown:
        """Apply exactly what the preview showed."""
        from olrunbook.steps.deploy import up  # noqa: PLC0415

        shown_plan = getattr(plan, "result", plan)
        return self._step("up", lambda: up(self._context, shown_plan))

    def rollout(self, deploy_run: str = "") -> Shown:
        """Wait until the deploy is in service on every instance, or has failed."""
        from olrunbook.steps.results import DeployResult  # noqa: PLC0415
        from olrunbook.steps.rollout import require, rollout  # noqa: PLC0415

        found = self._deploy(deploy_run)
        deploy = DeployResult.model_validate(
            found.record.result(DeployResult.schema_name)
        )
        self._images = dict(deploy.images)
        self._journal.add("begin", images=self._images)
        return self._step("rollout", lambda: rollout(self._context, deploy), require)

    def checks(self, deploy_run: str = "") -> Shown:
        """Ask the deployed stage what the catalog says it must answer."""
        from olrunbook.adapters.pulumi import secret_config  # noqa: PLC0415
        from olrunbook.steps.checks import require, run_checks  # noqa: PLC0415
        from olrunbook.steps.results import DeployResult  # noqa: PLC0415

        found = self._deploy(deploy_run)
        deploy = DeployResult.model_validate(
            found.record.result(DeployResult.schema_name)
        )
        keys = {
            key
            for check in self._context.app.checks
            for key in check.secret_headers.values()
        }

        def work() -> Result:
            secrets = {key: secret_config(self._context, key) for key in sorted(keys)}
            for value in secrets.values():
                self._context.redactor.learn(value.get_secret_value())
            return run_checks(self._context, deploy.url, secrets)

        return self._step("checks", work, require)

    def parts(self, release: str = "") -> Shown:
        """Show the runs of a release: step, stage, outcome, seconds, record."""
        from olrunbook.steps.release import parts, require  # noqa: PLC0415

        wanted = release or self._release_with_parts()
        places = list_runs(
            self._context.project.outputs,
            target=self._place.target,
            app=self._context.app_name,
            room="release",
        )
        for place in places:
            if wanted == place.run_id:
                entries = read_journal(place.folder)
                return self._step(
                    "parts", lambda: parts(place.run_id, entries), require
                )
        msg = f"no release {wanted or 'of ' + self._context.app_name} in the archive"
        raise RefusedError(msg, f"Make one: olrunbook release {self._context.app_name}")

    def plot(self, shown: Shown) -> Any:
        """Return the plot of a rollout: refresh, instances, availability."""
        from olrunbook.display.plots import rollout_plot  # noqa: PLC0415

        return rollout_plot(shown.result)

    def conclude(self) -> None:
        """Say that the run came to its end. An ending before this line is a failure."""
        if self._failures:
            msg = f"not everything succeeded: {'; '.join(self._failures)}"
            raise StepError(msg)
        self._journal.add("conclude", headline=self._headline)
        self._tell_engine(progress=self._headline)
        shutil.rmtree(self._context.work, ignore_errors=True)
        if not self._headless:
            self._journal.add("end", status="succeeded", cause="", masked=self._masked)
            seal(self._place)
        from olrunbook.display import note  # noqa: PLC0415

        note(f"{self._headline or 'done'} · record {self._place.folder}")

    # -- inside -----------------------------------------------------------------------

    @property
    def _masked(self) -> int:
        return self._context.redactor.masked

    def _open(self, images: str) -> None:
        """Learn the target's secrets, decide the image set, show the header."""
        context = self._context
        where = context.place
        for value in where.secret_values() if where else ():
            self._context.redactor.learn(value)
        if context.stage and self._place.notebook == "deploy":
            self._images, self._images_from = gates.images_for(
                context.project.outputs,
                self._place.target,
                context.app_name,
                context.app.node_types,
                images,
            )
        self._journal.add(
            "begin",
            **({"images": self._images} if self._images else {}),
            **(
                {
                    "account": where.account,
                    "cloud_id": where.cloud_id,
                    "identity": where.identity_arn,
                    "stand_ins": where.stand_ins,
                }
                if where
                else {}
            ),
        )
        from olrunbook.display import header  # noqa: PLC0415

        header(
            context,
            notebook=self._place.notebook,
            images=self._images,
            images_from=self._images_from,
            folder=self._place.folder,
            headless=self._headless,
        )

    def _deploy(self, deploy_run: str) -> gates.Found:
        return gates.last_deploy(
            self._context.project.outputs,
            self._place.target,
            self._context.app_name,
            self._context.stage,
            deploy_run,
        )

    def _stage_before(self) -> str:
        context = self._context
        return gates.require_stage_before(
            context.project.outputs,
            context.project.catalog,
            target=self._place.target,
            cloud_id=context.target.cloud_id,
            app=context.app_name,
            stage=context.stage,
            images=self._images,
        )

    def _release_with_parts(self) -> str:
        for place in list_runs(
            self._context.project.outputs,
            target=self._place.target,
            app=self._context.app_name,
            room="release",
        ):
            if any(entry["kind"] == "part" for entry in read_journal(place.folder)):
                return place.run_id
        return ""

    def _step(
        self,
        name: str,
        work: Callable[[], Result],
        require: Callable[[Any], None] | None = None,
    ) -> Shown:
        """Run one step: journal, live view, result; errors are written down and raised."""
        from olrunbook.display import show, shown  # noqa: PLC0415

        self._tell_engine(progress=name)
        with self._recorded(name) as outcome, self._watched(name):
            result = work()
            view = shown(result)
            outcome["headline"] = result.headline()
            if name == MAIN_STEP.get(self._place.notebook, name):
                self._headline = outcome["headline"]
            outcome["result"] = result.model_dump(mode="json")
            outcome["result_schema"] = result.schema_name
            if require:
                try:
                    require(result)
                except OlrunbookError:
                    show(view)  # the table is the explanation
                    raise
        return view

    @contextmanager
    def _recorded(self, name: str) -> Iterator[dict[str, Any]]:
        """Write a step's beginning and end to the journal, however it ends."""
        self._journal.add("step", name=name, event="started")
        began = time.monotonic()
        outcome: dict[str, Any] = {"status": "done"}
        try:
            yield outcome
        except BaseException as error:
            kinds = (status for kind, status in STATUS if isinstance(error, kind))
            outcome["status"] = next(kinds, "failed")
            text = str(error) or type(error).__name__
            outcome["cause"] = text.splitlines()[0][:500]
            outcome["finishing"] = list(getattr(error, "finishing", ()))
            self._failures.append(f"{name} {outcome['status']}")
            raise
        finally:
            seconds = round(time.monotonic() - began, 3)
            self._journal.add(
                "step", name=name, event="ended", seconds=seconds, **outcome
            )

    @contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        """Show a step's events as they happen."""
        from olrunbook.display.live import Live  # noqa: PLC0415

        self._live = Live(name)
        try:
            yield
        finally:
            self._live.close()
            self._live = None

    def _emit(self, event: Event) -> None:
        if self._live:
            self._live.add(event)
        if event.kind in ("progress", "phase", "operation", "resource", "artifact"):
            clock = time.monotonic()
            if event.kind != "operation" or clock - self._told > 0.2:  # noqa: PLR2004
                self._told = clock
                self._tell_engine(progress=event.text)

    def _tell_engine(self, **said: str) -> None:
        """Tell the engine something beside the outputs, by pipe."""
        if self._tell:
            try:
                self._tell.write(json.dumps(said) + "\n")
                self._tell.flush()
            except OSError:
                self._tell = None
