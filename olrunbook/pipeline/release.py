"""A release: the notebooks in their order, one image set through the stages.

Test and bake the image, then for each stage deploy and roll out. It stops at the first
run that did not succeed, owns the availability probe from before each update to the end
of its rollout, and has a record of its own that names its runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olrunbook.archive.place import RunPlace, new_place
from olrunbook.archive.seal import seal
from olrunbook.engine.session import Session, run_notebook
from olrunbook.pipeline.reporter import Reporter
from olrunbook.project.catalog import Project
from olrunbook.project.imageset import format_images
from olrunbook.record.journal import Journal
from olrunbook.record.model import RunRecord
from olrunbook.record.provenance import opening
from olrunbook.redact import Redactor, new_key
from olrunbook.run.lock import HELD_VARIABLE
from olrunbook.steps.resumption import Found, Parts
from olrunbook.steps.rollout.probe import SAMPLES_VARIABLE, Probe
from olrunbook.targets import Target

__all__ = ["Release"]


@dataclass(slots=True)
class Release:
    """One release.

    Args:
        project: The project in use.
        app: The app.
        target: Where it is released.
        stages: The stages, in order.
        images: The image set; empty: it is tested and built first.
        variables: Packer variables for the build, `k=v;…`.
        notebook: Returns the path of a notebook.
        report: Whoever shows it.
        find_url: Returns where a stage's load balancer answers; empty: nowhere yet.
        resumes: Id of the release that this one takes up again.
        parts: Its runs: those that are kept, and those that are taken up.
        warnings: Sentences that the record keeps from the start.

    """

    project: Project
    app: str
    target: Target
    stages: list[str]
    images: dict[str, str]
    variables: str
    notebook: Callable[[str], Path]
    report: Reporter
    find_url: Callable[[str], str]
    resumes: str = ""
    parts: Parts = field(default_factory=Parts)
    warnings: list[str] = field(default_factory=list)
    place: RunPlace = field(init=False)
    journal: Journal = field(init=False)
    last: RunRecord | None = None

    def __post_init__(self) -> None:
        """Make the release's own directory and open its journal."""
        self.place = new_place(
            self.project.outputs,
            target=self.target.name,
            app=self.app,
            notebook="release",
            stage="",
        )
        secrets = self.target.secret_values()
        self.journal = Journal(self.place.folder, Redactor(new_key(), secrets))

    def run(self) -> RunRecord:
        """Run it to its end or to the first run that did not succeed.

        Returns:
            Its record; its `parts` name the runs.

        """
        self.journal.add(
            "release",
            run_id=self.place.run_id,
            stages=self.stages,
            images=self.images,
            parameters={
                "app": self.app,
                "to": self.stages[-1],
                "images": format_images(self.images),
                "variables": self.variables,
            },
            account=self.target.account,
            cloud_id=self.target.cloud_id,
            identity=self.target.identity_arn,
            stand_ins=self.target.stand_ins,
            tools=self.target.tools,
            resumes=self.resumes,
            **opening(self.project.root),
        )
        for text in self.warnings:
            self.journal.add("warning", text=text)
        try:
            if self._image() and all(self._stage(stage) for stage in self.stages):
                return self._close()
        except KeyboardInterrupt:
            return self._interrupted("SIGINT between two runs", 130)
        assert self.last is not None
        if self.last.status == "interrupted":
            step = f"{self.last.notebook} {self.last.stage}".strip()
            cause = f"{step}: {self.last.cause}"
            return self._interrupted(cause, self.last.exit_code)
        return self._close()

    def _image(self) -> bool:
        if self.images:
            return True
        if not self._part("image_test", ""):
            return False
        if not self._part("image_build", "", variables=self.variables):
            return False
        assert self.last is not None
        self.images = dict(self.last.images)
        self.journal.add("release", images=self.images, stages=self.stages)
        return True

    def _stage(self, stage: str) -> bool:
        steps = ("deploy", "rollout")
        if all((step, stage) in self.parts.done for step in steps):
            return all(self._part(step, stage) for step in steps)
        with self._probed(stage) as samples:
            images = format_images(self.images)
            if not self._part("deploy", stage, images=images):
                return False
            assert self.last is not None
            env = {SAMPLES_VARIABLE: str(samples)}
            return self._part("rollout", stage, env=env, deploy_run=self.last.run_id)

    @contextmanager
    def _probed(self, stage: str) -> Iterator[Path]:
        """Ask the stage through its load balancer from before the update to the end."""
        samples = self.place.folder / f"probe-{stage}.jsonl"
        spec = self.project.catalog.app(self.app).probe
        probe = Probe(lambda: self.find_url(stage), spec, samples)
        probe.start()
        try:
            yield samples
        finally:
            probe.stop()

    def _part(
        self,
        notebook: str,
        stage: str,
        *,
        env: Mapping[str, str] | None = None,
        **parameters: str,
    ) -> bool:
        """Run one notebook as a run of its own and note it in our journal."""
        if found := self.parts.done.get((notebook, stage)):
            self._keep(found)
            return True
        cut = self.parts.cut.get((notebook, stage))
        values: dict[str, Any] = {"app": self.app, "target": self.target.name}
        values |= {k: v for k, v in parameters.items() if v}
        if stage:
            values["stage"] = stage
        self.report.started(notebook, stage)
        began = time.monotonic()
        session = Session(
            self.project,
            self.notebook(notebook),
            values,
            release=self.place.run_id,
            resumes=cut.place if cut else None,
            env={**(env or {}), HELD_VARIABLE: self.app},
            on_progress=self.report.progress,
        )
        record = self.last = run_notebook(session)
        seconds = round(time.monotonic() - began, 1)
        self.journal.add(
            "part",
            run_id=record.run_id,
            notebook=notebook,
            stage=stage,
            status=record.status,
            cause=record.cause,
            headline=record.headline,
            seconds=seconds,
            record=str(session.place.folder.relative_to(self.project.outputs)),
        )
        self.report.ended(notebook, stage, record, seconds)
        return record.status == "succeeded"

    def _keep(self, found: Found) -> None:
        """Note a run of the release that is taken up: done then, not run again."""
        record = self.last = found.record
        self.journal.add(
            "part",
            run_id=record.run_id,
            notebook=record.notebook,
            stage=record.stage,
            status="kept",
            cause="",
            headline=record.headline,
            seconds=0.0,
            record=str(found.place.folder.relative_to(self.project.outputs)),
        )
        self.report.kept(record.notebook, record.stage, record)

    def _close(self) -> RunRecord:
        """Execute the release notebook over what happened; it seals our record."""
        session = Session(
            self.project,
            self.notebook("release"),
            {
                "app": self.app,
                "release": self.place.run_id,
                "target": self.target.name,
            },
            place=self.place,
            on_progress=lambda text: None,
        )
        return run_notebook(session)

    def _interrupted(self, cause: str, code: int) -> RunRecord:
        finishing = self.last.finishing if self.last else []
        self.journal.add(
            "end",
            status="interrupted",
            cause=cause,
            exit_code=code,
            finishing=finishing,
        )
        return seal(self.place)
