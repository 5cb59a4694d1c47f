"""Take up a run that did not succeed: what is kept, what must be the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from olrunbook.archive.place import list_runs, read_record
from olrunbook.cli.resume import resume
from olrunbook.errors import RefusedError, StepError, UsageError
from olrunbook.project.catalog import Project
from olrunbook.record.files import sha256_file, short
from olrunbook.record.journal import Journal
from olrunbook.redact import Redactor
from olrunbook.run.recorder import KeptSteps, Recorder
from olrunbook.steps.images.build import BUILD, VALIDATE
from olrunbook.steps.images.results import BuiltImage, ImageBuildResult, Phase
from olrunbook.steps.order import Found
from olrunbook.steps.resumption import (
    changed_since,
    differences,
    parts_of,
    require_resumable,
)
from tests.archives import sealed_run

# A cell that writes what the kernel's recorder would: one step after the other.
STEPS = """
import os, json, datetime
from olrunbook.run.recorder import KeptSteps
kept = KeptSteps(os.environ.pop("OLRUNBOOK_RESUMES", ""))
def note(kind, **more):
    at = datetime.datetime.now(datetime.UTC).isoformat()
    with open(os.environ["OLRUNBOOK_RUN_DIR"] + "/journal.jsonl", "a") as f:
        f.write(json.dumps({"at": at, "kind": kind, **more}) + "\\n")
print("takes up", kept.run_id or "nothing")
"""
HEAD = '# parameters\nfrom olrunbook import App\napp: App = "tika"\nword: str = "x"\n'


def built() -> dict[str, Any]:
    """Return the stored result of a build, as a record holds it."""
    at = datetime(2026, 11, 24, 15, 9, 44, tzinfo=UTC)
    image = BuiltImage(
        node_type="server",
        ami="ami-1",
        name="tika-server-1",
        base_ami="ami-0",
        base_name="debian-12",
        tags={"app": "tika"},
        phases=[Phase(name="create", seconds=3.5)],
        operations=[],
        artifacts=[],
        packages=200,
        packages_file="logs/packages.txt",
        seconds=90.0,
        by_hand="packer build .",
    )
    return ImageBuildResult(
        images={"server": "ami-1"},
        builds=[image],
        commit="a1b2c3d",
        dirty=[],
        packer="1.15.4",
        started_at=at,
        ended_at=at + timedelta(seconds=90),
    ).model_dump(mode="json")


@pytest.fixture
def archive(project: Project, redactor: Redactor) -> Callable[..., Found]:
    """Return a function that puts a sealed run into the archive."""

    def make(notebook: str, stage: str = "", **given: Any) -> Found:
        begin = {"images": given.pop("images", {})}
        return sealed_run(project, redactor, notebook, stage, begin=begin, **given)

    return make


CUT = {"status": "interrupted", "cause": "SIGTERM after 3 s"}


def test_what_was_built_is_kept_and_what_only_reads_runs_again(
    archive: Callable[..., Found], redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored result is returned and the step is `kept`; a preflight really runs."""
    step = {
        "name": "build",
        "status": "done",
        "seconds": 90.0,
        "headline": "server=ami-1",
        "result": built(),
        "result_schema": ImageBuildResult.schema_name,
    }
    reads = {"name": "validate", "status": "done", "seconds": 1.0}
    old = archive("image_build", steps=[reads, step], end=CUT)
    monkeypatch.setenv("OLRUNBOOK_RESUMES", str(old.place.folder))
    new = archive("image_build", end=CUT)
    journal = Journal(new.place.folder, redactor)
    recorder = Recorder(journal, headless=True)
    shown = recorder.step(BUILD, lambda: pytest.fail("it was built once more"))
    assert shown.images == ImageBuildResult.model_validate(built()).images
    with pytest.raises(ZeroDivisionError):
        recorder.step(VALIDATE, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    lines = (new.place.folder / "journal.jsonl").read_text().splitlines()
    ended = [json.loads(line) for line in lines if '"ended"' in line]
    assert [(e["name"], e["status"]) for e in ended[-2:]] == [
        ("build", "kept"),
        ("validate", "failed"),
    ]
    assert old.record.run_id in ended[-2]["cause"]


def test_a_step_that_did_not_end_well_is_not_kept(
    archive: Callable[..., Found],
) -> None:
    """Only a finished build counts; an interrupted one runs again."""
    step = {"name": "build", "status": "interrupted", "seconds": 9.0}
    old = archive("image_build", steps=[step], end=CUT)
    assert KeptSteps(str(old.place.folder)).result(BUILD) is None


def test_a_stored_result_of_another_form_is_no_result(
    archive: Callable[..., Found],
) -> None:
    """A result that this version cannot read is an error, not a fresh start."""
    step = {
        "name": "build",
        "status": "done",
        "result": {"something": "else"},
        "result_schema": ImageBuildResult.schema_name,
    }
    old = archive("image_build", steps=[step], end=CUT)
    with pytest.raises(StepError, match="stored result of build"):
        KeptSteps(str(old.place.folder)).result(BUILD)


def test_what_differs_is_named(
    project: Project, archive: Callable[..., Found], make_notebook: Callable[..., Path]
) -> None:
    """A changed source, another cloud, another parameter: each in words."""
    path = make_notebook(HEAD)
    same = archive(
        "sample",
        source_sha256=sha256_file(path),
        cloud_id="cloud-1",
        parameters={"app": "tika", "word": "x"},
        end=CUT,
    )
    assert differences(same.record, path, cloud_id="cloud-1") == []
    path.write_text(path.read_text() + " ")
    given = {"app": "tika", "word": "y"}
    found = differences(same.record, path, cloud_id="cloud-2", parameters=given)
    text = "; ".join(found)
    assert "sample.ipynb has changed" in text
    assert "the cloud cloud-1 is gone" in text
    assert "parameter word was 'x' and is 'y'" in text


def test_a_rollout_is_not_taken_up_once_its_stage_was_changed(
    project: Project, archive: Callable[..., Found], make_notebook: Callable[..., Path]
) -> None:
    """It would watch the later deploy, as if that were its own."""
    path = make_notebook(HEAD, name="rollout")
    given = {"source_sha256": sha256_file(path), "parameters": {"app": "tika"}}
    watch = {"name": "rollout", "status": "interrupted"}
    old = archive("rollout", "CI", steps=[watch], end=CUT, **given)
    words = [old.record.run_id, "--notebook", str(path)]
    archive("deploy", "CI", steps=UP)
    with pytest.raises(RefusedError, match="CI was changed since by deploy"):
        call(*words)


UP = [{"name": "up", "status": "done", "seconds": 1.0}]


def test_what_was_taken_up_and_succeeded_is_over(archive: Callable[..., Found]) -> None:
    """Its work is done, by the run that is named; to do it twice helps nobody."""
    first = archive("deploy", "CI", end=CUT)
    second = archive("deploy", "CI", resumes=first.record.run_id, end=CUT)
    require_resumable(first)
    third = archive("deploy", "CI", resumes=second.record.run_id)
    for found in (first, second):
        with pytest.raises(RefusedError, match="which succeeded") as caught:
            require_resumable(found)
        assert short(third.record.run_id) in str(caught.value)


def test_a_stage_that_was_changed_since_is_named(archive: Callable[..., Found]) -> None:
    """What a later run did there counts; a run that takes this one up is its own."""
    old = {"server": "ami-00000000000000001"}
    new = {"server": "ami-00000000000000002"}
    first = archive("deploy", "CI", images=old, steps=UP, end=CUT)
    archive("deploy", "CI", resumes=first.record.run_id, steps=UP, end=CUT)
    archive("deploy", "QA", images=new, steps=UP)
    archive("deploy", "CI", images=new)
    assert changed_since(first) == []
    later = archive("deploy", "CI", images=new, steps=UP)
    (text,) = changed_since(first)
    assert text.startswith(
        f"CI was changed since by deploy {short(later.place.run_id)}"
    )
    assert "server=ami-00000000000000002" in text


def test_a_good_run_is_not_resumed(archive: Callable[..., Found]) -> None:
    """The refusal says what to type: `run deploy` alone takes CI and the newest set."""
    given = {"app": "tika", "stage": "QA", "images": "server=ami-1", "other": ""}
    release = {"app": "tika", "to": "QA", "images": ""}
    for notebook, values, words in (
        (
            "deploy",
            given,
            "run deploy -p app tika -p stage QA -p images server=ami-1",
        ),
        ("release", release, "release tika --to=QA"),
    ):
        with pytest.raises(RefusedError, match="succeeded") as caught:
            require_resumable(archive(notebook, parameters=values, app="tika"))
        assert caught.value.hint == f"Run it again: olrunbook {words}"


def test_a_release_takes_up_its_first_step_that_is_not_done(
    project: Project, archive: Callable[..., Found]
) -> None:
    """Its done runs are kept, through a second resume too.

    The one that was cut off is known though a killed release never wrote it down.
    """
    release = archive("release", end=CUT)
    name = release.record.run_id
    build = archive("image_build", release=name, images={"server": "ami-1"})
    cut = archive("deploy", "CI", release=name, end=CUT)
    archive("deploy", "CI", release="another", end=CUT)
    found = parts_of(project.outputs, release)
    assert list(found.done) == [("image_build", "")]
    assert found.cut[("deploy", "CI")].record.run_id == cut.record.run_id
    assert found.images == {"server": "ami-1"}
    where = str(build.place.folder.relative_to(project.outputs))
    kept = {"notebook": "image_build", "stage": "", "status": "kept", "seconds": 0.0}
    part = {**kept, "run_id": build.record.run_id, "record": where}
    again = parts_of(project.outputs, archive("release", parts=[part], end=CUT))
    assert list(again.done) == [("image_build", "")]


@pytest.fixture
def own(project: Project, make_notebook: Callable[..., Path]) -> Path:
    """Return a notebook of the project that fails until a file is there."""
    folder = project.root / "notebooks"
    folder.mkdir()
    source = f"if not os.path.exists({str(project.root / 'go')!r}): raise OSError(1)"
    path = make_notebook(HEAD, STEPS, source, 'note("conclude", headline="fine")')
    return path.rename(folder / "image_test.ipynb")


def call(*words: str) -> Any:
    """Call `olrunbook resume` in this process; errors are raised."""
    return CliRunner().invoke(resume, list(words), catch_exceptions=False)


def test_resume_makes_a_new_run_that_names_the_old_one(
    project: Project, own: Path
) -> None:
    """The old record is not touched; the new one has its parameters and names it."""
    from olrunbook.engine.session import Session, run_notebook  # noqa: PLC0415

    old = run_notebook(Session(project, own, {"word": "7e12345"}))
    assert old.status == "failed"
    place = next(list_runs(project.outputs))
    before = place.record.read_bytes()
    (project.root / "go").touch()
    done = CliRunner().invoke(resume, [old.run_id, "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    new = read_record(next(list_runs(project.outputs)))
    assert new is not None
    assert (new.status, new.resumes) == ("succeeded", old.run_id)
    assert new.parameters == old.parameters
    assert place.record.read_bytes() == before


def test_a_run_made_by_a_path_is_resumed_by_the_path(
    project: Project, own: Path
) -> None:
    """Its name alone leads to no notebook; the refusal says what to type."""
    from olrunbook.engine.session import Session, run_notebook  # noqa: PLC0415

    path = own.rename(project.root / "elsewhere.ipynb")
    old = run_notebook(Session(project, path, {}))
    (project.root / "go").touch()
    with pytest.raises(UsageError, match="no notebook 'elsewhere'") as refused:
        call(old.run_id)
    assert refused.value.hint.endswith("--notebook PATH")
    words = [old.run_id, "--json", "--notebook", str(path)]
    done = CliRunner().invoke(resume, words, standalone_mode=False)
    assert done.exception is None, done.output
    new = read_record(next(list_runs(project.outputs)))
    assert new is not None
    assert (new.status, new.resumes) == ("succeeded", old.run_id)


@pytest.mark.parametrize("damage", ["[]", "\x00\xff", None])
def test_a_record_that_cannot_be_read_is_said_to_be_so(
    archive: Callable[..., Found], damage: str | None
) -> None:
    """It is not told that the run goes on; `verify` says more."""
    place = archive("image_build", end=CUT).place
    place.record.unlink()
    if damage is None:
        place.record.mkdir()
    else:
        place.record.write_text(damage, encoding="latin-1")
    with pytest.raises(RefusedError, match=r"run\.json cannot be read") as refused:
        call(place.run_id)
    assert "olrunbook verify" in refused.value.hint


def test_resume_refuses_what_differs_unless_a_reason_is_given(
    project: Project, own: Path
) -> None:
    """A changed notebook is refused by name; with a reason it runs, and says so."""
    from olrunbook.engine.session import Session, run_notebook  # noqa: PLC0415

    old = run_notebook(Session(project, own, {}))
    (project.root / "go").touch()
    own.write_text(own.read_text() + "\n")
    with pytest.raises(RefusedError, match=r"image_test\.ipynb has changed"):
        call(old.run_id)
    with pytest.raises(UsageError, match="needs --reason"):
        call(old.run_id, "--anyway")
    assert len(list(list_runs(project.outputs))) == 1
    words = [old.run_id, "--anyway", "--reason", "a typo was mended"]
    CliRunner().invoke(resume, words, standalone_mode=False)
    new = read_record(next(list_runs(project.outputs)))
    assert new is not None
    assert new.status == "succeeded"
    assert "a typo was mended" in new.warnings[0]
