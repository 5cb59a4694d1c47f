"""The chain: whoever writes, and whenever they are killed, it stays one chain."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olrunbook.archive import chain, verifier

WRITER = """
import sys
from pathlib import Path
from olrunbook.archive import chain
sys.stdin.readline()
for number in range(40):
    chain.append(Path(sys.argv[1]), "after", run_id=sys.argv[2], file=str(number))
"""


@pytest.fixture
def room(tmp_path):
    """Return the folder of a room."""
    folder = tmp_path / "outputs" / "rehearsal" / "tika" / "CI"
    folder.mkdir(parents=True)
    return folder


def faults(room) -> list[str]:
    """Return what the verifier says about the chain itself."""
    found = verifier.Room(str(room.parents[2]), "rehearsal/tika/CI").said
    return [f["text"] for f in found if "never opened" not in f["text"]]


def test_each_entry_names_the_one_before_it(room) -> None:
    """Numbers from 1, the sha256 of the line before, and a head that names the last."""
    facts = {"target": "rehearsal", "app": "tika", "room": "CI"}
    chain.opened(room, "r", "folder_r", **facts)
    chain.append(room, "close", run_id="r", record_sha256="0" * 64, status="succeeded")
    first, second = (room / "chain.jsonl").read_bytes().splitlines()
    one, two = chain.entries(room)
    assert (one["n"], one["prev"], one["kind"]) == (1, "0" * 64, "open")
    assert (one["folder"], one["room"]) == ("folder_r", "CI")
    assert (two["n"], two["prev"]) == (2, hashlib.sha256(first).hexdigest())
    assert (two["kind"], two["status"]) == ("close", "succeeded")
    assert chain.head(room) == (2, hashlib.sha256(second).hexdigest())
    assert faults(room) == []


def test_processes_that_write_at_once_do_not_fork_it(room) -> None:
    """Four processes, each entry of each is there, in one line of succession."""
    argv = [sys.executable, "-c", WRITER, str(room)]
    writers = [
        subprocess.Popen([*argv, name], stdin=subprocess.PIPE, text=True)
        for name in "abcd"
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.wait(60) for writer in writers] == [0] * 4
    for writer in writers:
        writer.stdin.close()
    found = [(e["run_id"], e["file"]) for e in chain.entries(room)]
    assert sorted(found) == sorted((a, str(n)) for a in "abcd" for n in range(40))
    assert faults(room) == []


def test_threads_that_write_at_once_do_not_fork_it(room) -> None:
    """The lock parts the threads of one process too."""
    threads = [
        threading.Thread(
            target=lambda: [chain.append(room, "after") for _ in range(20)]
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e["n"] for e in chain.entries(room)] == list(range(1, 61))
    assert faults(room) == []


def test_whoever_holds_the_lock_goes_first(room, eventually) -> None:
    """An append waits; with `held` the holder writes."""
    done = threading.Event()

    def other() -> None:
        chain.append(room, "after", run_id="second")
        done.set()

    with chain.locked(room):
        thread = threading.Thread(target=other)
        thread.start()
        chain.append(room, "after", run_id="first", held=True)
        assert not done.is_set()
    eventually(done.is_set)
    assert [e["run_id"] for e in chain.entries(room)] == ["first", "second"]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, 200), names=st.lists(st.text(max_size=2000), max_size=6))
def test_a_line_cut_by_a_crash_is_none(tmp_path_factory, cut, names) -> None:
    """Wherever it was cut and whatever stood there: the next append goes on."""
    room = tmp_path_factory.mktemp("a") / "rehearsal" / "tika" / "CI"
    room.mkdir(parents=True)
    for name in names:
        chain.append(room, "after", run_id=name)
    path, head = room / "chain.jsonl", room / "chain.head"
    before = head.read_bytes() if names else b""
    chain.append(room, "after", run_id="cut off")
    raw = path.read_bytes()
    path.write_bytes(raw[: -min(cut, len(raw.splitlines()[-1]))])
    head.write_bytes(before) if names else head.unlink()
    assert [e["run_id"] for e in chain.entries(room)] == names
    chain.append(room, "after", run_id="next")
    assert [e["run_id"] for e in chain.entries(room)] == [*names, "next"]
    assert faults(room) == []


def test_a_head_that_lags_is_renewed(room) -> None:
    """A writer killed between entry and head leaves nothing to complain about."""
    chain.append(room, "after")
    before = (room / "chain.head").read_bytes()
    chain.append(room, "after")
    (room / "chain.head").write_bytes(before)
    assert "lags one entry" in faults(room)[0]
    chain.append(room, "after")
    assert faults(room) == []
    assert [e["kind"] for e in chain.entries(room)] == ["after"] * 3


@pytest.mark.parametrize("what", ["cut", "edited", "no head", "spoilt head"])
def test_the_next_writer_does_not_cover_a_change(room, what) -> None:
    """The head that showed it is written anew: an entry keeps what was found."""
    for number in range(3):
        chain.append(room, "after", run_id=str(number))
    path, head = room / "chain.jsonl", room / "chain.head"
    lines = path.read_bytes().splitlines(keepends=True)
    if what == "cut":
        path.write_bytes(b"".join(lines[:-1]))
    elif what == "edited":
        path.write_bytes(b"".join(lines).replace(b'"2"', b'"9"'))
    elif what == "no head":
        head.unlink()
    else:
        head.write_bytes(b"{")
    chain.append(room, "after", run_id="next")
    assert [e["kind"] for e in chain.entries(room)][-2:] == ["broken", "after"]
    assert "the next writer found that the head" in faults(room)[0]


def test_an_entry_that_has_no_head_is_taken_back(room, monkeypatch) -> None:
    """A disk that is full after the line: both are there, or neither."""
    chain.append(room, "after")
    before = (room / "chain.jsonl").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(chain, "replace_file", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                chain.append(room, "after")
    assert (room / "chain.jsonl").read_bytes() == before
    chain.append(room, "after")
    assert faults(room) == []


def test_the_archive_gets_the_verifier(room) -> None:
    """Where it is missing or another, the next run puts it there."""
    copy = room.parents[2] / "verify.py"
    for _ in range(2):
        chain.opened(room, "r", "folder_r")
        assert copy.read_bytes() == Path(verifier.__file__).read_bytes()
        copy.write_text("exit(0)")


def test_a_line_of_any_length_is_followed(room) -> None:
    """Longer than what is read at once, with ends of line inside of a value."""
    for text in ("x" * 20_000, "a\nb\r\n\u2028é", ""):
        chain.append(room, "after", run_id=text)
    chain.append(room, "after")
    assert faults(room) == []
    assert json.loads((room / "chain.head").read_text())["n"] == 4


def test_what_takes_up_a_rejected_run_is_rejected_however_often() -> None:
    """A thousand times over, and where damaged records take up one another."""
    resumes = {str(n): str(n - 1) for n in range(1, 2_000)}
    said = [{"kind": "rejected", "run_id": "0"}]
    assert chain.waiting(["1999", "other"], resumes, said) == ["other"]
    circle = {"0": "1", "1": "0"}
    assert chain.waiting(["0", "1", "other"], circle, said) == ["other"]
