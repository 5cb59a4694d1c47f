"""Rules over a preview: what is denied, what a team adds, what a person overrides."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from olrunbook.archive.place import list_runs
from olrunbook.cli import cli
from olrunbook.errors import UsageError
from olrunbook.project.catalog import Project
from olrunbook.record.journal import Typed
from olrunbook.record.model import RollbackRecord
from olrunbook.steps.deploy.findings import findings, require_rules, rules_of
from olrunbook.steps.deploy.plan import Finding, PreviewResult
from olrunbook.steps.results import PropertyChange, ResourceChange
from tests.gates import (
    BEGIN,
    CELLS,
    FAKE,
    IMAGES,
    PARAMETERS,
    Stand,
    write_notebook,
)
from tests.kernels import Desk

ROLL = ResourceChange(
    op="update",
    type="aws:ec2/launchTemplate:LaunchTemplate",
    name="t",
    urn="t",
    changes=[],
)
OTHER = ROLL.model_copy(
    update={
        "type": "aws:iam/role:Role",
        "name": "r",
        "expected": False,
        "changes": [PropertyChange(path="policy", kind="update", old="a", new="b")],
    }
)


def preview(**more: Any) -> PreviewResult:
    """Return a preview."""
    facts: dict[str, Any] = {
        "project": "p",
        "stack": "s",
        "version": 1,
        "state": "s",
        "token": "t",
        "counts": {"update": 1},
        "changes": [ROLL],
        "images": {},
        "groups": [],
        "outlook": [],
        "by_hand": "x",
        "digest": "d",
        "stage": "Production",
        "sizes": {"web": (1, 2, 3)},
    }
    return PreviewResult(**facts | more)


def said(root: Path, **more: Any) -> list[tuple[str, str, str]]:
    """Return what the rules say of a preview."""
    found = findings(preview(**more), rules_of(root), {})
    return [(one.rule, one.verdict, one.text) for one in found]


def team(root: Path, text: str, name: str = "ours.py") -> None:
    """Write a file of rules."""
    folder = root / "rules"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def test_an_image_roll_is_fine(tmp_path: Path) -> None:
    """Also in a protected stage, and with any size from one instance on."""
    assert said(tmp_path, protected=True) == []


@pytest.mark.parametrize("op", ["replace", "delete"])
def test_what_serves_does_not_go(tmp_path: Path, op: str) -> None:
    """A group or load balancer that is replaced or deleted is denied everywhere."""
    kind = "aws:lb/loadBalancer:LoadBalancer"
    gone = ResourceChange(op=op, type=kind, name="front", urn="f")
    ((rule, verdict, text),) = said(tmp_path, changes=[gone])
    assert (rule, verdict) == ("serving-goes", "deny")
    assert text == f"{op} {kind} front: it serves"


@pytest.mark.parametrize(
    ("rows", "verdicts"),
    [
        ([("targetGroupArns[0]", "delete", "arn:a", "")], ["deny"]),
        ([("targetGroupArns", "update", '["arn:a"]', "[]")], ["deny"]),
        ([("targetGroupArns", "update", '["arn:a", "arn:b"]', '["arn:c"]')], ["deny"]),
        ([("targetGroupArns[0]", "update", "[secret]", "[secret]")], ["deny"]),
        ([("loadBalancers[0]", "delete", "classic", "")], ["deny"]),
        # others stand at the index of what is taken off, or added
        (
            [
                ("targetGroupArns[0]", "add", "arn:a", "arn:c"),
                ("targetGroupArns[1]", "delete", "arn:b", "arn:a"),
            ],
            ["deny"],
        ),
        ([("targetGroupArns[0]", "add", "arn:b", "arn:a")], []),
        ([("targetGroupArns[1]", "add", "", "arn:b")], []),
        ([("targetGroupArns", "update", "[]", '["arn:a"]')], []),
        ([("targetGroupArns", "update", '["a", "b"]', '["b", "a"]')], []),
        (
            [
                ("targetGroupArns[0]", "update", "arn:a", "arn:b"),
                ("targetGroupArns[1]", "update", "arn:b", "arn:a"),
            ],
            [],
        ),
        ([("maxSize", "update", "3", "2")], []),
    ],
)
def test_a_group_stays_behind_its_balancer(
    tmp_path: Path, rows: list[tuple[str, str, str, str]], verdicts: list[str]
) -> None:
    """In every stage; one that is added, or another order, takes none away."""
    keys = ("path", "kind", "old", "new")
    changes = [PropertyChange(**dict(zip(keys, row, strict=True))) for row in rows]
    kind = "aws:autoscaling/group:Group"
    off = ResourceChange(op="update", type=kind, name="web", urn="w", changes=changes)
    text = f"update {kind} web: it serves, and is taken off a load balancer"
    wanted = [("serving-goes", verdict, text) for verdict in verdicts]
    assert said(tmp_path, changes=[off]) == wanted


def test_a_protected_stage_takes_image_rolls_only(tmp_path: Path) -> None:
    """What else would change is denied there, by name and value; elsewhere not."""
    assert said(tmp_path, changes=[ROLL, OTHER]) == []
    ((rule, verdict, text),) = said(tmp_path, changes=[ROLL, OTHER], protected=True)
    assert (rule, verdict) == ("image-roll", "deny")
    assert text == "Production is protected: update Role r policy a → b"


@pytest.mark.parametrize(
    ("size", "bounds", "says"),
    [
        ((0, 0, 2), None, "web would have no instance"),
        ((0, 1, 0), None, "web would have no instance"),
        ((1, 1, 9), (1, 6), "1 to 9 instances; the catalog allows 1 to 6"),
        ((1, 2, 3), (2, 6), "1 to 3 instances; the catalog allows 2 to 6"),
        ((1, 9, 6), None, "web would want 9 instances, of 1 to 6"),
        ((2, 1, 6), (1, 6), "web would want 1 instances, of 2 to 6"),
        ((2, 2, 6), (2, 6), ""),
        ((0, 1, 100), None, ""),
    ],
)
def test_sizes_out_of_bounds_are_denied(
    tmp_path: Path, size: Any, bounds: Any, says: str
) -> None:
    """A group needs an instance, and has as many as the catalog allows."""
    found = said(tmp_path, sizes={"web": size}, bounds=bounds)
    assert [rule for rule, _, _ in found] == (["size"] if says else [])
    assert says in "".join(text for _, _, text in found)


OURS = """
from olrunbook import PreviewResult, deny, warn

LIMIT = 2

def _helper(preview):
    yield deny("never asked")

def few_changes(preview: PreviewResult):
    if len(preview.changes) > LIMIT:
        yield deny(f"{len(preview.changes)} changes at once")

def freeze(preview):
    if preview.stage == "Production":
        yield warn("Production is frozen from Friday on")
"""


def test_a_team_adds_rules_of_its_own(tmp_path: Path) -> None:
    """Plain functions over the preview; helpers and imports are none of them."""
    team(tmp_path, OURS)
    assert list(rules_of(tmp_path))[-2:] == ["few_changes", "freeze"]
    assert said(tmp_path) == [("freeze", "warn", "Production is frozen from Friday on")]
    found = said(tmp_path, stage="QA", changes=[ROLL] * 3)
    assert found == [("few_changes", "deny", "3 changes at once")]
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["ours.py"]


def test_the_document_shows_rules_that_work(tmp_path: Path) -> None:
    """Those of docs/rules.md, as they stand."""
    text = (Path(__file__).resolve().parents[1] / "docs" / "rules.md").read_text()
    block = re.search(r"(?ms)^    from olrunbook import.*?(?=^\S)", text)
    assert block is not None
    team(tmp_path, textwrap.dedent(block[0]))
    tags = PropertyChange(path="tags.a", kind="update", old="1", new="2")
    tagged = ROLL.model_copy(update={"changes": [tags]})
    assert said(tmp_path, changes=[ROLL] * 5 + [tagged]) == [
        ("few_changes", "deny", "6 changes at once"),
        ("tagged_by_hand", "warn", "t: its tags change"),
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('no')", "the rule failed: ValueError: no"),
        ("raise SystemExit(0)", "the rule failed: SystemExit: 0"),
        ("yield 'deny'", "the rule said 'deny'; it must yield"),
        ("return 5", "the rule failed: TypeError"),
        ("from olrunbook import deny; yield deny(5)", "the rule said Said("),
        ("from olrunbook import deny; return deny('late')", "it must yield"),
        ("return None", ""),
    ],
)
def test_a_rule_that_fails_denies(tmp_path: Path, body: str, says: str) -> None:
    """No mistake in a rule lets an update through."""
    team(tmp_path, f"def ours(preview):\n    {body}\n")
    found = said(tmp_path)
    assert [verdict for _, verdict, _ in found] == (["deny"] if says else [])
    assert says in "".join(text for _, _, text in found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def (", "cannot be loaded: SyntaxError"),
        ("import nosuchmodule", "cannot be loaded: ModuleNotFoundError"),
        ("raise SystemExit(0)", "cannot be loaded: SystemExit"),
        ("def few(p): ...\nsize = few", ""),
    ],
)
def test_a_file_of_rules_that_cannot_be_loaded_is_named(
    tmp_path: Path, text: str, says: str
) -> None:
    """Nothing is previewed with half of the rules; two of one name are refused too."""
    team(tmp_path, text)
    with pytest.raises(UsageError, match=says or "there is a rule size already"):
        rules_of(tmp_path)


def test_a_rule_that_is_not_there_is_not_overridden(tmp_path: Path) -> None:
    """The error suggests a name."""
    with pytest.raises(UsageError, match="there is no rule 'sizes'") as caught:
        require_rules(tmp_path, ["sizes"])
    assert caught.value.hint == "Did you mean size?"


def test_what_is_overridden_is_no_refusal_any_more(tmp_path: Path) -> None:
    """Only what the rule denies, only that rule, and with the reason."""
    team(tmp_path, OURS)
    plan = preview(sizes={"web": (0, 0, 0)})
    found = findings(
        plan, rules_of(tmp_path), {"size": "it is switched off", "freeze": "x"}
    )
    assert found == [
        Finding(
            rule="size",
            verdict="deny",
            text="web would have no instance",
            overridden="it is switched off",
        ),
        Finding(
            rule="freeze", verdict="warn", text="Production is frozen from Friday on"
        ),
    ]
    assert plan.model_copy(update={"findings": found}).denied == []
    denied = plan.model_copy(
        update={"findings": findings(plan, rules_of(tmp_path), {})}
    )
    assert denied.headline() == "1 to update; denied by size"


@pytest.fixture
def stand(project: Project) -> Stand:
    """Return a project whose groups have three instances at most, and CI a gate."""
    text = project.catalog_file.read_text()
    head = "[apps.tika]\n"
    assert head in text
    project.catalog_file.write_text(text.replace(head, head + "sizes = [1, 3]\n"))
    return Stand(project, "gates.CI = {}")


def call(*words: str) -> tuple[int, str]:
    """Call a command; return its code and what it printed."""
    done = CliRunner().invoke(cli, list(words), standalone_mode=False)
    code = done.return_value if done.exception is None else done.exception
    return getattr(code, "exit_code", code), done.output + str(done.exception or "")


def test_a_denied_update_is_refused_before_its_gate(stand: Stand) -> None:
    """Exit code 4, nothing changed, nobody asked; the preview is in the record."""
    stand.size("4")
    record = stand.run()
    assert (record.status, record.exit_code, stand.changed) == ("refused", 4, [])
    assert "rule size: g would have 1 to 4 instances" in record.cause
    assert record.gates == []
    assert {s.name: s.status for s in record.steps}["preview"] == "done"
    assert stand.run("QA").status == "refused"  # and where there is no gate


def test_the_line_to_type_names_every_rule_that_denies(stand: Stand) -> None:
    """Once each, or the next run is refused by the second; typed, it goes on."""
    team(
        stand.project.root,
        "from olrunbook import deny\n"
        "def late(preview):\n    yield deny('late')\n    yield deny('too late')\n",
    )
    stand.size("4")
    code, told = call("run", "deploy", "--stage", "QA", "--images", IMAGES)
    assert (code, stand.changed) == (4, [])
    words = ("--override", "size", "--override", "late", "--reason")
    assert " ".join(words) in told
    again = ("run", "deploy", "--stage", "QA", "--images", IMAGES, *words, "a sale")
    assert call(*again)[0] == 0
    assert len(stand.changed) == 1


def test_a_run_with_rules_that_cannot_be_loaded_is_refused(stand: Stand) -> None:
    """There is a record, so exit code 4: 2 would say that nothing ran."""
    team(stand.project.root, "def (")
    record = stand.run()
    assert (record.status, record.exit_code, stand.changed) == ("refused", 4, [])
    assert "cannot be loaded: SyntaxError" in record.cause


def test_an_override_stands_in_the_record(stand: Stand) -> None:
    """It waits and is approved like any other; the header says what was overridden."""
    stand.size("4")
    typed = Typed(overrides={"size": "a sale"})
    waits = stand.run(typed=typed)
    assert (waits.status, waits.overrides) == ("waiting", {"size": "a sale"})
    assert call("approve", waits.run_id, "--reason", "fine", "--resume")[0] == 0
    assert stand.last().overrides == {"size": "a sale"}  # the run that resumes has it
    assert len(stand.changed) == 1
    assert 'rule size: "a sale"' in call("show", stand.last().run_id)[1]
    place = next(list_runs(stand.project.outputs))
    page = (place.folder / "notebook.html").read_text()
    assert "rule size, because: a sale" in page
    stand.verify()


def test_rules_that_cannot_be_loaded_are_told_before_an_image_is_built(
    stand: Stand,
) -> None:
    """Of a release the rules are asked minutes later: exit code 2, and no record."""
    team(stand.project.root, "def (")
    code, told = call("release", "tika")
    assert (code, list(list_runs(stand.project.outputs))) == (2, [])
    assert "cannot be loaded: SyntaxError" in told
    words = ("rollback", "tika", "QA", "--override", "by-hand", "--reason", "it is")
    assert call(*words)[0] == 4  # that goes on, to a cloud that is not up


def test_an_override_is_typed(stand: Stand) -> None:
    """With a reason and the name of a rule, or nothing is started: exit code 2."""
    stand.size("4")
    words = ("run", "deploy", "--stage", "QA", "--images", IMAGES, "--override")
    assert call(*words, "size")[0] == 2
    assert call(*words, "sizes", "--reason", "a sale")[0] == 2
    assert list(list_runs(stand.project.outputs)) == []
    assert call(*words, "size", "--reason", "a sale")[0] == 0
    assert stand.last("QA").overrides == {"size": "a sale"}


def test_a_notebook_overrides_nothing_headless(stand: Stand) -> None:
    """No engine's run is let through by a cell."""
    stand.size("4")
    write_notebook(stand.path, "run.override('size', 'self')", *CELLS)
    record = stand.run("QA")
    assert (record.status, stand.changed) == ("refused", [])
    assert "a notebook overrides no rule" in record.cause


def test_a_person_overrides_in_a_notebook(stand: Stand) -> None:
    """Step by step: refused, then overridden with a reason, then previewed and done."""
    stand.size("4")
    with Desk(stand.root) as desk:
        for cell in (PARAMETERS + f"stage, images = 'QA', {IMAGES!r}", FAKE, BEGIN):
            assert desk.run(cell) == "ok"
        assert [desk.run(cell) for cell in CELLS[:3]] == ["ok", "error", "error"]
        assert stand.changed == []
        assert desk.run("run.override('sizes', 'a sale')") == "error"
        assert desk.run("run.override('size', ' ')") == "error"
        assert desk.run("run.override('size', 'a sale')") == "ok"
        assert [desk.run(cell) for cell in CELLS] == ["ok"] * 4
    record = stand.last("QA")
    assert (record.overrides, len(stand.changed)) == ({"size": "a sale"}, 1)
    stand.verify()


def test_of_a_rollback_only_four_rules_deny_anything(tmp_path: Path) -> None:
    """Nothing but its gate stands before the way back; what serves stays, though."""
    team(tmp_path, OURS)
    goes = ROLL.model_copy(
        update={"op": "replace", "type": "aws:lb/loadBalancer:LoadBalancer"}
    )
    back = RollbackRecord(left={"server": "ami-1"}, run_id="r")
    facts = {"changes": [OTHER, goes], "protected": True, "sizes": {"web": (0, 0, 0)}}
    forward = {
        rule for rule, verdict, _ in said(tmp_path, **facts) if verdict == "deny"
    }
    assert forward >= {"serving-goes", "image-roll", "size"}
    found = said(tmp_path, **facts, rollback=back)
    assert {rule for rule, verdict, _ in found if verdict == "deny"} == {"serving-goes"}
    assert {"image-roll", "size"} <= {rule for rule, _, _ in found}


@pytest.mark.parametrize(
    ("op", "gap", "forward", "back"),
    [
        ("replace", False, [], []),
        ("replace", True, ["deny"], ["warn"]),
        ("delete", False, ["deny"], ["deny"]),
    ],
)
def test_a_launch_template_may_have_a_successor(
    tmp_path: Path,
    op: str,
    gap: bool,  # noqa: FBT001
    forward: list[str],
    back: list[str],
) -> None:
    """As one that is named after its image; what is deleted first bars no way back."""
    kind = "aws:ec2/launchTemplate:LaunchTemplate"
    one = ResourceChange(op=op, gap=gap, type=kind, name="t", urn="t")
    record = RollbackRecord(left={"server": "ami-1"}, run_id="r")
    assert [verdict for _, verdict, _ in said(tmp_path, changes=[one])] == forward
    found = said(tmp_path, changes=[one], rollback=record)
    assert [verdict for _, verdict, _ in found] == back


@pytest.mark.parametrize("text", ["def (", "def size(preview): ..."])
def test_a_wrong_file_of_rules_warns_of_a_rollback(tmp_path: Path, text: str) -> None:
    """The record says so; nobody mends a file while production is down."""
    team(tmp_path, text)
    plan = preview(rollback=RollbackRecord(left={}, run_id="r"))
    (one,) = findings(plan, rules_of(tmp_path, rollback=True), {})
    assert (one.rule, one.verdict) == ("ours.py", "warn")
    assert one.text.startswith("rules/ours.py")


def test_what_a_rollback_needs_first_is_denied_until_somebody_says_why(
    tmp_path: Path,
) -> None:
    """All that served well is revoked or was left; something is done by hand."""
    facts = {"revoked": "everything is revoked", "by_hand": "migrate down"}
    facts["rolled_back"] = "a rollback left it"
    back = RollbackRecord(left={}, run_id="r", **facts)
    found = said(tmp_path, rollback=back)
    assert found == [
        ("revoked", "deny", "everything is revoked"),
        ("rolled-back", "deny", "a rollback left it"),
        ("by-hand", "deny", "do this first, by hand: migrate down"),
    ]
    why = {"revoked": "better than nothing", "rolled-back": "no", "by-hand": "done"}
    told = findings(preview(rollback=back), rules_of(tmp_path), why)
    assert [one.overridden for one in told] == ["better than nothing", "no", "done"]
    assert preview(rollback=back, findings=told).denied == []
