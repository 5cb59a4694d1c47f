"""`olrunbook iam`: policies of an app, filled in, narrowed, small enough for AWS."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from olrunbook import cli
from olrunbook.adopt.iam import LARGEST, Given, Policy, permissions, policies
from olrunbook.errors import UsageError
from olrunbook.project.catalog import Project, find_project
from tests.test_tree import ROOT

ACCOUNT = "210987654321"
WRITES = re.compile(r":(?!Describe|Get|List|Simulate)")


def made(project: Project, app: str = "tika", **given: Any) -> list[Policy]:
    """Return the policies of an app."""
    known = {"account": ACCOUNT, **given}
    return policies(project, app, known.pop("stage", ""), "", Given(**known))[0]


def statements(some: list[Policy], sid: str, stage: str = "CI") -> list[dict[str, Any]]:
    """Return the statements of a name that are for a stage, or for all."""
    return [
        one
        for policy in some
        if policy.stage in ("", stage)
        for one in policy.document["Statement"]
        if one["Sid"] == sid
    ]


@pytest.fixture
def own(project: Project) -> Project:
    """Return a project with a stack of Tika's shape that may be changed."""
    shutil.copytree(ROOT / "stacks" / "tika", project.root / "stacks" / "tika")
    return find_project(project.root)


def write(project: Project, name: str, text: str) -> None:
    """Write a file of the stack."""
    (project.root / "stacks" / "tika" / name).write_text(text)


def test_groups_without_a_tag_are_known_by_name(own: Project) -> None:
    """With what Pulumi puts behind it; where only some are, every group is meant."""
    text = own.catalog_file.read_text()
    tagged = statements(made(own), "ChangeGroup")
    assert tagged[0]["Condition"]["StringEquals"]["aws:ResourceTag/Name"]
    assert tagged[0]["Resource"].endswith("autoScalingGroupName/*")
    group = find_project(own.root).catalog.app("tika").stack.groups["server"][0]
    own.catalog_file.write_text(text.replace(f'"{group}"', '"name:tika-{stage_lower}"'))
    for sid in ("MakeGroup", "ChangeGroup"):
        (found,) = statements(made(find_project(own.root)), sid)
        assert "Condition" not in found
        names = [arn.rpartition("/")[2] for arn in found["Resource"]]
        assert names == ["tika-ci", "tika-ci-*"]
    both = f'["{group}", "name:tika-{{stage_lower}}"]'
    own.catalog_file.write_text(text.replace(f'"{group}"', both))
    (found,) = statements(made(find_project(own.root)), "ChangeGroup")
    assert found["Resource"].endswith("autoScalingGroupName/*")
    assert "Condition" not in found


@pytest.mark.parametrize("given", [{"account": "12"}, {"region": "us-est"}])
def test_an_account_or_region_that_is_none_is_refused(project: Project, given) -> None:
    """A policy of it would allow nothing."""
    with pytest.raises(UsageError, match="is not valid"):
        made(project, **given)


@pytest.mark.parametrize("app", ["tika", "concourse"])
def test_each_policy_is_one_that_aws_takes(project: Project, app: str) -> None:
    """Small enough, with plain and different Sids, and of no hole that was left."""
    found = made(project, app)
    assert len({policy.name for policy in found}) == len(found)
    for policy in found:
        text = json.dumps(policy.document, separators=(",", ":"))
        assert len(text) == policy.size <= LARGEST, policy.name
        assert re.fullmatch(r"[\w+=,.@-]{1,128}", policy.name)
        sids = [one["Sid"] for one in policy.document["Statement"]]
        assert len(set(sids)) == len(sids)
        assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)
        assert not re.search(r"\{[a-z_]+\}", text)
        assert set(policy.remarks) <= set(sids)


def test_every_statement_for_all_says_why(project: Project) -> None:
    """`*` as resource, or all of a kind in the account, has a remark."""
    for row in permissions().statement:
        if any(text.endswith(("*", "/{names}")) for text in row.resources):
            narrowed = row.condition or any("{" in t[20:] for t in row.resources)
            assert row.open or narrowed, row.sid
        for name, one in row.implied.items():
            assert one.why, name
            assert one.source in permissions().sources, name
    assert made(project)


def test_a_long_policy_is_split_and_nothing_is_lost(project: Project) -> None:
    """The parts are numbered, each is small enough, together they say the same."""
    whole = [p for p in made(project, stage="CI") if p.kind == "deploy"]
    long = [p for p in made(project, stage="CI", names="x" * 900) if p.kind == "deploy"]
    assert len(long) > len(whole)
    assert all(policy.size <= LARGEST for policy in long)
    numbers = [policy.name.rpartition("-")[2] for policy in long]
    assert numbers == [str(n) for n in range(1, len(long) + 1)]

    def sids(some: list[Policy]) -> list[str]:
        return [one["Sid"] for policy in some for one in policy.document["Statement"]]

    assert sids(long) == sids(whole)


def test_a_stage_s_policy_holds_for_it_alone(project: Project) -> None:
    """Its group, its state, its key; the review is of the stages asked for."""
    text = json.dumps([policy.document for policy in made(project, stage="QA")])
    assert "tika-server-tika-qa" in text
    assert "applications.tika.QA" in text
    assert "alias/infrastructure-secrets-qa" in text
    for other in ("tika-ci", "tika.CI", "secrets-production", "tika.Production"):
        assert other not in text


def test_the_review_changes_nothing(project: Project) -> None:
    """It reads, and asks IAM about itself; it opens no secret of a stack."""
    (review,) = (policy for policy in made(project) if policy.kind == "review")
    for one in review.document["Statement"]:
        actions = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
        assert not [action for action in actions if WRITES.search(action)]
    assert "kms:" not in json.dumps(review.document)


def test_roles_are_apart_and_never_the_kit_s_own(project: Project) -> None:
    """Who deploys without them makes no role; who has them cannot widen his own."""
    found = made(project, stage="CI")
    deploy = json.dumps([p.document for p in found if p.kind == "deploy"])
    assert "iam:CreateRole" not in deploy
    assert "iam:PassRole" in deploy
    (denied,) = statements(found, "NotOurOwn")
    assert (denied["Effect"], denied["Action"]) == ("Deny", "iam:*")
    assert f"arn:aws:iam::{ACCOUNT}:policy/olrunbook-*" in denied["Resource"]


@pytest.mark.parametrize(
    ("provider", "resource", "alias"),
    [
        ("awskms://alias/mine", "arn:aws:kms:us-east-1:{}:key/*", "alias/mine"),
        (
            "awskms:///alias/mine?region=x",
            "arn:aws:kms:us-east-1:{}:key/*",
            "alias/mine",
        ),
        ("awskms://1234-ab", "arn:aws:kms:us-east-1:{}:key/1234-ab", None),
        ("awskms:///arn:aws:kms:a:1:key/12", "arn:aws:kms:a:1:key/12", None),
        ("awskms:///arn:aws:kms:a:1:alias/b", "arn:aws:kms:a:1:key/*", "alias/b"),
        ("passphrase", None, None),
    ],
)
def test_the_key_is_that_of_the_stack_s_settings(
    own: Project, provider: str, resource: str | None, alias: str | None
) -> None:
    """By its ARN; by its alias only as a condition; no key: no statement."""
    text = f"secretsprovider: {provider}\nconfig:\n  aws:region: us-east-1\n"
    write(own, "Pulumi.applications.tika.CI.yaml", text)
    found = statements(made(own, stage="CI"), "StackSecrets")
    if resource is None:
        assert not found
        return
    (one,) = found
    assert one["Resource"] == resource.format(ACCOUNT)
    condition = one.get("Condition", {}).get("ForAnyValue:StringEquals", {})
    assert condition.get("kms:ResourceAliases") == alias


def test_the_state_is_where_pulumi_yaml_says(own: Project) -> None:
    """Bucket and prefix; another sort of backend has no statement, and that is said."""
    text = "name: ol-infrastructure-tika-server\nruntime: python\nbackend:\n  url: {}\n"
    write(own, "Pulumi.yaml", text.format("s3://mine/some/where?region=us-east-1"))
    (one,) = statements(made(own, stage="CI"), "WriteState")
    assert "arn:aws:s3:::mine/some/where/.pulumi/meta.yaml" in one["Resource"]
    write(own, "Pulumi.yaml", text.format("file://~"))
    found, notes = policies(own, "tika", "CI", "", Given())
    assert not statements(found, "WriteState")
    assert [note for note in notes if "no S3 backend" in note]


def test_a_program_that_refers_to_stacks_may_read_their_states(own: Project) -> None:
    """Reading is widened, writing is not, and both is said."""
    write(own, "network.py", "pulumi.StackReference('infrastructure.network.CI')\n")
    found, notes = policies(own, "tika", "CI", "", Given())
    every = "arn:aws:s3:::mitol-pulumi-state/.pulumi/stacks/*"
    assert all(every in one["Resource"] for one in statements(found, "ReadState"))
    (writes,) = statements(found, "WriteState")
    assert every not in writes["Resource"]
    assert [note for note in notes if "refers to other stacks" in note]


def test_an_app_without_a_stack_has_a_policy_for_its_build(project: Project) -> None:
    """Nothing is deployed of it, and that is said."""
    file = project.root / "catalog.toml"
    text = re.sub(
        r"\n\[apps\.tika\.stack\].*?\n(?=\[)", "\n", file.read_text(), flags=re.DOTALL
    )
    file.write_text(text)
    found, notes = policies(find_project(project.root), "tika", "", "", Given())
    assert {policy.kind for policy in found} == {"build", "review"}
    assert not statements(found, "ReadState")
    assert [note for note in notes if "no stack" in note]


def test_tags_narrow_what_has_no_name(project: Project) -> None:
    """Each --tag becomes a condition, with the stage filled in; an unknown hole not."""
    (one,) = statements(
        made(project, stage="QA", tags={"Environment": "ops-{stage_lower}"}),
        "ChangeTemplates",
        "QA",
    )
    wanted = {"StringEquals": {"aws:ResourceTag/Environment": "ops-qa"}}
    assert one["Condition"] == wanted
    with pytest.raises(UsageError, match=r"nothing is known of \{stages\}"):
        made(project, tags={"A": "{stages}"})


class TestCommand:
    """`olrunbook iam` as it is typed."""

    @pytest.fixture
    def typed(self, project: Project, capsys: pytest.CaptureFixture[str]) -> Any:
        """Return what types it, and says exit code, output and errors."""

        def run(*words: str) -> tuple[int, str, str]:
            with pytest.raises(SystemExit) as ended:
                cli.main(["iam", *words])
            said = capsys.readouterr()
            return int(str(ended.value.code or 0)), said.out, said.err

        return run

    def test_people_read_who_gets_what(self, typed: Any) -> None:
        """It calls itself a starting point, and says what stands for the account."""
        code, out, _ = typed("tika", "--stage", "CI")
        assert code == 0
        assert out.startswith("A starting point")
        assert "ACCOUNT_ID stands for the account: --account fills it in" in out
        for name in ("olrunbook-tika-build ", "olrunbook-tika-CI-deploy-1 "):
            assert name in out
        assert "olrunbook-tika-QA" not in out

    def test_files_are_what_create_policy_takes(
        self, typed: Any, tmp_path: Path
    ) -> None:
        """--out writes a file for each, --json the same with everything known."""
        code, out, _ = typed("tika", "--out", str(tmp_path / "new"), "--json")
        assert code == 0
        said = {one["name"]: one["document"] for one in json.loads(out)["policies"]}
        files = {file.stem: file for file in (tmp_path / "new").glob("*.json")}
        assert {name: json.loads(file.read_text()) for name, file in files.items()} == (
            said
        )

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["tikka"], "Did you mean tika?"),
            (["tika", "--stage", "Q"], "stage 'Q' is unknown"),
            (["tika", "--target", "x"], "target 'x' is unknown"),
            (["tika", "--tag", "OU"], "wanted KEY=VALUE"),
            (["tika", "--account", ""], "it is empty"),
        ],
    )
    def test_wrong_input_is_told(self, typed: Any, words: list[str], says: str) -> None:
        """Exit code 2, with what to type instead."""
        code, _, err = typed(*words)
        assert code == 2
        assert says in err
