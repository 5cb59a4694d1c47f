"""The index: a cache that answers as the files do, whatever happens to it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olrunbook.archive import index
from olrunbook.archive.index import find, index_file, search
from olrunbook.archive.index_rows import Query
from olrunbook.errors import UsageError
from olrunbook.record.files import new_run_id, stamp

BEGAN = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def make(outputs: Path, minutes: int = 0, **facts) -> Path:
    """Write one run that began so many minutes later; return its directory."""
    at = BEGAN + timedelta(minutes=minutes)
    run_id = new_run_id(int(at.timestamp() * 1e9))
    app, room = facts.pop("app", "tika"), facts.pop("room", "CI")
    notebook = facts.pop("notebook", "deploy")
    folder = outputs / "rehearsal" / app / room / f"{stamp(at)}_{notebook}_{run_id}"
    folder.mkdir(parents=True)
    if facts.pop("sealed", True):
        seal(folder, **facts)
    return folder


def seal(folder: Path, **facts) -> None:
    """Write a run's record."""
    known = {"value": facts.pop("user", "ann"), "source": "the process"}
    record = {
        "run_id": folder.name[-36:],
        "status": "succeeded",
        "started_at": BEGAN.isoformat(),
        "ended_at": (BEGAN + timedelta(seconds=42)).isoformat(),
        "operator": {"user": known},
        "headline": "17 created",
        **facts,
    }
    (folder / "run.json").write_text(json.dumps(record))


@pytest.fixture
def places(tmp_path):
    """Return an archive and a cache that are not there yet."""
    return tmp_path / "outputs", tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch):
    """Trust a directory's time at once, as if it had changed long ago."""
    monkeypatch.setattr(index, "SETTLED_NS", 0)


@pytest.fixture
def reads(monkeypatch):
    """Return the list of the records that were read since."""
    seen: list[str] = []
    real = index.read_facts

    def read(path, mark):
        seen.append(Path(path).parent.name)
        return real(path, mark)

    monkeypatch.setattr(index, "read_facts", read)
    return seen


def names(rows) -> list[str]:
    """Return the names of the directories found."""
    return [row.folder.name for row in rows]


def test_the_newest_come_first_and_no_record_is_read_twice(places, reads) -> None:
    """A list reads what it shows, once; the second list reads nothing."""
    made = [make(places[0], n) for n in range(5)]
    first = search(*places, Query(limit=2))
    assert names(first) == [made[4].name, made[3].name]
    assert (first[0].status, first[0].text) == ("succeeded", "17 created")
    assert (first[0].seconds, first[0].who) == (42.0, "ann")
    assert sorted(reads) == sorted(names(first))
    assert search(*places, Query(limit=2)) == first
    assert len(reads) == 2


def test_every_filter_leaves_out_what_it_should(places) -> None:
    """Each filter finds the one run that is different, and only that one."""
    outputs = places[0]
    for n in range(3):
        make(outputs, n)
    release = new_run_id()
    odd = {
        "app": make(outputs, 10, app="edx"),
        "room": make(outputs, 11, room="QA"),
        "notebook": make(outputs, 12, notebook="rollout"),
        "statuses": make(outputs, 13, status="failed", headline="", cause="no"),
        "operator": make(outputs, 14, user="Bob"),
        "image": make(outputs, 15, images={"server": "ami-0a17"}),
        "release": make(outputs, 16, release=release),
        "since": make(outputs, 90),
    }
    asked = {
        "app": "edx",
        "room": "QA",
        "notebook": "rollout",
        "statuses": ("failed",),
        "operator": "bob",
        "image": "ami-0a17",
        "release": f"{release[:4]}…{release[-6:]}",
        "since": BEGAN + timedelta(minutes=60),
    }
    for name, folder in odd.items():
        found = search(*places, Query(**{name: asked[name]}))
        assert names(found) == [folder.name], name
    assert len(search(*places, Query(until=BEGAN + timedelta(minutes=2)))) == 2


def test_what_is_added_sealed_or_removed_is_seen(places, settled) -> None:
    """New runs come, open ones get their status, removed ones go, also whole rooms."""
    outputs = places[0]
    first, still_open = make(outputs, 0), make(outputs, 1, sealed=False)
    assert [row.status for row in search(*places, Query())] == ["", "succeeded"]
    seal(still_open, status="failed")
    added = make(outputs, 2, room="QA")
    rows = search(*places, Query())
    assert names(rows) == [added.name, still_open.name, first.name]
    assert rows[1].status == "failed"
    shutil.rmtree(first)
    assert names(search(*places, Query())) == [added.name, still_open.name]
    shutil.rmtree(added.parent)
    assert names(search(*places, Query())) == [still_open.name]


def test_two_runs_within_one_tick_of_the_clock_are_both_seen(
    places, monkeypatch
) -> None:
    """A room whose time does not move is read again while it is young."""
    outputs = places[0]
    first = make(outputs, 0)
    search(*places, Query())
    monkeypatch.setattr(index, "SETTLED_NS", 10**12)
    search(*places, Query())
    second = make(outputs, 1)
    os.utime(first.parent, ns=(1, 1))
    assert names(search(*places, Query())) == [second.name, first.name]


def test_a_room_that_did_not_change_is_not_looked_into(
    places, settled, monkeypatch
) -> None:
    """The second question lists no run's directory name."""
    make(places[0])
    search(*places, Query())
    listed = []
    real = os.listdir
    monkeypatch.setattr(
        index.os, "listdir", lambda path: listed.append(Path(path).name) or real(path)
    )
    assert len(search(*places, Query())) == 1
    assert "tika" in listed
    assert "CI" not in listed


def test_an_edited_record_is_read_again(places) -> None:
    """What a list shows is what the file says now."""
    folder = make(places[0])
    search(*places, Query())
    seal(folder, status="failed", cause="edited", headline="")
    (row,) = search(*places, Query())
    assert (row.status, row.text) == ("failed", "edited")
    (folder / "run.json").write_text("{")
    assert search(*places, Query())[0].status == "unreadable"
    (folder / "run.json").unlink()
    assert search(*places, Query())[0].status == ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no database at all, " * 500),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.unlink(),
        lambda path: sql(path, "PRAGMA user_version = 99"),
        lambda path: sql(path, "UPDATE about SET archive = '/elsewhere'"),
        lambda path: sql(path, "DROP TABLE runs"),
    ],
    ids=["garbage", "cut", "missing", "version", "archive", "table"],
)
def test_a_spoilt_index_is_made_anew(places, spoil) -> None:
    """Whatever became of it: the answer is right, and the file is good again."""
    made = [make(places[0], n) for n in range(40)]
    search(*places, Query(statuses=("succeeded",)))
    path = index_file(*places)
    spoil(path)
    assert len(search(*places, Query(statuses=("succeeded",)))) == len(made)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (40,)
    db.close()


def sql(path: Path, text: str) -> None:
    """Run a statement on an index."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(text)
    db.close()


def test_the_index_is_private_and_not_in_the_archive(places) -> None:
    """0600 whatever the umask, also what sqlite lays beside it."""
    make(places[0])
    before = os.umask(0)
    try:
        search(*places, Query())
        holder = sqlite3.connect(index_file(*places))
        holder.execute("SELECT 1 FROM runs").fetchone()
        search(*places, Query(limit=1))
        modes = {
            p.name: p.stat().st_mode & 0o777
            for p in index_file(*places).parent.iterdir()
        }
        holder.close()
    finally:
        os.umask(before)
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}
    assert not list(places[0].rglob("*.sqlite*"))


def test_without_a_cache_the_files_answer(places, tmp_path) -> None:
    """A cache that cannot be a folder costs time, not the answer."""
    folder = make(places[0])
    file = tmp_path / "file"
    file.touch()
    assert names(search(places[0], file, Query())) == [folder.name]
    assert names(find(places[0], file, folder.name[-5:])) == [folder.name]
    assert file.read_bytes() == b""


def test_a_busy_index_is_left_alone(places, monkeypatch) -> None:
    """While another process writes for long, the answer comes from the files."""
    monkeypatch.setattr("olrunbook.archive.index.BUSY_S", 0.05)
    first = make(places[0])
    search(*places, Query())
    holder = sqlite3.connect(index_file(*places), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    second = make(places[0], 1)
    assert names(search(*places, Query())) == [second.name, first.name]
    holder.execute("ROLLBACK")
    holder.close()


def test_two_processes_at_once_make_one_good_index(places) -> None:
    """Both see every run, and the index they leave has each once."""
    for n in range(300):
        make(places[0], n)
    code = (
        "import sys; from pathlib import Path;"
        "from olrunbook.archive.index import *;"
        "print(len(search(Path(sys.argv[1]), Path(sys.argv[2]),"
        " Query(statuses=('succeeded',)))))"
    )
    call = [sys.executable, "-c", code, *map(str, places)]
    both = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    assert [process.communicate()[0].strip() for process in both] == ["300", "300"]
    db = sqlite3.connect(index_file(*places))
    assert db.execute("SELECT count(*), min(status) FROM runs").fetchone() == (
        300,
        "succeeded",
    )
    db.close()


def test_references_find_runs_by_both_ends(places) -> None:
    """Whole, beginning, end, and as shortened in a list; too short is refused."""
    folder = make(places[0])
    make(places[0], 5000)
    run_id = folder.name[-36:]
    for text in (run_id, run_id[:13], run_id[-5:], f"{run_id[:13]}…{run_id[-6:]}"):
        assert names(find(*places, text)) == [folder.name], text
    assert find(*places, "zzzz") == []
    with pytest.raises(UsageError, match="too short"):
        find(*places, "0…")


def test_a_copied_run_is_found_twice(places) -> None:
    """The same id in two rooms is two directories, not one."""
    folder = make(places[0])
    copy = folder.parents[1] / "QA" / folder.name
    shutil.copytree(folder, copy)
    found = find(*places, folder.name[-36:])
    assert {row.folder for row in found} == {folder, copy}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ars"), st.integers(0, 7)), max_size=12))
def test_it_always_answers_as_a_walk_does(tmp_path_factory, steps) -> None:
    """After any adding, removing and sealing the index knows what the disk knows."""
    base = tmp_path_factory.mktemp("index")
    outputs, cache = base / "outputs", base / "cache"
    there: list[Path] = []
    for what, number in steps:
        if what == "a":
            there.append(make(outputs, number, sealed=number % 2 == 0))
        elif there and what == "r":
            shutil.rmtree(there.pop(number % len(there)))
        elif there:
            seal(there[number % len(there)], status="failed")
        rows = search(outputs, cache, Query())
        assert sorted(names(rows)) == sorted(folder.name for folder in there)
        for row in rows:
            path = row.folder / "run.json"
            status = json.loads(path.read_text())["status"] if path.exists() else ""
            assert row.status == status
