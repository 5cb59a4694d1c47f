"""A release: what each notebook of the flow is handed, and what is run at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from olrunbook.archive.seal import build_record
from olrunbook.engine.session import Session
from olrunbook.errors import UsageError
from olrunbook.pipeline import Release
from olrunbook.project.catalog import Project
from olrunbook.record.journal import Typed, read_journal
from olrunbook.record.model import RollbackRecord, RunRecord
from olrunbook.steps.order import Found
from olrunbook.steps.release import parts
from olrunbook.steps.resumption import Parts
from olrunbook.targets import Target

AMI = "ami-0a17000000000000a"
SET = f"server={AMI}"
Make = Callable[..., Release]


@pytest.fixture
def ran() -> list[Session]:
    """Return the sessions that were run; their records say succeeded."""
    return []


@pytest.fixture
def make(
    project: Project, tmp_path: Path, ran: list[Session], monkeypatch: Any
) -> Make:
    """Return a function that makes a release whose notebooks are not executed."""

    def run_notebook(session: Session) -> RunRecord:
        session.heartbeat.stop()
        session.kernel.stop(0)  # it boots from the session's beginning
        session.kernel.clean()
        ran.append(session)
        return record(session.path.stem, session.parameters.get("stage", ""))

    monkeypatch.setattr("olrunbook.pipeline.run_notebook", run_notebook)
    monkeypatch.setattr("olrunbook.pipeline.Probe", MagicMock())
    target = Target(
        name="rehearsal",
        cloud_id="c1",
        account="1",
        region="us-east-1",
        endpoint="",
        access_key="a",
        secret_key="b",
        identity_arn="arn",
        home=tmp_path,
        state=tmp_path,
    )

    def release(**given: Any) -> Release:
        return Release(
            project,
            "tika",
            target,
            **{"to": "QA", "images": "", "variables": ""} | given,
            notebook=lambda name: project.path(f"notebooks/{name}.ipynb"),
            report=Mock(),
            find_url=Mock(),
        )

    return release


def record(notebook: str, stage: str) -> RunRecord:
    """Return the record of a run; its id says which."""
    at = datetime(2026, 11, 28, tzinfo=UTC)
    return RunRecord(
        run_id=f"{notebook} {stage}".strip(),
        notebook=notebook,
        stage=stage,
        images={"server": AMI} if notebook == "image_build" else {},
        started_at=at,
        ended_at=at,
        status="succeeded",
        exit_code=0,
    )


def handed(ran: list[Session]) -> list[dict[str, Any]]:
    """Return what each notebook was handed, but for app and target."""
    every = ("app", "target")
    return [
        {"": session.path.stem}
        | {k: v for k, v in session.parameters.items() if k not in every}
        for session in ran
    ]


def test_each_notebook_is_handed_what_an_earlier_one_gave(
    make: Make, ran: list[Session]
) -> None:
    """Build, then each stage: the image set to a deploy, the deploy to its rollout."""
    made = make(variables="a=b")
    made.run()
    assert handed(ran) == [
        {"": "image_test"},
        {"": "image_build", "variables": "a=b"},
        {"": "deploy", "images": SET, "stage": "CI"},
        {"": "rollout", "deploy_run": "deploy CI", "stage": "CI"},
        {"": "deploy", "images": SET, "stage": "QA"},
        {"": "rollout", "deploy_run": "deploy QA", "stage": "QA"},
        {"": "release", "release": made.place.run_id},
    ]
    assert all(session.parameters["app"] == "tika" for session in ran)
    lines = list(read_journal(made.place.folder))
    seen = parts(made.place.run_id, lines)
    assert (seen.stages, seen.images) == (["CI", "QA"], {"server": AMI})
    asked = {"app": "tika", "to": "QA", "images": "", "variables": "a=b"}
    assert lines[0]["parameters"] == asked


def test_what_was_overridden_stands_in_the_releases_record(make: Make) -> None:
    """Also once the notebook of the release itself was run."""
    made = make(typed=Typed(overrides={"size": "a sale"}))
    made.run()
    assert build_record(made.place, {}).overrides == {"size": "a sale"}


def test_an_image_set_that_is_given_is_not_built(
    make: Make, ran: list[Session]
) -> None:
    """With --images the flow begins at the first stage."""
    made = make(images=SET, to="CI")
    made.run()
    assert handed(ran)[:-1] == [
        {"": "deploy", "images": SET, "stage": "CI"},
        {"": "rollout", "deploy_run": "deploy CI", "stage": "CI"},
    ]
    assert next(iter(read_journal(made.place.folder)))["images"] == {"server": AMI}


def test_what_was_kept_hands_on_as_well(make: Make, ran: list[Session]) -> None:
    """A release that is taken up runs the rest; it is handed what was done then."""
    first = make(to="CI")
    done = [("image_test", ""), ("image_build", ""), ("deploy", "CI")]
    kept = {key: Found(first.place, record(*key)) for key in done}
    made = make(to="CI", parts=Parts(done=kept))
    made.run()
    assert handed(ran)[:-1] == [
        {"": "rollout", "deploy_run": "deploy CI", "stage": "CI"}
    ]
    found = [e for e in read_journal(made.place.folder) if e["kind"] == "part"]
    assert [entry["status"] for entry in found] == ["kept"] * 3 + ["succeeded"]


def test_what_cannot_be_released_is_said_before_anything_is_made(
    make: Make, project: Project
) -> None:
    """A wrong stage is refused, and there is no directory."""
    with pytest.raises(UsageError, match="Nowhere"):
        make(to="Nowhere")
    assert not (project.outputs / "rehearsal" / "tika" / "release").exists()


def test_a_rollback_is_one_stage_that_goes_back(
    make: Make, ran: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deploy with the last good set, then its rollout; the record says from which."""
    back = RollbackRecord(left={"server": "ami-1"}, run_id="r", lines=["A rollback."])
    whole = record

    def went_back(notebook: str, stage: str) -> RunRecord:
        given = {"images": {"server": AMI}, "rollback": back}
        return whole(notebook, stage).model_copy(update=given)

    monkeypatch.setattr("tests.test_release.record", went_back)
    made = make(images="last-good", to="QA")
    made.run()
    assert handed(ran)[:-1] == [
        {"": "deploy", "images": "last-good", "stage": "QA"},
        {"": "rollout", "deploy_run": "deploy QA", "stage": "QA"},
    ]
    seen = parts(made.place.run_id, list(read_journal(made.place.folder)))
    assert seen.rollback == ["A rollback."]
    assert seen.headline() == f"QA went back to {AMI}"
    built = build_record(made.place, {})
    assert (built.images, built.rollback) == ({"server": AMI}, back)
