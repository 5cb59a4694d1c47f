"""`olrunbook approve`, `reject` and `resume` of what waits, as they are called."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from click.testing import CliRunner

from olrunbook.archive import chain
from olrunbook.archive.place import list_runs
from olrunbook.cli import cli, main
from olrunbook.project.catalog import Project, find_project
from olrunbook.targets import Target
from tests.gates import CELLS, IMAGES, Stand, write_notebook

OLRUNBOOK = str(Path(sys.executable).parent / "olrunbook")
RUN = ("run", "deploy", "-p", "images", IMAGES, "-p", "stage")
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def stand(project: Project) -> Stand:
    """Return a project whose CI has a gate."""
    return Stand(project, "gates.CI = {}")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Return a function that calls the command line: code, all it said."""

    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out + said.err

    return run


def waits(stand: Stand, call: Call, stage: str = "CI") -> str:
    """Run the deploy of a stage until it waits; return the run's id."""
    code, said = call(*RUN, stage)
    assert code == 3, said
    return stand.last(stage).run_id


def test_what_to_type_is_said_only_where_the_run_waits(
    stand: Stand, call: Call
) -> None:
    """A run whose cell swallowed the wait has failed: there is nothing to approve."""
    swallowed = "try:\n    await run.gate(plan)\nexcept Exception:\n    pass"
    write_notebook(stand.path, "plan = run.preview()", swallowed, "run.conclude()")
    code, said = call(*RUN, "CI")
    record = stand.last()
    assert (code, record.status, record.gates[-1].status) == (1, "failed", "waiting")
    assert "Waiting for approval" not in said
    assert "olrunbook approve" not in said


def test_what_was_taken_up_or_rejected_waits_no_more(stand: Stand, call: Call) -> None:
    """`runs --status waiting` lists what can still be approved, and nothing else."""

    def listed() -> list[str]:
        said = call("runs", "--status", "waiting")[1]
        return [line.partition("\t")[0] for line in said.splitlines()]

    first = waits(stand, call)
    assert listed() == [first]
    assert call("resume", first)[0] == 3  # nobody approved it: it waits anew
    second = stand.last().run_id
    assert listed() == [second]
    assert second != first
    assert call("resume", first)[0] == 3  # as it said in the beginning
    third = stand.last().run_id
    assert listed() == [third]  # it is one deploy, and asks once
    assert call("reject", third, "--reason", "no")[0] == 0
    assert call("resume", second)[0] == 4
    assert listed() == []
    assert len(call("runs")[1].splitlines()) == 3


def test_waiting_then_approved_then_resumed(stand: Stand, call: Call) -> None:
    """Exit 3 with the lines to type; they do what they say; the records name it all."""
    code, said = call(*RUN, "CI")
    waiting = stand.last()
    name = f"{waiting.run_id[:4]}…{waiting.run_id[-6:]}"
    assert code == 3
    assert 'Waiting for approval: "Apply these changes to CI?" 1 to update' in said
    assert f'olrunbook approve {name} --reason "…"' in said
    assert f"then     olrunbook resume {name}" in said
    assert "this run and exactly this preview (sha256 " in said
    code, said = call(
        "approve", name, "--reason", "QA is fine, password=hunter22secret"
    )
    assert code == 0, said
    assert f"Go on: olrunbook resume {name}" in said
    assert "hunter22secret" not in str(stand.entries())
    assert stand.changed == []
    assert "approved by " in call("show", name)[1]
    code, said = call("resume", name)
    done = stand.last()
    assert (code, done.status, stand.changed) == (0, "succeeded", [done.run_id])
    (gate,) = done.gates
    assert (gate.status, gate.known) == (
        "approved",
        "olrunbook approve; claimed: operating system, git",
    )
    assert (
        f"run {done.run_id[:4]}…{done.run_id[-6:]} went on with it"
        in (call("show", waiting.run_id)[1])
    )
    assert "by " in call("show", done.run_id)[1]
    stand.verify()


def test_an_approval_is_of_what_was_shown(stand: Stand, call: Call) -> None:
    """A preview that changed since waits anew, and what differs is said."""
    run = waits(stand, call)
    assert call("approve", run, "--reason", "fine")[0] == 0
    stand.size("9")
    code, said = call("resume", run)
    assert code == 3
    assert "not shown before: update Group g maxSize 1 → 9" in said
    assert "no more: update Group g maxSize 1 → 2" in said
    assert "is of another preview" in said
    assert stand.changed == []
    stand.size("2")
    assert call("resume", run)[0] == 0
    assert len(stand.changed) == 1
    stand.verify()


def test_an_approval_is_not_used_twice(stand: Stand, call: Call) -> None:
    """A second resume of the same run is refused; another run's approval is none."""
    run = waits(stand, call)
    assert call("approve", run, "--reason", "fine", "--resume")[0] == 0
    code, said = call("resume", run)
    assert code == 4
    assert "which succeeded" in said
    assert call("approve", run, "--reason", "again")[0] == 4
    assert waits(stand, call) != run
    assert len(stand.changed) == 1
    stand.verify()


def test_of_two_resumes_at_the_same_moment_one_goes_on(
    stand: Stand, call: Call
) -> None:
    """The other waits: exit codes 0 and 3, and one change."""
    run = waits(stand, call)
    call("approve", run, "--reason", "fine")
    argv = [OLRUNBOOK, "resume", run]
    both = [
        subprocess.Popen(argv, cwd=stand.root, stdin=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert sorted(process.wait(120) for process in both) == [0, 3]
    assert len(stand.changed) == 1
    assert [entry["kind"] for entry in stand.entries()].count("used") == 1
    stand.verify()


def test_what_a_killed_writer_left_stops_nobody(stand: Stand, call: Call) -> None:
    """A head one entry behind is no fault: approved and resumed, as it verifies."""
    run = waits(stand, call)
    head = stand.project.outputs / "rehearsal" / "tika" / "CI" / "chain.head"
    for words in (("approve", run, "--reason", "fine"), ("resume", run)):
        first, second = stand.entries()[-2:]
        assert json.loads(head.read_text())["n"] == second["n"]
        head.write_text(json.dumps({"n": first["n"], "sha256": second["prev"]}))
        code, said = call(*words)
        assert code == 0, said
    stand.verify()


def test_a_rejected_run_is_not_resumed(stand: Stand, call: Call) -> None:
    """Exit 4, with who and why; nor can it be approved any more."""
    run = waits(stand, call)
    code, said = call("reject", run, "--reason", "not on a Friday")
    assert code == 0
    assert said.startswith('Rejected: "Apply these changes to CI?"')
    for words in (("resume", run), ("approve", run, "--reason", "but")):
        code, said = call(*words)
        assert code == 4
        assert '"not on a Friday"' in said
    assert "rejected by " in call("show", run)[1]
    assert stand.changed == []


def test_what_does_not_verify_is_not_resumed(stand: Stand, call: Call) -> None:
    """A rejection that was cut off, an approval that was made up: exit 4."""
    run = waits(stand, call)
    room = next(list_runs(stand.project.outputs, room="CI")).folder.parent
    whole = (room / "chain.jsonl").read_bytes()
    call("reject", run, "--reason", "no")
    (room / "chain.jsonl").write_bytes(whole)
    code, said = call("resume", run)
    assert (code, "does not verify" in said) == (4, True)
    assert stand.changed == []


def test_a_gate_that_was_taken_out_still_asks(project: Project, call: Call) -> None:
    """What the run that waits was asked for holds, whatever the catalog says now."""
    (project.root / "signers").touch()
    gate = "gates.CI = { people = 2, signature = true }"
    stand = Stand(project, f'signers = "signers"\n{gate}')
    run = waits(stand, call)
    file = project.catalog_file
    file.write_text(file.read_text().replace(gate, "gates.CI = {}"))
    code, said = call("approve", run, "--reason", "fine")
    assert (code, "wants a signature" in said) == (4, True)
    file.write_text(file.read_text().replace("gates.CI = {}", ""))
    assert call("resume", run)[0] == 3
    assert stand.last().gates[-1].people == 2
    assert stand.changed == []


DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "approvals.md"


def test_the_document_shows_a_catalog_that_is_one(project: Project) -> None:
    """The gates of docs/approvals.md are read as they stand."""
    text = re.search(r"(?ms)^    (\[targets.*?12h.)$", DOCUMENT.read_text())
    assert text is not None
    (project.root / "allowed_signers").touch()
    catalog = project.catalog_file
    before, rest = catalog.read_text().split("[targets.rehearsal]\n")
    tail = rest.partition("\n")[2]
    gates = "\n".join(line.strip() for line in text[1].splitlines())
    catalog.write_text(f"{before}{gates}\n{tail}")
    found = find_project(project.root).catalog
    assert str(found.gate("rehearsal", "QA")) == "1 person, an approval lasts 7 days"
    production = "2 people, signed, an approval lasts 12 hours"
    assert str(found.gate("rehearsal", "Production")) == production


def test_what_cannot_be_approved(stand: Stand, call: Call) -> None:
    """No reason, no run, one that waits for nobody, one that was changed since."""
    run = waits(stand, call)
    assert call("approve", run)[0] == call("reject", run)[0] == 2
    assert call("approve", "ffffff", "--reason", "fine")[0] == 2
    code, said = call("approve", run, "--reason", "x", "--sign", str(stand.path))
    assert (code, "names no `signers`" in said) == (2, True)
    assert call(*RUN, "QA")[0] == 0
    code, said = call("approve", stand.last("QA").run_id, "--reason", "fine")
    assert (code, "waits at no gate" in said) == (4, True)
    place = next(list_runs(stand.project.outputs, room="CI"))
    with (place.folder / "journal.jsonl").open("a") as out:
        out.write("\n")
    code, said = call("approve", run, "--reason", "fine")
    assert (code, "does not verify" in said) == (4, True)


NOWHERE = "zq7KplainPassphrase4711"


def test_a_reason_is_kept_as_it_may_be(
    stand: Stand, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the shell's secrets, on one line of a terminal, and it says something."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", NOWHERE)
    run = waits(stand, call)
    for nothing in ("\u200b", "\xad ", "x" * 1001):
        assert call("approve", run, "--reason", nothing)[0] == 2
    words = ("--reason", f"a\nb\x1b[31m\x07\udcff {NOWHERE}")
    assert call("reject", run, *words)[0] == 0
    code, said = call("resume", run)
    assert (code, "\x1b" in said, "\x07" in said) == (4, False, False)
    for path in stand.project.outputs.rglob("*"):
        assert not path.is_file() or NOWHERE.encode() not in path.read_bytes(), path


def test_gates_on_the_command_line(stand: Stand, call: Call, project: Project) -> None:
    """A gate is rehearsed, and stays one when resumed; wrong use is told before all."""
    assert call(*RUN, "QA", "--gate", "QA")[0] == 3
    assert call("resume", stand.last("QA").run_id)[0] == 3
    assert call(*RUN, "QA", "--gate", "all")[0] == 3
    before = len(list(list_runs(project.outputs)))
    assert call(*RUN, "QA", "--gate", "Prod")[0] == 2
    code, said = call(*RUN, "QA", "--gate", "Production")
    assert (code, "this changes QA only" in said) == (2, True)
    assert call(*RUN, "QA", "--approve-all")[0] == 2
    assert call(*RUN, "QA", "--reason", "x")[0] == 2
    code, said = call("run", "rollout", "--stage", "QA", "--gate", "QA")
    assert (code, "rollout asks at no gate" in said) == (2, True)
    write_notebook(stand.path, "run.preview()", "run.conclude()")
    assert call(*RUN, "QA", "--gate", "QA")[0] == 2
    write_notebook(stand.path, *CELLS)
    assert len(list(list_runs(project.outputs))) == before
    words = ("--gate", "QA", "--approve-all", "--reason", "a rehearsal")
    assert call(*RUN, "QA", *words)[0] == 0


@pytest.fixture
def two(project: Project, tmp_path: Path) -> Stand:
    """Return a project whose CI wants two signatures; the keys are `ann` and `bob`."""
    for name in ("ann", "bob"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]
        subprocess.run(argv, check=True)
        with (project.root / "signers").open("a") as out:
            out.write(f"{name}@example.org {(tmp_path / f'{name}.pub').read_text()}")
    text = 'signers = "signers"\ngates.CI = { people = 2, signature = true }'
    return Stand(project, text)


def test_an_emergency_goes_on_and_is_countersigned(
    two: Stand, call: Call, tmp_path: Path
) -> None:
    """One signature lets it through; header and `show` say so until another signs."""
    run = waits(two, call)
    words = ("--reason", "site is down", "--sign", str(tmp_path / "ann"))
    code, said = call("approve", run, *words, "--emergency", "--resume")
    assert code == 0, said
    assert "EMERGENCY. Approved" in said
    record = two.last()
    assert record.gates[0].emergency
    assert record.gates[0].by == "ann@example.org"
    assert record.headline.startswith("EMERGENCY: ")
    assert "nobody has countersigned it yet" in call("show", record.run_id)[1]
    place = next(list_runs(two.project.outputs))
    page = (place.folder / "notebook.html").read_text()
    assert "approved this alone, where 2 people must" in page
    assert call("countersign", run, *words)[0] == 4  # it waited, and changed nothing
    assert call("countersign", record.run_id, *words)[0] == 4
    words = ("--reason", "read it", "--sign", str(tmp_path / "bob"))
    assert call("countersign", record.run_id, *words)[0] == 0
    assert "countersigned by" in call("show", record.run_id)[1]
    two.verify()


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_what_is_no_key_or_stays_shut_signs_nothing(
    two: Stand,
    call: Call,
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No key, its other half away, a wrong passphrase: wrong usage that says which."""
    run = waits(two, call)
    place = next(list_runs(two.project.outputs))
    before = chain.entries(place.folder.parent)
    words = (command, run, "--reason", "x", "--sign")
    code, said = call(*words, "/etc/passwd")
    assert (code, "/etc/passwd is no key" in said) == (2, True)
    (tmp_path / "ann").unlink()
    code, said = call(*words, str(tmp_path / "ann.pub"))
    assert (code, "No private key found" in said) == (2, True)
    bob = str(tmp_path / "bob")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "right", "-f", bob], check=True)
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")  # what it says is no passphrase
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    code, said = call(*words, bob)
    assert (code, "incorrect passphrase" in said) == (2, True)
    assert chain.entries(place.folder.parent) == before


def test_two_people_sign(
    project: Project, two: Stand, call: Call, tmp_path: Path
) -> None:
    """One signature is not enough, and --approve-all is refused before anything."""
    stand = two
    code, said = call(*RUN, "CI", "--approve-all", "--reason", "hurry")
    assert (code, "opens no gate" in said) == (4, True)
    assert list(list_runs(project.outputs)) == []
    run = waits(stand, call)
    words = ("approve", run, "--reason", "ticket 7")
    assert call(*words)[0] == 4
    code, said = call(*words, "--sign", str(tmp_path / "ann"), "--resume")
    assert (code, "1 of 2 people have approved it" in said) == (3, True)
    code, said = call("resume", run)
    assert (code, "1 of 2 people have approved it: ann@example.org" in said) == (
        3,
        True,
    )
    again = ("approve", stand.last().run_id, *words[2:])  # what was resumed too early
    code, said = call(*again, "--sign", str(tmp_path / "bob"), "--resume")
    assert code == 0, said
    (gate,) = stand.last().gates
    assert gate.by == "ann@example.org; bob@example.org"
    assert gate.known.count("signature, SHA256:") == 2
    stand.verify()


def test_who_may_sign_is_decided_in_a_commit(
    two: Stand, call: Call, tmp_path: Path
) -> None:
    """A changed file of signers opens no gate: not when approved, not when resumed."""

    def git(*words: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", "-C", two.root, *who, *words], check=True)

    (two.root / ".gitignore").write_text("outputs/\nchanged\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "all")
    run = waits(two, call)
    words = ("approve", run, "--reason", "ticket 7", "--sign")
    assert call(*words, str(tmp_path / "ann"))[0] == 0
    signers = two.root / "signers"
    before = signers.read_text()
    signers.write_text(before + "\n# another\n")
    code, said = call(*words, str(tmp_path / "bob"))
    assert (code, "not as it was committed" in said) == (4, True)
    signers.write_text(before)
    assert call(*words, str(tmp_path / "bob"))[0] == 0
    signers.write_text(before + "\n# another\n")
    assert call("resume", run)[0] == 4
    assert two.changed == []
    signers.write_text(before)
    assert call("resume", run)[0] == 0


def test_who_signs_with_another_does_not_resume_it(
    two: Stand, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`approve --resume` of the second signer tells so, and uses nothing up."""
    run = waits(two, call)
    words = ("approve", run, "--reason", "ticket 7", "--sign")
    assert call(*words, str(tmp_path / "ann"))[0] == 0
    monkeypatch.setenv("LOGNAME", "bob")
    code, said = call(*words, str(tmp_path / "bob"), "--resume")
    assert (code, "does not run it" in said) == (3, True)
    assert f"resume {two.last().run_id[:4]}" in said
    monkeypatch.setenv("LOGNAME", "cy")
    assert call("resume", run)[0] == 0
    two.verify()


def test_a_person_at_the_terminal_is_asked(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would change is told again; approved, it goes on at once; else nothing."""
    monkeypatch.setattr("olrunbook.cli.gates._terminal", lambda: True)

    def at_terminal(text: str) -> Any:
        return CliRunner().invoke(cli, [*RUN, "CI"], input=text, standalone_mode=False)

    assert at_terminal("").return_value == 3  # Ctrl-D: it waits, as its record says
    blank = at_terminal("approve\n  \n")
    assert (blank.return_value, "reason is missing" in blank.output) == (3, True)
    assert at_terminal("reject\n").return_value == 3  # Ctrl-D instead of a reason
    later = at_terminal("later\n")
    assert later.return_value == 3
    assert "update Group g maxSize 1 → 2" in later.output
    assert "All instances are replaced." in later.output
    rejected = at_terminal("reject\nnot today\n")
    assert getattr(rejected.exception, "exit_code", 0) == 4
    assert stand.changed == []
    approved = at_terminal("approve\nlooked at it\n")
    assert approved.return_value == 0, approved.output
    record = stand.last()
    assert (record.status, record.gates[0].reason) == ("succeeded", "looked at it")
    assert record.gates[0].known.startswith("at the terminal")
    stand.verify()


def test_prune_leaves_an_approval_that_may_be_used(stand: Stand, call: Call) -> None:
    """Named, the run is refused; by age it is passed over; once used it goes."""
    run = waits(stand, call)
    call("approve", run, "--reason", "fine")
    code, said = call("prune", run, "--reason", "old", "--yes")
    assert (code, "is not used yet" in said) == (4, True)
    old = ("prune", "--older-than", "0d", "--reason", "old", "--yes")
    assert call(*old)[1] == "No runs.\n"
    assert call("resume", run)[0] == 0
    assert call("prune", run, "--reason", "old", "--yes")[0] == 0
    stand.verify()


@pytest.fixture
def release(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ...]:
    """Return a release of one stage, with small notebooks and no cloud."""
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
    for module in ("release", "resume"):
        name = f"olrunbook.cli.{module}.ensure_cloud"
        monkeypatch.setattr(name, lambda *_, **__: target)
    monkeypatch.setattr("olrunbook.pipeline.Probe", MagicMock())
    write_notebook(stand.root / "notebooks" / "rollout.ipynb", "run.conclude()")
    return ("release", "tika", "--to", "CI", "--images", IMAGES)


def test_a_release_waits_with_its_deploy(
    stand: Stand, call: Call, release: tuple[str, ...]
) -> None:
    """Exit 3; approved by its own id, it goes on where it waited, and is done."""
    code, said = call(*release)
    assert code == 3, said
    waiting = stand.last("release")
    name = f"{waiting.run_id[:4]}…{waiting.run_id[-6:]}"
    assert (waiting.status, waiting.exit_code) == ("waiting", 3)
    assert f"then     olrunbook resume {name}" in said
    assert [(p.notebook, p.status) for p in waiting.parts] == [("deploy", "waiting")]
    code, said = call("approve", name, "--reason", "fine", "--resume")
    assert code == 0, said
    done = stand.last("release")
    assert (done.status, done.resumes) == ("succeeded", waiting.run_id)
    assert [(p.notebook, p.status) for p in done.parts] == [
        ("deploy", "succeeded"),
        ("rollout", "succeeded"),
    ]
    assert len(stand.changed) == 1
    stand.verify()


def test_a_release_goes_on_after_its_deploy_alone_was_resumed(
    stand: Stand, call: Call, release: tuple[str, ...]
) -> None:
    """The deploy counts for it: it is kept, and its approval not asked for again."""
    assert call(*release)[0] == 3
    waiting, part = stand.last("release"), stand.last().run_id
    assert call("approve", part, "--reason", "fine")[0] == 0
    name = f"{waiting.run_id[:4]}…{waiting.run_id[-6:]}"
    assert re.search(r'gate +approved by .*, "fine", shown', call("show", name)[1])
    code, said = call("resume", part)
    assert code == 0, said
    assert f"which goes on by: olrunbook resume {name}" in said
    assert call("resume", name)[0] == 0
    done = stand.last("release")
    assert [(p.notebook, p.status) for p in done.parts] == [
        ("deploy", "kept"),
        ("rollout", "succeeded"),
    ]
    assert len(stand.changed) == 1
    stand.verify()


def test_a_release_keeps_the_gates_it_was_given(
    stand: Stand, call: Call, release: tuple[str, ...]
) -> None:
    """--gate holds for the release that takes it up; a rejected part ends it."""
    words = (*release[:2], "--to", "QA", *release[4:], "--gate", "QA")
    assert call(*words)[0] == 3
    first = stand.last("release")
    assert first.parameters["gates"] == "QA"
    code, said = call("approve", first.run_id, "--reason", "fine", "--resume")
    assert code == 3, said
    second = stand.last("release")
    assert [(p.notebook, p.stage, p.status) for p in second.parts][-1] == (
        "deploy",
        "QA",
        "waiting",
    )
    assert call("reject", second.run_id, "--reason", "no")[0] == 0
    assert call("runs", "--status", "waiting") == (0, "")
    assert call("resume", second.run_id)[0] == 4
    assert len(stand.changed) == 1
    stand.verify()
