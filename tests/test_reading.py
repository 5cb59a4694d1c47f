"""`runs` and `show`: the archive as people and programs read it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from olrunbook.archive import place as archive
from olrunbook.archive.place import new_place, read_record
from olrunbook.archive.seal import seal
from olrunbook.cli import cli
from olrunbook.cli.complete import complete_run, run_named
from olrunbook.cli.summary import summary
from olrunbook.cli.times import both, local
from olrunbook.errors import UsageError
from olrunbook.pages.run import render
from olrunbook.project.moments import moment
from olrunbook.record.files import short
from olrunbook.record.heartbeat import process_facts
from olrunbook.record.journal import Journal
from olrunbook.record.model import GateRecord, PartRecord

STEP = {"name": "up", "kind": "step"}


@pytest.fixture
def desk(project, tmp_path, monkeypatch):
    """Return the project's archive; its cache is the test's own, its clock UTC."""
    monkeypatch.setenv("OLRUNBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield project.outputs
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def record(desk, redactor, monkeypatch):
    """Return a function that writes one run and returns its place."""
    clock = [datetime(2026, 11, 23, 15, 9, 44, tzinfo=UTC)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            clock[0] += timedelta(minutes=1)
            return clock[0].astimezone(tz)

    monkeypatch.setattr(archive, "datetime", Clock)

    def write(stage="CI", *, status="succeeded", sealed=True, log="", **facts):
        names = {"target": "rehearsal", "app": "tika", "notebook": "deploy"}
        place = new_place(desk, stage=stage, **names)
        journal = Journal(place.folder, redactor)
        known = {"value": "ann", "source": "the process"}
        journal.add(
            "run",
            stage=stage,
            process=process_facts(),
            operator={"user": known, "host": {**known, "value": "laptop"}},
            images={"server": "ami-0df7e95b351bd8408"},
            commit="a1b2c3d",
            **facts,
        )
        journal.add("step", event="started", name="up")
        result = {"by_hand": "pulumi up --yes", "changes": []}
        ended = {"seconds": 9.0, "headline": "17 created", "result": result}
        if status == "succeeded":
            journal.add("step", event="ended", name="up", status="done", **ended)
            journal.add("conclude", headline="17 created")
        if log:
            (place.logs / "up.log").write_text(log)
        if sealed:
            cause = "" if status == "succeeded" else "SIGTERM after 3 min 10 s"
            journal.add("end", status=status, cause=cause)
            seal(place)
        return place

    return write


def call(*words: str):
    """Run a command; a failure shows its error."""
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


def lines(*words: str) -> list[list[str]]:
    """Return what a command says in a pipe, split at tabs."""
    return [line.split("\t") for line in call(*words).stdout.splitlines()]


def test_runs_are_whole_lines_of_tabs_in_a_pipe(record) -> None:
    """Newest first, the whole id and the whole result, nothing cut, no head line."""
    first, second = record(), record("QA", status="interrupted")
    rows = lines("runs")
    assert [row[0] for row in rows] == [second.run_id, first.run_id]
    assert rows[1][2:6] == ["tika", "CI", "deploy", "succeeded"]
    assert rows[1][7:] == ["ann", "17 created"]
    assert rows[0][8] == 'SIGTERM after 3 min 10 s (step "up")'


def test_runs_can_be_asked_for_in_every_way(record) -> None:
    """Filters of names and of records, alone and together."""
    ci, qa = record(), record("QA", status="interrupted")
    for words, found in (
        (["tika"], [qa, ci]),
        (["concourse"], []),
        (["--stage", "QA"], [qa]),
        (["--status", "interrupted"], [qa]),
        (["--status", "failed", "--status", "succeeded"], [ci]),
        (["--operator", "LAPTOP"], [qa, ci]),
        (["--image", "ami-0df7e95b351bd8408", "--stage", "CI"], [ci]),
        (["--image", "ami-1"], []),
        (["--since", "2026-11-23 15:11:30"], [qa]),
        (["--until", "2026-11-23"], [qa, ci]),
        (["--until", "2026-11-22"], []),
        (["-n", "1"], [qa]),
    ):
        assert [row[0] for row in lines("runs", *words)] == [
            place.run_id for place in found
        ], words


def test_runs_of_a_name_that_nobody_knows_are_a_wrong_call(record, project) -> None:
    """Neither catalog nor archive has it; one that only the archive has is known."""
    record()
    for words in (["tikka"], ["tikka", "--json"]):
        with pytest.raises(UsageError, match="choose from: tika, concourse") as caught:
            call("runs", *words)
        assert caught.value.hint == "Did you mean tika?"
    for option, typed, meant in (
        ("--stage", "QQ", "QA"),
        ("--notebook", "deplyo", "deploy"),
        ("--target", "rehersal", "rehearsal"),
    ):
        with pytest.raises(UsageError, match=f"{option[2:]} '{typed}' is") as caught:
            call("runs", option, typed)
        assert caught.value.hint == f"Did you mean {meant}?"
        assert call("runs", "concourse", option, meant).stdout == ""
    text = project.catalog_file.read_text()
    project.catalog_file.write_text(text.replace("[apps.tika", "[apps.old"))
    assert len(lines("runs", "tika")) == 1


def test_runs_for_programs_are_the_records_and_where_they_lie(record) -> None:
    """`--json` is a list of run.json with the directory; also of one that goes on."""
    sealed, going_on = record(), record("QA", sealed=False)
    found = json.loads(call("runs", "--json").stdout)
    assert found[1]["status"] == "succeeded"
    assert found[1]["steps"][0]["headline"] == "17 created"
    assert found[1]["folder"] == str(sealed.folder)
    assert found[0]["status"] == "running"
    assert found[0]["run_id"] == going_on.run_id


def test_a_run_that_goes_on_is_running_and_a_dead_one_gets_its_record(
    record, monkeypatch
) -> None:
    """The process that writes decides: while it lives running, then interrupted."""
    place = record(sealed=False)
    assert lines("runs", "--status", "running")[0][0] == place.run_id
    shown = call("show", place.run_id).stdout
    assert "running" in shown.splitlines()[0]
    assert "ann@laptop" in shown
    with (place.folder / "journal.jsonl").open("a") as out:
        facts = {"at": "2026-11-23T15:10:00+00:00", "kind": "step", "event": "started"}
        out.write(json.dumps({**facts, "name": "watch"}) + "\n")
    shown = call("show", place.run_id).stdout
    assert "watch  running" in shown
    assert "interrupted" not in shown
    journal = place.folder / "journal.jsonl"
    start = json.dumps(process_facts()["start"])
    journal.write_text(journal.read_text().replace(start, '"1"'))
    result = call("runs")
    assert "had died" in result.stderr
    assert place.record.exists()
    assert lines("runs")[0][5] == "interrupted"


def test_show_answers_on_one_screen(record) -> None:
    """What, who, from what, result, steps, command, logs with sizes, and the chain."""
    place = record(log="x" * 41_000)
    shown = call("show", place.run_id).stdout
    assert shown.startswith("deploy · tika · CI · succeeded   2")
    assert " UTC, " in shown.splitlines()[0]
    for text in (
        "result     17 created",
        "ann@laptop",
        "a1b2c3d",
        "server=ami-0df7e95b351bd8408",
        "command    pulumi up --yes",
        "steps      ✓  up  done  9 s  17 created",
        "logs/up.log (41 kB)",
        "chain      ✓",
    ):
        assert text in shown, text
    assert len(shown.splitlines()) < 24


def test_show_says_when_the_chain_and_the_record_do_not_agree(record) -> None:
    """A changed log is named, and how to see all of it."""
    place = record(log="all well")
    (place.logs / "up.log").write_text("all bad?")
    shown = call("show", place.run_id).stdout
    assert "chain      ✗ WRONG: logs/up.log" in shown
    assert f"olrunbook verify {place.run_id}" in shown


def test_show_of_a_record_that_was_cut_off(record) -> None:
    """The cause comes first, and the step it was in is not called done."""
    place = record(status="interrupted")
    shown = call("show", short(place.run_id)).stdout.splitlines()
    assert shown[0].startswith("deploy · tika · CI · interrupted")
    assert shown[1] == 'cause      SIGTERM after 3 min 10 s (step "up")'
    assert any("■  up  interrupted" in line for line in shown)


def test_what_a_terminal_would_obey_is_not_printed(record) -> None:
    """A hostile name cannot move the cursor of whoever reads."""
    place = record(stand_ins=["vault\x1b[2J\x07"])
    shown = call("show", place.run_id).stdout
    assert "vault?[2J?" in shown
    assert "\x1b" not in shown


def test_gates_are_shown(record) -> None:
    """A gate's question, who approved it, how that is known, when, why, and of what."""
    found = read_record(record())
    gate = GateRecord(
        gate="CI",
        question="Apply?",
        status="approved",
        digest="9f2c4444",
        by="bob",
        known="claimed",
        reason="fine",
        decided_at="15:09",
    )
    with_gate = found.model_copy(update={"gates": [gate]})
    told = summary(with_gate, SimpleNamespace(folder=Path("/nowhere")))
    text = '"Apply?" approved by bob (claimed) 15:09, "fine", shown 9f2c…'
    assert ("gate", text) in told.lines
    page = render(with_gate, {})
    for word in ("<caption>Gates</caption>", "Apply?", "bob", "claimed", "9f2c4444"):
        assert word in page


def test_a_part_that_was_kept_is_not_marked_as_failed(record) -> None:
    """What an earlier run did well is `=`, as a step that was kept is."""
    facts = {
        "run_id": "1",
        "notebook": "deploy",
        "stage": "QA",
        "seconds": 0.0,
        "record": "r",
    }
    words = ("succeeded", "kept", "waiting", "failed")
    parts = [PartRecord(status=word, **facts) for word in words]
    found = read_record(record()).model_copy(update={"parts": parts})
    told = summary(found, SimpleNamespace(folder=Path("/nowhere")))
    assert [row[0] for row in told.parts] == ["✓", "=", "⋯", "✗"]


def test_markdown_keeps_its_table_and_folds_the_logs(record) -> None:
    """Pipes, tags, mentions and fences of the content stay content."""
    log = "\x1b[31mred\x1b[0m\n```\n" + "\n".join(f"line {n}" for n in range(100))
    place = record(log=log, stand_ins=["a | <b> @team"])
    text = call("show", place.run_id, "--markdown").stdout
    assert text.startswith("### ✅ deploy · tika · CI · succeeded\n")
    assert "| stand-ins | a \\| &lt;b&gt; @<!-- -->team |" in text
    assert "| ✓ up | done | 9 s | 17 created |" in text
    assert "<details><summary>logs/up.log" in text
    assert "line 99" in text
    assert "line 3\n" not in text
    assert "\x1b" not in text


def test_a_fence_in_a_log_does_not_end_its_block(record) -> None:
    """The block's own fence is longer than the longest in the log."""
    place = record(log="before\n````\nafter\n")
    text = call("show", place.run_id, "--markdown").stdout
    assert text.count("\n```````text\n") == 1


@pytest.mark.parametrize(
    ("text", "end", "wanted"),
    [
        ("2026-11-24", False, "2026-11-23T23:00:00"),
        ("2026-11-24", True, "2026-11-24T23:00:00"),
        ("2026-07-24 15:00", False, "2026-07-24T13:00:00"),
        ("2026-11-24T15:00:00Z", False, "2026-11-24T15:00:00"),
        ("15:00", False, "2026-11-26T14:00:00"),
        ("today", False, "2026-11-25T23:00:00"),
        ("yesterday", True, "2026-11-25T23:00:00"),
        ("3h", False, "2026-11-26T09:00:00"),
        ("2d ago", False, "2026-11-24T12:00:00"),
        ("2 days ago", False, "2026-11-24T12:00:00"),
        ("2026-11-24 15:00 UTC", False, "2026-11-24T15:00:00"),
        ("30min", False, "2026-11-26T11:30:00"),
    ],
)
def test_times_without_a_zone_are_the_readers(monkeypatch, text, end, wanted) -> None:
    """A reader in Berlin types their own clock, in winter and in summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    found = moment(text, now, end=end).astimezone(UTC)
    shown = both(now)
    late = local(datetime(2026, 11, 26, 23, 30, tzinfo=UTC))
    monkeypatch.undo()
    time.tzset()
    assert found.isoformat().startswith(wanted)
    assert shown == "2026-11-26 12:00:00 UTC (13:00 CET)"
    assert late == "00:30 CET +1d"


def test_of_two_runs_that_look_alike_the_one_that_can_be_meant_is(
    record, monkeypatch
) -> None:
    """A short id as it was printed; what somebody typed short must be unique."""
    ids = [f"0193a5d4-0000-7000-8000-00000000{n}d07" for n in (1, 2)]
    for run_id, status in zip(ids, ("waiting", "succeeded"), strict=True):
        monkeypatch.setattr(archive, "new_run_id", lambda run_id=run_id: run_id)
        record(status=status)
    assert run_named("0193…d07", ("waiting",)).run_id == ids[0]
    for reference, meant in (("0193…d07", ()), ("d07", ("waiting",))):
        with pytest.raises(UsageError, match="2 runs match"):
            run_named(reference, meant)


def test_a_time_that_is_none_is_refused_with_what_can_be_typed(desk) -> None:
    """`--since sometime` names the forms; nothing is listed."""
    result = CliRunner().invoke(cli, ["runs", "--since", "sometime"])
    assert result.exit_code == 2
    assert "today, 3h" in result.stderr


def test_runs_complete_by_both_ends_of_their_ids(record) -> None:
    """Tab offers ids that begin as typed; else the ones that end so."""
    place = record()
    values = [
        [item.value for item in complete_run(None, None, typed)]
        for typed in ("", place.run_id[:2], place.run_id[:9], place.run_id[-4:], "zz")
    ]
    assert values == [[place.run_id]] * 4 + [[]]
    (item,) = complete_run(None, None, str(place.folder))
    assert item.type == "dir"


def test_a_list_is_printed_without_pydantic() -> None:
    """Neither `--help` nor what lists runs waits for pydantic or papermill."""
    code = (
        "import sys\n"
        "from olrunbook.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print([n for n in ('pydantic', 'papermill', 'rich') if n in sys.modules])"
    )
    for words in (["--help"], ["runs", "-n", "1"], ["runs", "--help"]):
        said = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.splitlines()[-1] == "[]", words
