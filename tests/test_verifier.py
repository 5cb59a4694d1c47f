"""The verifier: whatever was changed, removed, added, copied or moved is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olrunbook.archive import chain, verifier
from olrunbook.record.files import new_run_id
from tests.archives import Small, damaged

FILES = {
    "notebook.ipynb": '{"cells": []}',
    "notebook.html": "<!doctype html>",
    "journal.jsonl": '{"kind": "run"}\n',
    "logs/up.log": "17 created\n",
}


def write_run(outputs: Path, room: str = "CI", *, ends: bool = True) -> Path:
    """Write one run as a sealer does, with its entries in the chain."""
    run_id = new_run_id()
    folder = (
        outputs / "rehearsal" / "tika" / room / f"2026-11-23T15-09-44Z_deploy_{run_id}"
    )
    (folder / "logs").mkdir(parents=True)
    facts = {"target": "rehearsal", "app": "tika", "room": room}
    chain.opened(folder.parent, run_id, folder.name, **facts)
    for name, text in FILES.items():
        (folder / name).write_text(text + run_id)
    if ends:
        listed = {
            name: {
                "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
                "size": (folder / name).stat().st_size,
            }
            for name in FILES
        }
        record = {"run_id": run_id, "target": "rehearsal", "app": "tika"}
        record |= {"stage": room, "status": "succeeded", "files": listed}
        raw = json.dumps(record, indent=1).encode()
        (folder / "run.json").write_bytes(raw)
        digest = hashlib.sha256(raw).hexdigest()
        chain.append(
            folder.parent,
            "close",
            run_id=run_id,
            record_sha256=digest,
            status="succeeded",
        )
    return folder


@pytest.fixture
def archive(tmp_path):
    """Return an archive of three closed runs and a killed one, and the four."""
    outputs = tmp_path / "outputs"
    runs = [write_run(outputs) for _ in range(3)]
    return outputs, [*runs, write_run(outputs, ends=False)]


def problems(outputs: Path, reference: str = "", kept: str = "") -> list[str]:
    """Return the problems found, each as run, file and words."""
    found = verifier.verify(str(outputs), reference, kept)["problems"]
    return [f"{f['room']} {f['run']} {f['file']}: {f['text']}" for f in found]


def change_line(room: Path, change) -> None:
    """Change the lines of a room's chain; the head stays."""
    path = room / "chain.jsonl"
    lines = change(path.read_text().splitlines(keepends=True))
    path.write_text("".join(lines))


def rewrite(room: Path, entries: list[dict]) -> None:
    """Write a chain anew, whole and with a head that fits, as a forger would."""
    for name in ("chain.jsonl", "chain.head"):
        (room / name).unlink(missing_ok=True)
    for entry in entries:
        data = {k: v for k, v in entry.items() if k not in ("n", "prev", "at", "kind")}
        chain.append(room, entry["kind"], **data)


def test_an_untouched_archive_is_good(archive) -> None:
    """Closed runs verify; one without a record is a note, for it may go on."""
    outputs, (*_, killed) = archive
    report = verifier.verify(str(outputs))
    assert report["good"]
    assert (report["runs"], report["entries"], report["files"]) == (4, 7, 15)
    assert [
        (n["run"], "still running or was killed" in n["text"]) for n in report["notes"]
    ]
    assert report["notes"][0]["run"] == killed.name[-36:]


@pytest.mark.parametrize("name", ["run.json", *FILES])
def test_a_flipped_byte_is_found(archive, name) -> None:
    """Run and file of a changed byte are named; so with its run alone."""
    outputs, (_, run, *_) = archive
    raw = bytearray((run / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (run / name).write_bytes(raw)
    for reference in ("", run.name[-36:]):
        found = problems(outputs, reference)
        assert f"rehearsal/tika/CI {run.name[-36:]} {name}: was changed" in found[0]
    assert problems(outputs, archive[1][0].name[-36:]) == []


@pytest.mark.parametrize("name", ["run.json", *FILES])
def test_a_removed_file_is_found(archive, name) -> None:
    """Run and file are named."""
    outputs, (run, *_) = archive
    (run / name).unlink()
    found = problems(outputs)
    assert len(found) == 1
    assert f"{run.name[-36:]} {name}: was removed" in found[0]


@pytest.mark.parametrize("name", ["more.txt", "logs/more.log", "heartbeat.json"])
def test_an_added_file_is_found(archive, name) -> None:
    """Whatever the record does not list was put there."""
    outputs, (run, *_) = archive
    (run / name).write_text("")
    found = problems(outputs)
    assert len(found) == 1
    assert f"{run.name[-36:]} {name}: was added" in found[0]


def test_a_link_is_no_file(archive) -> None:
    """A file that was replaced by a link to the same bytes is named."""
    outputs, (run, *_) = archive
    (run / "logs/up.log").rename(outputs / "elsewhere")
    (run / "logs/up.log").symlink_to(outputs / "elsewhere")
    assert "logs/up.log: is not a plain file" in problems(outputs)[0]


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_a_removed_run_is_found(archive, which) -> None:
    """The oldest, the newest, and the killed one that has only its opening entry."""
    outputs, runs = archive
    shutil.rmtree(runs[which])
    found = problems(outputs)
    assert len(found) == 1
    assert f"its directory {runs[which].name} was removed" in found[0]
    assert problems(outputs, runs[which].name[-36:]) == found


def test_an_inserted_run_is_found(archive, tmp_path) -> None:
    """A run of another archive is in no chain of this one."""
    outputs, (run, *_) = archive
    other = write_run(tmp_path / "other")
    shutil.copytree(other, run.parent / other.name)
    found = problems(outputs)
    assert len(found) == 1
    assert "is not in this folder's chain" in found[0]
    assert other.name[-36:] in found[0]


@pytest.mark.parametrize("room", ["rehearsal/tika/CI", "rehearsal/tika/QA", "aws/a/CI"])
@pytest.mark.parametrize("moved", [False, True])
def test_a_copied_or_moved_run_is_found(archive, room, moved) -> None:
    """In its own room under another name, in another stage, app or target."""
    outputs, (run, *_) = archive
    name = run.name
    if room.endswith("tika/CI"):
        name = run.name.replace("15-09", "16-10").replace("deploy", "rollout")
    (outputs / room).mkdir(parents=True, exist_ok=True)
    (shutil.move if moved else shutil.copytree)(run, outputs / room / name)
    found = problems(outputs)
    assert f"{name} is not in this folder's chain" in found[0] + found[-1]
    said = f"its directory was moved to {room}/{name}"
    assert any(said in text for text in found) == moved
    assert len(found) == 1 + moved


def test_a_run_outside_of_the_rooms_is_found(archive) -> None:
    """A run beside the stages lies in no room."""
    outputs, (run, *_) = archive
    shutil.copytree(run, outputs / "rehearsal" / run.name)
    assert "is in no stage's folder" in problems(outputs)[0]


def test_swapped_directories_are_found(archive) -> None:
    """Two runs under each other's names are both named, with whose record it is."""
    outputs, (one, two, *_) = archive
    one.rename(one.with_name("aside"))
    two.rename(one)
    one.with_name("aside").rename(two)
    text = "\n".join(problems(outputs))
    for mine, other in ((one, two), (two, one)):
        assert f"{mine.name[-36:]} run.json: is that of run {other.name[-36:]}" in text


def test_an_edited_status_is_found(archive) -> None:
    """Also what the chain says it was."""
    outputs, (run, *_) = archive
    path = run / "run.json"
    path.write_text(path.read_text().replace("succeeded", "refused"))
    text = "\n".join(problems(outputs))
    assert "run.json: was changed" in text
    assert "says refused, the chain says succeeded" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: [*x[:2], x[3], x[2], *x[4:]], "removed before line 3"),
        (lambda x: [*x[:3], x[3].replace("succ", "fail"), *x[4:]], "line 4 was change"),
        (lambda x: [*x[:-1], x[-1].replace("tika", "tiki")], "last line or head"),
        (lambda x: [*x[:2], *x[3:]], "entries 3 to 3 were removed before line 3"),
        (lambda x: [*x[:2], x[1], *x[2:]], "line 3 (entry 2) was inserted"),
        (lambda x: x[:-1], "its end was removed"),
        (lambda x: x[1:], "entries 1 to 1 were removed before line 1"),
        (lambda x: [], "the chain is gone"),
        (lambda x: [*x[:3], "{}\n", *x[4:]], "line 4 was changed: it is not an entry"),
        (lambda x: [*x, x[-1].replace('"n": 7', '"n": 8')], "line 7 was changed"),
    ],
    ids=[
        "swapped",
        "edited",
        "last edited",
        "removed",
        "inserted",
        "truncated",
        "first removed",
        "emptied",
        "spoilt",
        "appended",
    ],
)
def test_a_changed_chain_is_found(archive, change, words) -> None:
    """The line is named, and what became of it."""
    outputs, (run, *_) = archive
    change_line(run.parent, change)
    assert words in "\n".join(problems(outputs))


@pytest.mark.parametrize("name", ["chain.jsonl", "chain.head"])
def test_a_deleted_chain_is_found(archive, name) -> None:
    """Chain or head, or both."""
    outputs, (run, *_) = archive
    (run.parent / name).unlink()
    assert "gone" in "\n".join(problems(outputs))
    (run.parent / "chain.jsonl").unlink(missing_ok=True)
    (run.parent / "chain.head").unlink(missing_ok=True)
    assert len(problems(outputs)) == 4


def test_an_edited_head_is_found(archive) -> None:
    """A head with another number or sha256 than the chain has."""
    outputs, (run, *_) = archive
    head = run.parent / "chain.head"
    for n, sha, words in (
        (7, "0" * 64, "another sha256"),
        (9, "0" * 64, "end was removed"),
    ):
        head.write_text(json.dumps({"n": n, "sha256": sha}))
        assert words in problems(outputs)[0]
    head.write_text("{")
    assert "chain.head" in problems(outputs)[0]


def test_a_room_that_was_moved_is_found(archive) -> None:
    """Chain and runs together in another stage: the entries say where they belong."""
    outputs, (run, *_) = archive
    run.parent.rename(run.parent.with_name("Production"))
    found = problems(outputs)
    assert "4 of its runs were opened in rehearsal/tika/CI" in found[0]
    assert sum("is of stage CI, but is in Production" in text for text in found) == 3


def test_a_cut_end_with_a_head_that_fits_is_found_by_a_kept_head(archive) -> None:
    """What no chain can show: the newest run is gone, the head was written anew."""
    outputs, (run, *_, killed) = archive
    report = verifier.verify(str(outputs))
    kept = (verifier.heads(report), report["rooms"][0]["sha256"], report["head"])
    assert all(problems(outputs, kept=head) == [] for head in kept)
    shutil.rmtree(killed)
    rewrite(run.parent, chain.entries(run.parent)[:-1])
    assert problems(outputs) == []
    assert "entry 7 is not the one kept" in problems(outputs, kept=kept[0])[0]
    for head in kept[1:]:
        assert (
            f"no chain has an entry with the sha256 {head}"
            in problems(outputs, kept=head)[0]
        )


def test_a_kept_head_holds_while_the_archive_grows(archive) -> None:
    """A list of heads is for good; a room that is gone altogether is missed."""
    outputs, (run, *_) = archive
    kept = verifier.heads(verifier.verify(str(outputs)))
    write_run(outputs)
    write_run(outputs, "QA")
    assert problems(outputs, kept=kept) == []
    shutil.rmtree(run.parent)
    assert problems(outputs) == []
    assert (
        "the folder is gone: entry 7 of it was kept" in problems(outputs, kept=kept)[0]
    )


def test_a_copied_record_in_a_forged_chain_is_found(archive) -> None:
    """A chain written anew around a run of another stage: the record says its own."""
    outputs, (run, *_) = archive
    qa = write_run(outputs, "QA")
    shutil.copytree(run, qa.parent / run.name)
    end = next(
        e
        for e in chain.entries(run.parent)
        if e["kind"] == "close" and e["run_id"] == run.name[-36:]
    )
    facts = {"target": "rehearsal", "app": "tika", "room": "QA"}
    chain.opened(qa.parent, end["run_id"], run.name, **facts)
    chain.append(
        qa.parent,
        "close",
        run_id=end["run_id"],
        record_sha256=end["record_sha256"],
        status=end["status"],
    )
    assert "is of stage CI, but is in QA" in problems(outputs)[0]


def test_tombstones_are_accepted_and_what_was_put_back_is_not(archive) -> None:
    """Several pruned runs are no fault; one that is there again is."""
    outputs, (one, two, *_) = archive
    ends = {e["run_id"]: e for e in chain.entries(one.parent) if e["kind"] == "close"}
    shutil.copytree(two, outputs / "kept")
    for run in (one, two):
        end = ends[run.name[-36:]]
        data = {k: end[k] for k in ("run_id", "record_sha256", "status")}
        chain.append(run.parent, "pruned", folder=run.name, who="a", reason="b", **data)
        shutil.rmtree(run)
    assert problems(outputs) == []
    (outputs / "kept").rename(two)
    assert "the chain says it was pruned" in problems(outputs)[0]


def test_late_logs_are_held_to_their_entries(archive) -> None:
    """Without an entry a note; with one, its bytes count, and that it is there."""
    outputs, (run, *_) = archive
    log = run / "logs/up.after.log"
    log.write_text("late")
    assert problems(outputs) == []
    assert "still being written" in str(verifier.verify(str(outputs))["notes"])
    data = {"run_id": run.name[-36:], "file": "logs/up.after.log"}
    sha = hashlib.sha256(b"late").hexdigest()
    chain.append(run.parent, "after", sha256=sha, **data)
    assert "still being written" not in str(verifier.verify(str(outputs))["notes"])
    log.write_text("Late")
    assert "logs/up.after.log: was changed" in problems(outputs)[0]
    log.unlink()
    assert "logs/up.after.log: was removed" in problems(outputs)[0]


def test_what_a_crash_leaves_is_a_note(archive) -> None:
    """A head one behind, half a line, a directory that is still empty."""
    outputs, (run, *_) = archive
    room = run.parent
    before = (room / "chain.head").read_bytes()
    chain.append(room, "after", run_id=run.name[-36:], file="x", sha256="")
    change_line(room, lambda lines: lines[:-1])
    (room / "chain.head").write_bytes(before)
    lines = (room / "chain.jsonl").read_bytes().splitlines()
    lagging = {"n": 6, "sha256": hashlib.sha256(lines[-2]).hexdigest()}
    (room / "chain.head").write_text(json.dumps(lagging))
    with (room / "chain.jsonl").open("ab") as file:
        file.write(b'{"n": 8, "prev"')
    (room / f"2026-11-23T15-09-44Z_deploy_{new_run_id()}" / "logs").mkdir(parents=True)
    report = verifier.verify(str(outputs))
    assert report["problems"] == []
    text = "\n".join(verifier.lines(report))
    for words in ("lags one entry", "cut off while", "killed at its start"):
        assert words in text


def test_it_runs_alone_and_says_so_by_its_exit_code(archive) -> None:
    """The copy in the archive: isolated Python, any folder, 0 and 1 and 2."""
    outputs, (run, *_) = archive

    def call(*words: str) -> tuple[int, str]:
        argv = [sys.executable, "-I", str(outputs / "verify.py"), *words]
        said = subprocess.run(
            argv, check=False, capture_output=True, text=True, cwd="/", env={}
        )
        return said.returncode, said.stdout + said.stderr

    assert call()[1].startswith("All good: 4 runs, 15 files")
    assert "examples:" in call("--help")[1]
    code, text = call("--json", "--all")
    assert (code, json.loads(text)["good"]) == (0, True)
    assert call("--print-head")[1].splitlines()[-1].startswith("archive ")
    assert call("fff")[0] == 2
    for words in (("--head", "none"), ("--head", ""), ("--archive", "")):
        assert call(*words)[0] == 2
    (run / "logs/up.log").write_text("\x1b[2J")
    (run / "logs/\x1b[2J").write_text("")
    code, text = call(run.name[-36:])
    assert code == 1
    assert "logs/up.log: was changed" in text
    assert "\x1b" not in text


def test_many_runs_are_checked_by_several_processes(archive, monkeypatch) -> None:
    """What is found is the same, and in the same order."""
    outputs, runs = archive
    (runs[2] / "logs/up.log").write_text("")
    alone = verifier.verify(str(outputs))
    monkeypatch.setattr(verifier, "POOL_FROM", 1)
    assert verifier.verify(str(outputs)) == alone
    assert not alone["good"]


@settings(max_examples=150)
@given(st.data())
def test_no_damage_to_the_form_of_an_entry_ends_in_a_stack(data) -> None:
    """Chain, head and record, changed by structure: named as wrong, never an error."""
    with SMALL.copy() as outputs:
        room = outputs / "rehearsal/tika/CI"
        names = ["chain.jsonl", "chain.head", *sorted(room.rglob("run.json"))]
        path = room / data.draw(st.sampled_from(names), label="file")
        lines = path.read_text().splitlines() if path.name != "run.json" else []
        whole = lines or [path.read_text()]
        at = data.draw(st.integers(0, len(whole) - 1), label="line")
        before = json.loads(whole[at])
        after = damaged(before, data.draw)
        whole[at] = json.dumps(after)
        path.write_text("\n".join(whole) + "\n")
        report = verifier.verify(str(outputs))
        assert report["good"] == (json.dumps(before) == whole[at])
        assert verifier.lines(report)
        verifier.heads(report)


def test_an_entry_whose_kind_is_damaged_is_named(archive) -> None:
    """A key that is no longer `kind`: the line is no entry, and the run has no end."""
    outputs, (run, *_) = archive
    change_line(
        run.parent,
        lambda lines: [x.replace('"kind": "close"', '"pkind": "close"') for x in lines],
    )
    found = problems(outputs)
    assert any("was changed: it is not an entry" in text for text in found)
    assert any("the end of the run is not in the chain" in text for text in found)


@pytest.mark.parametrize("name", ["chain.jsonl", "chain.head"])
def test_a_directory_in_place_of_a_file_is_named(archive, name) -> None:
    """What cannot be read as a file is wrong, and the rest is still looked at."""
    outputs, (run, *_) = archive
    (run.parent / name).unlink()
    (run.parent / name).mkdir()
    assert problems(outputs) != []


SMALL = Small(lambda outputs: [write_run(outputs) for _ in range(3)])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_single_change_of_a_file_is_found(data) -> None:
    """A byte changed, removed or added, anywhere in runs, chain or head."""
    with SMALL.copy() as outputs:
        room = outputs / "rehearsal/tika/CI"
        paths = sorted(p for p in room.rglob("*") if p.is_file())
        path = data.draw(st.sampled_from(paths), label="file")
        raw = bytearray(path.read_bytes())
        how = data.draw(st.sampled_from(["flip", "remove", "add"]))
        at = data.draw(st.integers(0, len(raw) - 1), label="at")
        if how == "flip":
            raw[at] ^= data.draw(st.integers(1, 255))
        elif how == "remove":
            del raw[at : at + data.draw(st.integers(1, len(raw)))]
        else:
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        before = (path.read_bytes(), json.loads((room / "chain.head").read_text()))
        path.write_bytes(raw)
        if path.name == "chain.head":
            try:  # white space and the like change no meaning
                meaning = json.loads(raw)
            except ValueError:
                meaning = None
            if meaning == before[1]:
                return
        assert bytes(raw) == before[0] or problems(outputs) != []


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_change_of_the_order_of_lines_is_found(data) -> None:
    """Lines swapped, removed, repeated: whichever."""
    with SMALL.copy() as outputs:
        path = outputs / "rehearsal/tika/CI/chain.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        places = st.lists(st.integers(0, len(lines) - 1), max_size=8)
        order = data.draw(places.filter(lambda x: x != list(range(len(lines)))))
        path.write_bytes(b"".join(lines[n] for n in order))
        assert problems(outputs) != []
