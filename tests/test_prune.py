"""`olrunbook verify` and `olrunbook prune` as they are called."""

from __future__ import annotations

import hashlib
import json

import pytest

from olrunbook.archive import chain
from olrunbook.cli import main
from olrunbook.record.files import new_run_id


@pytest.fixture
def call(capsys):
    """Return a function that calls the command line: code, output, complaints."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def write(project):
    """Return a function that writes a run of a day, closed or not."""

    def make(day: str = "2026-01-02", *, ends: bool = True):
        run_id = new_run_id()
        room = project.outputs / "rehearsal" / "tika" / "CI"
        folder = room / f"{day}T15-09-44Z_deploy_{run_id}"
        (folder / "logs").mkdir(parents=True)
        facts = {"target": "rehearsal", "app": "tika", "room": "CI"}
        chain.opened(room, run_id, folder.name, **facts)
        if ends:
            raw = json.dumps({"run_id": run_id, "status": "failed", "files": {}})
            (folder / "run.json").write_text(raw)
            sha = hashlib.sha256(raw.encode()).hexdigest()
            chain.append(
                room, "close", run_id=run_id, record_sha256=sha, status="failed"
            )
        return folder

    return make


def test_verify_answers_first(call, write) -> None:
    """Good is 0 and one line; wrong is 1 with run and file; a wrong call is 2."""
    run = write()
    code, text, _ = call("verify")
    assert (code, text[:16]) == (0, "All good: 1 runs")
    assert call("verify", run.name[-6:])[0] == 0
    (run / "more").write_text("")
    code, text, _ = call("verify", "--all")
    assert code == 1
    assert f"run {run.name[-36:]} · more: was added" in text
    code, text, _ = call("verify", "--json")
    assert (code, json.loads(text)["good"]) == (1, False)
    assert call("verify", "none")[0] == 2
    assert call("verify", run.name[-6:], "--all")[0] == 2


def test_a_kept_head_is_looked_for(call, write, tmp_path) -> None:
    """What --print-head printed, as a file."""
    write()
    kept = tmp_path / "kept.txt"
    kept.write_text(call("verify", "--print-head")[1])
    write()
    assert call("verify", "--head", str(kept))[0] == 0
    assert call("verify", "--head", "f" * 64)[0] == 1
    assert call("verify", "--head", str(tmp_path / "no"))[0] == 2


def test_prune_leaves_a_tombstone(call, write) -> None:
    """What it was, who removed it and why; the archive verifies, also twice."""
    old, young = write(), write("2999-01-01")
    sha = hashlib.sha256((old / "run.json").read_bytes()).hexdigest()
    words = ("--older-than", "90d", "--reason", "a quarter", "--yes")
    assert call("prune", *words)[0] == 0
    assert (old.exists(), young.exists()) == (False, True)
    stone = chain.entries(young.parent)[-1]
    assert stone["kind"] == "pruned"
    assert (stone["run_id"], stone["folder"]) == (old.name[-36:], old.name)
    assert (stone["record_sha256"], stone["status"]) == (sha, "failed")
    assert "@" in stone["who"]
    assert stone["reason"] == "a quarter"
    assert call("verify")[0] == 0
    code, text, _ = call("prune", *words)
    assert (code, text) == (0, "No runs.\n")


def test_prune_keeps_the_newest(call, write) -> None:
    """--keep counts from the newest; --dry-run removes nothing."""
    runs = [write(f"2026-01-0{day}") for day in (1, 2, 3)]
    assert "2 runs would" in call("prune", "--keep", "1", "--dry-run")[1]
    assert all(run.exists() for run in runs)
    call("prune", "--keep", "1", "--reason", "r", "--yes")
    assert [run.exists() for run in runs] == [False, False, True]


def test_prune_never_removes_a_run_that_goes_on(call, write) -> None:
    """Named it is refused, and nothing else goes; by age it is passed over."""
    going, done = write(ends=False), write()
    names = (going.name[-36:], done.name[-36:])
    code, _, said = call("prune", *names, "--reason", "r", "--yes")
    assert code == 4
    assert "has no record" in said
    assert done.exists()
    call("prune", "--older-than", "1d", "--reason", "r", "--yes")
    assert (going.exists(), done.exists()) == (True, False)


def test_prune_does_not_remove_evidence(call, write) -> None:
    """A run that was changed is refused: its tombstone would say it was whole."""
    run = write()
    (run / "more").write_text("")
    code, _, said = call("prune", run.name[-36:], "--reason", "r", "--yes")
    assert code == 4
    assert "does not verify" in said
    assert run.exists()


def test_prune_goes_on_where_it_was_cut_off(call, write) -> None:
    """With the tombstone there, and the directory half removed, it ends the work."""
    run = write()
    data = {"run_id": run.name[-36:], "folder": run.name, "status": "failed"}
    sha = hashlib.sha256((run / "run.json").read_bytes()).hexdigest()
    chain.append(run.parent, "pruned", record_sha256=sha, **data)
    (run / "run.json").unlink()
    assert call("verify")[0] == 1
    assert call("prune", run.name[-36:], "--reason", "r", "--yes")[0] == 0
    assert not run.exists()
    assert len(chain.entries(run.parent)) == 3
    assert call("verify")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--older-than", "9 moons", "--reason", "r", "--yes"),
        ("--keep", "0", "--yes"),
        ("--keep", "0", "--reason", "r"),
        ("none", "--reason", "r", "--yes"),
    ],
)
def test_prune_needs_a_choice_a_reason_and_a_yes(call, write, words) -> None:
    """Anything less is a wrong call, and nothing is removed."""
    run = write()
    assert call("prune", *words)[0] == 2
    assert run.exists()
