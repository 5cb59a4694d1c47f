"""A release: the notebooks in their order, one image set through the stages.

Test and bake the image, then for each stage deploy and roll out. It stops at the first
run that did not succeed, owns the availability probe from before each update to the end
of its rollout, and has a record of its own that names its runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from olrunbook.archive.place import RunPlace, new_place
from olrunbook.archive.seal import seal
from olrunbook.engine.session import Session, run_notebook
from olrunbook.engine.stopping import StoppedError, raising, unbroken
from olrunbook.errors import UsageError
from olrunbook.project.catalog import Project
from olrunbook.project.imageset import LAST_GOOD, format_images, parse_images
from olrunbook.record.journal import Journal, Typed
from olrunbook.record.model import RunRecord
from olrunbook.record.provenance import opening
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.flow import FLOW, RELEASE, Row
from olrunbook.steps.lock import HELD_VARIABLE
from olrunbook.steps.order import Found
from olrunbook.steps.results import DeployResult
from olrunbook.steps.resumption import Parts
from olrunbook.steps.rollout.probe import SAMPLES_VARIABLE, Probe
from olrunbook.targets import Target


class Reporter(Protocol):
    """Whoever shows a release as it happens."""

    def kept(self, step: str, stage: str, record: RunRecord) -> None:
        """Tell that a run of the release that is taken up is kept."""

    def started(self, step: str, stage: str) -> None:
        """Tell that a run began."""

    def progress(self, text: str) -> None:
        """Tell the news of the run that goes on."""

    def ended(self, record: RunRecord, seconds: float) -> None:
        """Tell how a run ended."""


@dataclass(slots=True)
class Release:
    """One release: its parameters are checked and its directory is made.

    Raises:
        UsageError: A parameter is wrong.

    """

    project: Project
    app: str
    target: Target  # where it is released
    notebook: Callable[[str], Path]  # returns the path of a notebook
    report: Reporter
    # returns where a stage's load balancer answers; empty: nowhere yet
    find_url: Callable[[str], str]
    to: str = ""  # the last stage; empty: all
    # the image set; empty: it is tested and built first; `last-good`: one stage goes
    # back
    images: str = ""
    variables: str = ""  # Packer variables for the build, `k=v;…`
    typed: Typed = field(default_factory=Typed)
    resumes: str = ""  # id of the release that this one takes up again
    # its runs: those that are kept, and those that are taken up
    parts: Parts = field(default_factory=Parts)
    warnings: list[str] = field(default_factory=list)  # kept from the start
    stages: list[str] = field(init=False)
    given: dict[str, str] = field(init=False)
    handed: dict[str, str] = field(init=False)
    place: RunPlace = field(init=False)
    journal: Journal = field(init=False)
    last: RunRecord | None = None

    def __post_init__(self) -> None:
        """Check the parameters, make the release's own directory, open its journal."""
        catalog = self.project.catalog
        spec = catalog.app(self.app)
        if spec.stack is None:
            where = self.project.catalog_file
            msg = f"{self.app} has no stack in {where}: there is nothing to release"
            raise UsageError(msg)
        order = catalog.stages_of(self.app)
        last = catalog.stage(self.to, self.app) if self.to else order[-1]
        self.stages, self.given = order[: order.index(last) + 1], {}
        if self.rollback:
            self.stages = [last]
        elif self.images:
            self.given = parse_images(self.images, spec.node_types)
        images = LAST_GOOD if self.rollback else format_images(self.given)
        self.handed = {"images": images, "variables": self.variables}
        filed = {"target": self.target.name, "app": self.app, "stage": ""}
        self.place = new_place(self.project.outputs, notebook=RELEASE, **filed)
        secrets = self.target.secret_values()
        self.journal = Journal(self.place.folder, Redactor(new_key(), secrets))

    @property
    def rollback(self) -> bool:
        """Whether one stage goes back to the set that served well before."""
        return self.images == LAST_GOOD

    def run(self) -> RunRecord:
        """Run it to its end or to the first run that did not succeed.

        Returns:
            Its record; its `parts` name the runs.

        """
        told = {"gates": self.typed.gates, "approve_all": self.typed.approve_all}
        told = {name: value for name, value in told.items() if value}
        self.journal.add(
            "release",
            run_id=self.place.run_id,
            stages=self.stages,
            images=self.given,
            overrides=dict(self.typed.overrides),
            parameters={"app": self.app, "to": self.stages[-1], **self.handed, **told},
            account=self.target.account,
            cloud_id=self.target.cloud_id,
            identity=self.target.identity_arn,
            stand_ins=self.target.stand_ins
            + self.project.catalog.app(self.app).stand_ins,
            tools=self.target.tools,
            resumes=self.resumes,
            **opening(self.project.root, self.project.outputs),
        )
        for text in self.warnings:
            self.journal.add("warning", text=text)
        try:
            with raising():
                if all(self._stage(stage) for stage in ("", *self.stages)):
                    return self._close()
        except StoppedError as stopped:
            cause = f"{stopped} between two runs"
            return self._interrupted(cause, stopped.exit_code)
        assert self.last is not None
        if self.last.status == "interrupted":
            step = f"{self.last.notebook} {self.last.stage}".strip()
            cause = f"{step}: {self.last.cause}"
            return self._interrupted(cause, self.last.exit_code)
        return self._close()

    def _stage(self, stage: str) -> bool:
        """Run the notebooks of a stage; of none: those that make the image set."""
        if not stage and (self.given or self.rollback):
            return True
        rows = [row for row in FLOW if row.each_stage == bool(stage)]
        if not stage or all((row.notebook, stage) in self.parts.done for row in rows):
            return all(self._part(row, stage, {}) for row in rows)
        samples = self.place.folder / f"probe-{stage}.jsonl"
        spec = self.project.catalog.app(self.app).probe
        # The stage is asked from before the update to the end of its rollout.
        with Probe(lambda: self.find_url(stage), spec, samples):
            env = {SAMPLES_VARIABLE: str(samples)}
            return all(self._part(row, stage, env) for row in rows)

    def _part(self, row: Row, stage: str, env: Mapping[str, str]) -> bool:
        """Run one notebook, or keep what was done; note it, and what it hands on."""
        key, began = (row.notebook, stage), time.monotonic()
        kept = self.parts.done.get(key)
        found = kept or self._run(row, stage, env)
        record = self.last = found.record
        seconds = 0.0 if kept else round(time.monotonic() - began, 1)
        self.journal.add(
            "part",
            run_id=record.run_id,
            notebook=row.notebook,
            stage=stage,
            status="kept" if kept else record.status,
            cause=record.cause,
            headline=record.headline,
            seconds=seconds,
            record=str(found.place.folder.relative_to(self.project.outputs)),
            relied=(record.result(DeployResult.schema_name) or {}).get("relied", ""),
        )
        if back := record.rollback:
            told = {"images": record.images, "rollback": back.model_dump()}
            self.journal.add("release", **told)
        if kept:
            self.report.kept(*key, record)
        else:
            self.report.ended(record, seconds)
        if record.status != "succeeded":
            return False
        if row.gives == "images":
            self.handed["images"] = format_images(record.images)
            self.journal.add("release", images=record.images, stages=self.stages)
        elif row.gives:
            self.handed[row.gives] = record.run_id
        return True

    def _run(self, row: Row, stage: str, env: Mapping[str, str]) -> Found:
        """Run one notebook as a run of its own."""
        cut = self.parts.cut.get((row.notebook, stage))
        values: dict[str, Any] = {"app": self.app, "target": self.target.name}
        handed = {row.takes: self.handed.get(row.takes), "stage": stage}
        values |= {name: value for name, value in handed.items() if value}
        self.report.started(row.notebook, stage)
        with unbroken():
            session = Session(
                self.project,
                self.notebook(row.notebook),
                values,
                release=self.place.run_id,
                resumes=cut.place if cut else None,
                typed=self.typed,
                env={**env, HELD_VARIABLE: self.app},
                on_progress=self.report.progress,
            )
            record = run_notebook(session)
        return Found(session.place, record)

    def _close(self) -> RunRecord:
        """Execute the release notebook over what happened; it seals our record."""
        values = {"app": self.app, "release": self.place.run_id}
        values["target"] = self.target.name
        notebook, typed = self.notebook(RELEASE), self.typed
        with unbroken():
            session = Session(
                self.project, notebook, values, place=self.place, typed=typed
            )
            return run_notebook(session)

    def _interrupted(self, cause: str, code: int) -> RunRecord:
        end = {"status": "interrupted", "cause": cause, "exit_code": code}
        end["finishing"] = self.last.finishing if self.last else []
        self.journal.add("end", **end)
        return seal(self.place)
