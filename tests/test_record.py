"""The record: whole files, names that answer, and nothing called done that was not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.archive import chain
from olrunbook.archive.place import list_runs, new_place, read_record
from olrunbook.archive.seal import build_record, seal
from olrunbook.errors import UsageError
from olrunbook.record.files import new_run_id, sha256_file, write_atomic
from olrunbook.record.journal import Journal, read_journal
from olrunbook.record.provenance import contents, git_state, operator


@pytest.fixture
def place(tmp_path):
    """Return the directory of a new run."""
    return new_place(
        tmp_path / "outputs",
        target="rehearsal",
        app="tika",
        notebook="deploy",
        stage="CI",
    )


def write_notebook(place, *sources: str, statuses: list[str] | None = None) -> None:
    """Write a minimal executed notebook."""
    cells = [
        {
            "cell_type": "code",
            "source": source,
            "metadata": {"olrunbook": {"status": (statuses or ["done"] * 9)[n]}},
        }
        for n, source in enumerate(sources)
    ]
    (place.folder / "notebook.ipynb").write_text(json.dumps({"cells": cells}))


@given(st.integers(0, 2**47))
def test_run_ids_are_uuid7_and_sort_by_time(milliseconds: int) -> None:
    """An id is a UUID version 7 whose order is the order in time."""
    first = new_run_id(milliseconds * 1_000_000)
    later = new_run_id((milliseconds + 1) * 1_000_000)
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-.{12}", first
    )
    assert first < later


def test_a_reader_never_sees_half_a_file(tmp_path) -> None:
    """While a file is rewritten over and over, every read finds a whole one."""
    path = tmp_path / "run.json"
    write_atomic(path, json.dumps(["x" * 50_000]))
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            write_atomic(path, json.dumps(["y" * 50_000]))

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(300):
            json.loads(path.read_text())
    finally:
        stop.set()
        thread.join()
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    """When the disk is full the file before is untouched and no remains are left."""
    path = tmp_path / "run.json"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_a_journal_line_that_was_cut_off_is_left_out(place, redactor) -> None:
    """A crash in the middle of a line loses that line and no other."""
    journal = Journal(place.folder, redactor)
    journal.add("run", run_id="x")
    with journal.path.open("a") as file:
        file.write('{"at": "2026-')
    assert [entry["kind"] for entry in read_journal(place.folder)] == ["run"]


def test_the_journal_is_masked(place, redactor) -> None:
    """A secret is masked before the line is written."""
    redactor.learn("s3cret-value")
    Journal(place.folder, redactor).add("run", parameters={"token": "s3cret-value"})
    assert b"s3cret" not in (place.folder / "journal.jsonl").read_bytes()


def test_a_whole_run_succeeded(place, redactor) -> None:
    """Steps done, concluded, ended: succeeded, with results, files and their hashes."""
    journal = Journal(place.folder, redactor)
    journal.add("run", stage="CI", parameters={"app": "tika"}, commit="abc")
    journal.add("begin", images={"server": "ami-1"}, cloud_id="c1")
    journal.add("step", name="up", event="started")
    journal.add(
        "step",
        name="up",
        event="ended",
        status="done",
        seconds=1.5,
        headline="17 created",
        result={"n": 1},
        result_schema="olrunbook/deploy/1",
    )
    journal.add("conclude", headline="17 created")
    journal.add("end", status="succeeded", cause="", masked=3)
    write_notebook(place, "run.up(plan)", "run.conclude()")
    record = seal(place)
    assert (record.status, record.exit_code, record.headline) == (
        "succeeded",
        0,
        "17 created",
    )
    assert record.result("olrunbook/deploy/1") == {"n": 1}
    assert record.images == {"server": "ami-1"}
    assert record.masked == 3
    digest = sha256_file(place.folder / "journal.jsonl")
    assert record.files["journal.jsonl"].sha256 == digest
    names = {"journal.jsonl", "notebook.html", "notebook.ipynb"}
    assert set(record.files) == names
    assert read_record(place) == record


def test_an_ending_before_conclude_is_a_failure(place, redactor) -> None:
    """A notebook that stops before its last line did not succeed, whatever it said."""
    journal = Journal(place.folder, redactor)
    journal.add("run", stage="CI")
    journal.add("begin")
    journal.add("end", status="succeeded", cause="", masked=0)
    record = build_record(place)
    assert record.status == "failed"
    assert "ended early" in record.cause
    assert record.exit_code == 1


def test_a_notebook_that_knows_nothing_of_us_succeeds_at_its_end(
    place, redactor
) -> None:
    """It did not call `begin`: it need not conclude; its end must have been seen."""
    journal = Journal(place.folder, redactor)
    journal.add("run")
    assert build_record(place).status == "failed"
    journal.add("end", status="succeeded", cause="", masked=0)
    record = build_record(place)
    assert (record.status, record.exit_code) == ("succeeded", 0)


def test_a_journal_without_an_end_is_not_a_success(place, redactor) -> None:
    """A run that was killed says so by what its record lacks."""
    journal = Journal(place.folder, redactor)
    journal.add("run", stage="CI")
    journal.add("step", name="up", event="started")
    record = build_record(place)
    assert record.status == "failed"
    assert record.steps[0].status == "interrupted"


def test_what_did_not_run_is_never_called_done(place, redactor) -> None:
    """Steps of cells that were not reached are listed as not-run."""
    journal = Journal(place.folder, redactor)
    journal.add("run", stage="CI")
    journal.add("step", name="preview", event="started")
    journal.add(
        "step",
        name="preview",
        event="ended",
        status="failed",
        seconds=1.0,
        cause="boom",
    )
    journal.add("end", status="failed", cause="boom", masked=0)
    sources = ["run.preview()", "run.up(plan)", "run.conclude()"]
    write_notebook(place, *sources, statuses=["failed", "not-run", "not-run"])
    record = build_record(place)
    assert [(s.name, s.status) for s in record.steps] == [
        ("preview", "failed"),
        ("up", "not-run"),
    ]
    assert record.cells_not_run == 2


def test_an_interrupted_run_names_its_step(place, redactor) -> None:
    """The cause of an interruption says in which step it came."""
    journal = Journal(place.folder, redactor)
    journal.add("run", stage="CI")
    journal.add("step", name="build", event="started")
    journal.add(
        "end", status="interrupted", cause="SIGTERM after 3 s", exit_code=143, masked=0
    )
    record = build_record(place)
    assert record.cause == 'SIGTERM after 3 s (step "build")'
    assert record.exit_code == 143


def test_runs_are_found_newest_first_by_their_names(tmp_path) -> None:
    """The usual questions are answered by directory names alone."""
    outputs = tmp_path / "outputs"
    made = [
        new_place(outputs, target="rehearsal", app=app, notebook=notebook, stage=stage)
        for app, notebook, stage in [
            ("tika", "image_build", ""),
            ("tika", "deploy", "CI"),
            ("tika", "deploy", "QA"),
            ("hello", "deploy", "CI"),
        ]
    ]
    (outputs / "rehearsal" / "tika" / "CI" / "notes").mkdir()
    ids = [place.run_id for place in list_runs(outputs)]
    assert sorted(ids) == sorted(place.run_id for place in made)
    assert ids == sorted(ids, reverse=True)
    rooms = {place.room for place in list_runs(outputs, app="tika")}
    assert rooms == {"image_build", "QA", "CI"}
    assert [p.app for p in list_runs(outputs, room="CI")].count("hello") == 1
    assert list(list_runs(outputs, app="none")) == []


def test_an_archive_that_cannot_be_written_is_a_usage_error(tmp_path) -> None:
    """Nothing starts without a place for its record."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        new_place(
            blocked, target="rehearsal", app="tika", notebook="deploy", stage="CI"
        )


def test_the_checkout_is_described(tmp_path) -> None:
    """Commit and changed files are read; a folder without git has none."""
    assert git_state(tmp_path, tmp_path / "outputs") == ("", ())
    sha, _ = git_state(Path(__file__).parent, tmp_path)
    assert re.fullmatch(r"[0-9a-f]{40}", sha)


def test_changed_files_count_by_their_content(tmp_path) -> None:
    """Tracked or not, whatever is staged; the archive of the runs does not count."""

    def git(*words: str) -> None:
        mail = ("-c", "user.email=a@b", "-c", "user.name=a")
        subprocess.run(["git", "-C", tmp_path, *mail, *words], check=True)

    git("init", "-q")
    tracked, new, outputs = (tmp_path / name for name in ("a.py", "n ü", "outputs"))
    tracked.write_text("one")
    git("add", ".")
    git("commit", "-qm", "one")
    outputs.mkdir()
    seen = [contents(tmp_path, outputs)]
    for path in (tracked, tracked, new, new):
        path.write_text(f"{len(seen)}")
        seen.append(contents(tmp_path, outputs))
    new.chmod(0o700)
    seen.append(contents(tmp_path, outputs))
    assert len({*seen}) == len(seen) == 6
    (outputs / "run.json").write_text("{}")
    assert git_state(tmp_path, outputs)[1] == ('"n \\303\\274"', "a.py")
    assert "outputs/" in git_state(tmp_path, tmp_path / "elsewhere")[1]
    project = tmp_path / "project"  # its archive is beside it, in the same checkout
    project.mkdir()
    assert git_state(project, outputs) == git_state(tmp_path, outputs)
    assert contents(project, outputs) == contents(tmp_path, outputs) == seen[-1]
    git("add", "a.py")
    assert contents(tmp_path, outputs) == seen[-1]
    tracked.unlink()
    assert contents(tmp_path, outputs) not in seen
    git("config", "core.quotePath", "false")
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff")).write_text("no text is its name")
    json.dumps(git_state(tmp_path, outputs)).encode()


def test_the_operator_says_how_each_fact_is_known(tmp_path, monkeypatch) -> None:
    """Who, where and which CI build, each with its source."""
    monkeypatch.setenv("BUILD_ID", "118")
    facts = operator(tmp_path)
    assert facts["ci_build"].value == "118"
    assert facts["ci_build"].source == "environment BUILD_ID"
    assert {"user", "host"} <= set(facts)


def test_times_are_aware(place, redactor) -> None:
    """Every time in a record has its zone."""
    Journal(place.folder, redactor).add("run")
    record = build_record(place)
    assert record.started_at.utcoffset() == datetime.now(UTC).utcoffset()


def test_a_writer_killed_before_the_last_line_is_made_up_for(place) -> None:
    """A record without its closing entry gets one, marked late; only once."""
    record = seal(place)
    chain_file = place.folder.parent / "chain.jsonl"
    lines = chain_file.read_bytes().splitlines(keepends=True)
    chain_file.write_bytes(b"".join(lines[:-1]))  # as if killed before it
    head = json.dumps({"n": 1, "sha256": hashlib.sha256(lines[0][:-1]).hexdigest()})
    (place.folder.parent / "chain.head").write_text(head)
    place.marker.touch()
    assert seal(place) == record
    assert seal(place) == record
    closing = [e for e in chain.entries(place.folder.parent) if e["kind"] == "close"]
    assert [entry["late"] for entry in closing] == [True]
    assert not place.marker.exists()


def test_a_release_keeps_what_was_asked_of_it(tmp_path, redactor) -> None:
    """The notebook that shows a release does not take the place of its parameters."""
    place = new_place(
        tmp_path, target="rehearsal", app="tika", notebook="release", stage=""
    )
    journal = Journal(place.folder, redactor)
    asked = {"app": "tika", "to": "QA", "images": "", "variables": "a=b"}
    journal.add("release", parameters=asked, resumes="old", stages=["CI", "QA"])
    journal.add("release", images={"server": "ami-1"}, stages=["CI", "QA"])
    journal.add("run", parameters={"app": "tika", "release": "x"}, resumes="")
    journal.add("end", status="failed", cause="so")
    record = build_record(place)
    assert (record.parameters, record.resumes) == (asked, "old")
    assert record.images == {"server": "ami-1"}
