"""Decisions at a gate: who counts, for what, how long, and only once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from olrunbook.adapters.aws.seen import RefreshSeen
from olrunbook.archive import chain, verifier
from olrunbook.archive.place import RunPlace, new_place
from olrunbook.errors import RefusedError, UsageError
from olrunbook.project.gates import GateSpec
from olrunbook.steps.approval.decisions import (
    By,
    decide,
    may_be_used,
    message,
    use,
)
from olrunbook.steps.approval.digest import differences, digest, part_digests
from olrunbook.steps.approval.emergency import countersign, emergencies
from olrunbook.steps.approval.model import Asked
from olrunbook.steps.deploy.availability import availability
from olrunbook.steps.results import PropertyChange, ResourceChange

ANN, BOB = By("ann@desk", "claimed"), By("bob@desk", "claimed")
TWO = GateSpec(people=2, signature=True)
NOW = datetime.now(UTC)


@pytest.fixture
def place(tmp_path: Path) -> RunPlace:
    """Return a run of a stage."""
    outputs = tmp_path / "outputs"
    facts = {"target": "rehearsal", "app": "tika", "notebook": "deploy"}
    return new_place(outputs, **facts, stage="Production")


@pytest.fixture
def room(place: RunPlace) -> Path:
    """Return the folder of its stage."""
    return place.folder.parent


def again(place: RunPlace) -> RunPlace:
    """Return another run of the same stage."""
    facts = {"target": place.target, "app": place.app, "notebook": "deploy"}
    return new_place(place.outputs, **facts, stage=place.room)


def ask(*places: RunPlace, of: str = "d1", spec: GateSpec | None = None) -> Asked:
    """Return what the gate asks of a preview."""
    runs = [place.run_id for place in places]
    return Asked(gate="Production", digest=of, spec=spec or GateSpec(), runs=runs)


def faults(room: Path) -> list[str]:
    """Return what the verifier finds wrong in the archive."""
    return [f["text"] for f in verifier.verify(str(room.parents[2]))["problems"]]


def kinds(room: Path) -> list[str]:
    """Return the kinds of the chain's entries."""
    return [entry["kind"] for entry in chain.entries(room)]


def test_an_approval_is_used_once(place: RunPlace, room: Path) -> None:
    """It is taken by who asks first; it cannot be taken, or given, a second time."""
    decide(room, ask(place), ANN, "smoke test is fine", approved=True)
    (taken,), notes = use(room, ask(place))
    assert (taken.person, taken.reason) == ("ann@desk", "smoke test is fine")
    assert notes == []
    taken_again, (note,) = use(room, ask(place))
    assert taken_again == []
    assert "was used by run" in note
    with pytest.raises(RefusedError, match="was used by"):
        decide(room, ask(place), ANN, "once more", approved=True)
    assert kinds(room) == ["open", "approved", "used"]
    assert faults(room) == []


def test_the_run_that_takes_up_another_uses_its_approval(
    place: RunPlace, room: Path
) -> None:
    """Of two that take up the same run one gets it, the other waits."""
    first, second = again(place), again(place)
    decide(room, ask(place), ANN, "fine", approved=True)
    assert use(room, ask(first, place))[0]
    assert use(room, ask(second, place))[0] == []
    assert faults(room) == []


def test_an_approval_for_another_run_gate_or_preview_is_none(
    place: RunPlace, room: Path
) -> None:
    """Each of run, gate and digest must be the one that was approved."""
    other = again(place)
    decide(room, ask(other), ANN, "fine", approved=True)
    assert use(room, ask(place)) == ([], [])
    taken, (note,) = use(room, ask(other, of="d2"))
    assert (taken, "another preview" in note) == ([], True)
    asked = ask(other).model_copy(update={"gate": "QA"})
    assert use(room, asked)[0] == []
    assert "used" not in kinds(room)


def test_an_approval_expires(place: RunPlace, room: Path) -> None:
    """It holds as long as the catalog says, from when it was given."""
    spec = GateSpec(lasts="1h")
    asked = ask(place, spec=spec)
    decide(room, asked, ANN, "fine", approved=True, now=NOW - timedelta(hours=2))
    taken, (note,) = use(room, asked)
    assert (taken, "expired" in note) == ([], True)
    decide(room, asked, ANN, "fine", approved=True, now=NOW)
    assert use(room, asked, now=NOW + timedelta(minutes=59))[0]


def test_a_rejection_stands(place: RunPlace, room: Path) -> None:
    """Neither an approval before nor one after it counts, also for a later run."""
    decide(room, ask(place), ANN, "fine", approved=True)
    decide(room, ask(place), BOB, "the wrong day", approved=False)
    with pytest.raises(RefusedError, match=r'rejected by bob@desk: "the wrong day"'):
        use(room, ask(again(place), place))
    with pytest.raises(RefusedError, match="rejected by bob"):
        decide(room, ask(place), ANN, "but still", approved=True)
    assert faults(room) == []


def test_a_question_is_answered_once(place: RunPlace, room: Path) -> None:
    """Who approves twice makes one update; the verifier finds the second use."""
    for _ in range(2):
        decide(room, ask(place), ANN, "fine", approved=True)
    assert len(use(room, ask(again(place), place))[0]) == 1
    second = again(place)
    taken, notes = use(room, ask(second, place))
    assert taken == []
    assert all("was used by run" in note for note in notes)
    assert not may_be_used(chain.entries(room), place.run_id)
    facts = {"run_id": second.run_id, "gate": "Production", "digest": "d1"}
    runs = [second.run_id, place.run_id]
    n = next(e["n"] for e in reversed(chain.entries(room)) if e["kind"] == "approved")
    chain.append(room, "used", **facts, runs=runs, approvals=[n])
    assert any("were used before" in text for text in faults(room))


def test_a_rejection_is_of_the_runs_before_too(place: RunPlace, room: Path) -> None:
    """What the run that was taken up again has approved does not count any more."""
    n = decide(room, ask(place), ANN, "fine", approved=True)["n"]
    decide(room, ask(again(place), place), BOB, "no", approved=False)
    assert not may_be_used(chain.entries(room), place.run_id)
    other = again(place)
    with pytest.raises(RefusedError, match="rejected by bob"):
        use(room, ask(other, place))
    facts = {"run_id": other.run_id, "gate": "Production", "digest": "d1"}
    chain.append(
        room, "used", **facts, runs=[other.run_id, place.run_id], approvals=[n]
    )
    assert any("that was rejected" in text for text in faults(room))


def test_a_chain_that_was_cut_is_not_used(place: RunPlace, room: Path) -> None:
    """Without its last line, or with one that nobody has written, it is refused."""
    decide(room, ask(place), ANN, "fine", approved=True)
    whole = (room / "chain.jsonl").read_bytes()
    decide(room, ask(place), BOB, "no", approved=False)
    (room / "chain.jsonl").write_bytes(whole)
    with pytest.raises(RefusedError, match="the head named entry 3"):
        use(room, ask(place))


TAKER = """
import sys
from pathlib import Path
from olrunbook.steps.approval.decisions import use
from olrunbook.steps.approval.model import Asked
asked = Asked.model_validate_json(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(len(use(Path(sys.argv[1]), asked)[0]))
"""


def test_of_two_processes_at_the_same_moment_one_gets_it(
    place: RunPlace, room: Path
) -> None:
    """The chain's lock parts them: the approval is used exactly once."""
    decide(room, ask(place), ANN, "fine", approved=True)
    argv = [sys.executable, "-c", TAKER, str(room)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    takers = [
        subprocess.Popen([*argv, ask(again(place), place).model_dump_json()], **pipes)
        for _ in range(2)
    ]
    for taker in takers:
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        taker.stdin.write("\n")
        taker.stdin.flush()
    said = sorted(taker.communicate(timeout=60)[0].strip() for taker in takers)
    assert said == ["0", "1"]
    assert kinds(room).count("used") == 1
    assert faults(room) == []


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"n": [1]},
        {"n": None, "until": 7},
        {"until": {}, "signature": ["x"]},
        {"until": "soon", "digest": ["d1"], "n": True},
    ],
)
def test_a_line_that_is_no_approval_counts_for_nobody(
    place: RunPlace, room: Path, odd: dict[str, Any]
) -> None:
    """Whoever wrote it: nothing crashes, and a good approval still counts."""
    facts = {"run_id": place.run_id, "gate": "Production", "digest": "d1"}
    chain.append(room, "approved", **{**facts, **odd})
    chain.append(room, "used", **{**facts, "approvals": [{}, None, 99], **odd})
    assert use(room, ask(place))[0] == []
    assert not may_be_used(chain.entries(room), place.run_id)
    assert faults(room)
    other = again(place)
    decide(room, ask(other), ANN, "fine", approved=True)
    assert may_be_used(chain.entries(room), other.run_id)
    assert use(room, ask(other))[0]


class Keys:
    """Keys of people, and the file of those who may sign."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.signers = folder, folder / "signers"

    def make(self, name: str, *principals: str) -> By:
        """Make a key; list it for these principals."""
        file = self.folder / name
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)]
        subprocess.run(argv, check=True)
        for principal in principals:
            with self.signers.open("a") as out:
                out.write(f"{principal} {file.with_suffix('.pub').read_text()}")
        return By(f"{name}@desk", "claimed", sign=file)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Return a folder of keys."""
    return Keys(tmp_path)


def test_two_people_are_two_signers(place: RunPlace, room: Path, keys: Keys) -> None:
    """One is not enough, the same one is no second, another makes two."""
    ann = keys.make("ann", "ann@example.org", "ann.too@example.org")
    bob = keys.make("bob", "bob@example.org")
    asked = ask(place, spec=TWO)
    decide(room, asked, ann, "fine", approved=True, signers=keys.signers)
    with pytest.raises(RefusedError, match="has approved it already"):
        decide(room, asked, ann, "again", approved=True, signers=keys.signers)
    assert kinds(room) == ["open", "approved"]
    assert use(room, asked, keys.signers)[0] == []
    entry = decide(room, asked, bob, "fine", approved=True, signers=keys.signers)
    assert entry["known"].startswith("signature, SHA256:")
    assert entry["known"].endswith("; bob@desk, claimed")
    taken, _ = use(room, asked, keys.signers)
    assert [one.person for one in taken] == ["ann@example.org", "bob@example.org"]
    assert faults(room) == []


def test_who_started_the_run_is_none_of_the_two(
    place: RunPlace, room: Path, keys: Keys
) -> None:
    """The names that the run knows of its operator are held against the signers."""
    ann, bob = keys.make("ann", "ann@example.org"), keys.make("bob", "bob@example.org")
    asked = ask(place, spec=TWO)
    for by in (ann, bob):
        decide(room, asked, by, "fine", approved=True, signers=keys.signers)
    asked = asked.model_copy(update={"runners": ["root", "Ann@example.org"]})
    with pytest.raises(RefusedError, match="started the run"):
        decide(room, asked, ann, "again", approved=True, signers=keys.signers)
    taken, (many, note) = use(room, asked, keys.signers)
    assert (taken, "started the run" in note) == ([], True)
    assert many == "1 of 2 people have approved it: bob@example.org"


def test_in_an_emergency_one_signature_is_enough(
    place: RunPlace, room: Path, keys: Keys
) -> None:
    """Also of who started the run; never none, never a pattern, never beside others."""
    ann, any_ = keys.make("ann", "ann@example.org"), keys.make("any", "*@example.com")
    asked = ask(place, spec=TWO).model_copy(update={"runners": ["ann"]})
    given = {"approved": True, "emergency": True, "signers": keys.signers}
    with pytest.raises(RefusedError, match="wants a signature"):
        decide(room, asked, By("ann@desk", "claimed"), "site is down", **given)
    with pytest.raises(RefusedError, match="is no emergency"):
        decide(room, ask(place), ann, "site is down", **given)
    with pytest.raises(RefusedError, match="names no person"):
        decide(room, asked, any_, "site is down", **given)
    decide(room, asked, ann, "site is down", **given)
    ((one,), _) = use(room, asked, keys.signers)
    assert (one.person, one.emergency) == ("ann@example.org", True)
    assert [e.countersigned for e in emergencies(chain.entries(room))] == [None]
    assert faults(room) == []


def test_an_emergency_counts_for_nothing_else(
    place: RunPlace, room: Path, keys: Keys
) -> None:
    """Beside another's approval it makes no two people: the change is an emergency."""
    ann, bob = keys.make("ann", "ann@example.org"), keys.make("bob", "bob@example.org")
    asked = ask(place, spec=TWO)
    signed = {"approved": True, "signers": keys.signers}
    decide(room, asked, bob, "fine", **signed)
    decide(room, asked, ann, "site is down", emergency=True, **signed)
    ((one,), _) = use(room, asked, keys.signers)
    assert (one.person, one.emergency) == ("ann@example.org", True)


def test_somebody_else_countersigns_an_emergency(
    place: RunPlace, room: Path, keys: Keys
) -> None:
    """Not who approved it, with no key of theirs, nor who started it; and once."""
    ann, bob = keys.make("ann", "ann@example.org"), keys.make("bob", "bob@example.org")
    new = keys.make("ann2", "ann@example.org")
    asked = ask(place, spec=TWO).model_copy(update={"runners": ["cy"]})
    cy = keys.make("cy", "cy@example.org")
    with pytest.raises(RefusedError, match="no change in an emergency"):
        countersign(room, asked, bob, "read it", signers=keys.signers)
    signed = {"approved": True, "emergency": True, "signers": keys.signers}
    decide(room, asked, ann, "site is down", **signed)
    assert use(room, asked, keys.signers)[0]
    others = (ann, "approved it already"), (new, "approved it already")
    unsigned = By("bob@desk", "claimed"), "is not signed"
    for by, why in (*others, (cy, "started the run"), unsigned):
        with pytest.raises(RefusedError, match=why):
            countersign(room, asked, by, "read it", signers=keys.signers)
    countersign(room, asked, bob, "read it", signers=keys.signers)
    (done,) = emergencies(chain.entries(room))
    assert done.countersigned is not None
    assert done.countersigned["person"] == "bob@example.org"
    with pytest.raises(RefusedError, match="countersigned already"):
        countersign(room, asked, bob, "read it", signers=keys.signers)
    assert faults(room) == []


def test_the_verifier_finds_a_countersignature_of_nothing(
    place: RunPlace, room: Path
) -> None:
    """It must be of an emergency of that run, gate and preview."""
    decide(room, ask(place), ANN, "fine", approved=True)
    use(room, ask(place))
    facts = {"run_id": place.run_id, "gate": "Production", "digest": "d1"}
    chain.append(room, "countersigned", **facts, of=2)
    assert "countersigns entry 2, which is no emergency of it" in faults(room)[0]


def test_a_pattern_names_no_person(place: RunPlace, room: Path, keys: Keys) -> None:
    """Nor is who started the run, by the name before the @, one of two."""
    ann, bob = keys.make("ann", "ann@example.org"), keys.make("bob", "*@example.org")
    one = ask(place, spec=GateSpec(signature=True))
    for by in (ann, bob):
        decide(room, one, by, "fine", approved=True, signers=keys.signers)
    asked = ask(place, spec=TWO).model_copy(update={"runners": ["ann"]})
    with pytest.raises(RefusedError, match="names no person"):
        decide(room, asked, bob, "again", approved=True, signers=keys.signers)
    taken, (first, second) = use(room, asked, keys.signers)
    assert taken == []
    assert first.endswith("ann@example.org started the run")
    assert "names no person" in second


def test_a_signature_that_is_none_does_not_count(
    place: RunPlace, room: Path, keys: Keys
) -> None:
    """Unsigned, by a stranger, over another text, or by one who may no longer sign."""
    ann, stranger = keys.make("ann", "ann@example.org"), keys.make("eve")
    asked = ask(place, spec=GateSpec(signature=True))
    with pytest.raises(RefusedError, match="wants a signature") as caught:
        decide(room, asked, ANN, "fine", approved=True, signers=keys.signers)
    assert f'{asked.runs[0][-6:]} --reason "…" --sign KEYFILE' in caught.value.hint
    with pytest.raises(RefusedError, match="the signature is of no allowed signer"):
        decide(room, asked, stranger, "fine", approved=True, signers=keys.signers)
    assert kinds(room) == ["open"]
    other = decide(
        room, ask(again(place)), ann, "x", approved=True, signers=keys.signers
    )
    forged = {k: v for k, v in other.items() if k not in ("n", "prev", "at", "kind")}
    chain.append(room, "approved", **forged | {"run_id": place.run_id, "digest": "d1"})
    taken, (note,) = use(room, asked, keys.signers)
    assert taken == []
    assert "is a copy" in note or "does not count" in note
    decide(room, asked, ann, "fine", approved=True, signers=keys.signers)
    keys.signers.write_text("")
    assert use(room, asked, keys.signers)[0] == []


def test_what_is_signed_can_be_checked_by_hand(
    place: RunPlace, room: Path, keys: Keys
) -> None:
    """The message is one line of JSON: run, gate, digest, time, until and reason."""
    ann = keys.make("ann", "ann@example.org")
    asked = ask(place, spec=GateSpec(signature=True))
    entry = decide(room, asked, ann, "fine", approved=True, signers=keys.signers)
    facts = json.loads(message(entry))
    assert facts["kind"] == "approved"
    assert (facts["run_id"], facts["gate"]) == (place.run_id, "Production")
    assert (facts["digest"], facts["reason"]) == ("d1", "fine")
    with pytest.raises(UsageError):
        decide(room, asked, By("x", "x", sign=keys.folder / "none"), "x", approved=True)


def replay(room: Path) -> None:
    """Enter the approval that was used once more, and use it."""
    names = ("n", "prev", "at", "kind")
    found = {e["kind"]: e for e in chain.entries(room)}
    plain = {
        k: {n: v for n, v in e.items() if n not in names} for k, e in found.items()
    }
    n = chain.append(room, "approved", **plain["approved"])["n"]
    chain.append(room, "used", **plain["used"] | {"approvals": [n]})


def test_the_verifier_finds_a_signed_approval_that_was_copied(
    place: RunPlace, room: Path, keys: Keys
) -> None:
    """Whoever can write the chain cannot use a signature twice; nor does `use`."""
    ann = keys.make("ann", "ann@example.org")
    asked = ask(place, spec=GateSpec(signature=True))
    decide(room, asked, ann, "fine", approved=True, signers=keys.signers)
    use(room, asked, keys.signers)
    replay(room)
    assert any("is a copy of the approval of entry 2" in text for text in faults(room))
    assert use(room, asked, keys.signers)[0] == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "a second time"),
        ({"approvals": [1]}, "uses entry 1, which is no approval"),
        ({"approvals": []}, "names no approval"),
        ({"approvals": "all"}, "names no approval"),
        ({"approvals": [None]}, "names no approval"),
        ({"runs": ["another"]}, "names no approval"),
        ({"runs": {}}, "names no approval"),
        ({"run_id": "nobody"}, "never opened"),
    ],
)
def test_the_verifier_finds_a_use_that_is_none(
    place: RunPlace, room: Path, changed: dict[str, Any], says: str
) -> None:
    """A second use, one of nothing, of another run, or of no form at all."""
    decide(room, ask(place), ANN, "fine", approved=True)
    use(room, ask(place))
    assert faults(room) == []
    last = chain.entries(room)[-1]
    plain = {k: v for k, v in last.items() if k not in ("n", "prev", "at", "kind")}
    chain.append(room, "used", **plain | changed)
    assert any(says in text for text in faults(room))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"digest": "d2"}, "that is of another preview"),
        ({"gate": "QA"}, "that is of another preview"),
        ({"run_id": "other", "runs": ["other"]}, "that is for another run"),
        ({"until": "2020-01-01T00:00:00+00:00"}, "after it had expired"),
        ({"rejected": True}, "that was rejected"),
    ],
)
def test_the_verifier_finds_a_use_of_what_was_not_approved(
    place: RunPlace, room: Path, asked: dict[str, Any], says: str
) -> None:
    """For another preview, gate or run; too late; after a rejection."""
    ends = {k: v for k, v in asked.items() if k == "until"}
    facts = {"run_id": place.run_id, "gate": "Production", "digest": "d1"}
    given = {"person": "ann", "until": "2099-01-01T00:00:00+00:00", **ends}
    n = chain.append(room, "approved", **facts, **given)["n"]
    if asked.pop("rejected", False):
        chain.append(room, "rejected", **facts)
    use_of = {**facts, "runs": [place.run_id], "approvals": [n], **asked}
    if use_of["run_id"] == "other":
        other = again(place)
        use_of |= {"run_id": other.run_id, "runs": [other.run_id]}
    use_of.pop("until", None)
    chain.append(room, "used", **use_of)
    assert any(says in text for text in faults(room))


def test_the_verifier_alone_checks_decisions(place: RunPlace, room: Path) -> None:
    """The copy in the archive needs nothing but Python."""
    decide(room, ask(place), ANN, "fine", approved=True)
    use(room, ask(place))
    argv = [sys.executable, "-I", str(place.outputs / "verify.py")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert shutil.which("ssh-keygen")  # nor does any test pass without it


def change(new: str, old: str = "a") -> ResourceChange:
    """Return a change of one property."""
    changed = PropertyChange(path="maxSize", kind="update", old=old, new=new)
    kind = "aws:autoscaling/group:Group"
    return ResourceChange(op="update", type=kind, name="g", urn="u", changes=[changed])


def test_a_digest_is_of_the_values_not_of_what_moves_by_itself() -> None:
    """Masks, statuses of refreshes, counts, made up names are left out; values not."""
    one = {
        "a": [
            "x [masked:0123abcd]",
            "This update cancels refresh r1 (Pending, 0 % done).",
        ]
    }
    two = {
        "a": [
            "x [masked:ffffffff]",
            "This update cancels refresh r1 (Baking, 100 % done).",
        ]
    }
    assert part_digests(one) == part_digests(two)
    digests = [
        part_digests({"outlook": [availability(size, refresh)]})
        for refresh in (
            RefreshSeen(id="", status="", min_healthy=low, max_healthy=high)
            for low, high in ((50, None), (90, 110))
        )
        for size in (1, 2, 3, 9)
    ]
    # That there is an outage is a value; how many instances there are is none.
    assert [digests.index(one) for one in digests] == [0, 1, 1, 1, 4, 4, 4, 4]
    names = ({"lb-0a1b2c3": "urn"}, {"lb-3c2b1a0": "urn"})
    made = [part_digests({"a": [next(iter(name))]}, name) for name in names]
    assert made[0] == made[1]
    assert part_digests({"a": 1}) != part_digests({"a": 2})
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})
    assert digest({"a": "1"}) != digest({"b": "1"})


def test_what_differs_is_said() -> None:
    """By the part, and by the change where it can be shown."""
    before, now = {"state": "1", "changes": "1"}, {"state": "2", "changes": "2"}
    found = differences(before, now, [change("b")], [change("c")])
    assert found == [
        "the state of the stack",
        "not shown before: update Group g maxSize a → c",
        "no more: update Group g maxSize a → b",
    ]
    same = differences(before, {**before, "changes": "2"}, [change("b")], [change("b")])
    assert same == ["what would change (a secret, or a value not shown)"]
    assert differences(before, before, [], []) == []
    old = {"since": "1", "serving": "1"}  # of a run that waits since an earlier version
    assert differences(old, {"serving": "2"}, [], []) == [
        "what else changed since what serves was built",
        "the share that keeps serving",
    ]
