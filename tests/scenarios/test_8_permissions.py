"""The policies of `olrunbook iam` allow what was called; what was called needs them.

Whatever this folder's other tests have released is looked at; alone, one release is.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from olrunbook.adopt.iam import permissions
from olrunbook.targets import Target
from tests.scenarios.permissions import (
    actions,
    calls,
    covered,
    lacking,
    listed,
    made,
    runs,
)
from tests.scenarios.support import ROOT, Desk

pytestmark = pytest.mark.rehearsal

ROLE = "olrunbook-rehearsal"  # whom the rehearsal takes everybody for


def target_of(desk: Desk) -> Target:
    """Return the target of the rehearsal that is up."""
    return Target.model_validate(desk.target())


@pytest.fixture(scope="module")
def complete(released: Desk) -> Desk:
    """Return the desk after an image roll and a refresh, too, of an app in CI."""
    stages = [place.room for place in released.places("deploy")]
    if stages.count("CI") < 2:
        images = released.bake("marker=another")
        for notebook in ("deploy", "rollout"):
            words = ["-p", "app", "tika", "-p", "stage", "CI", "-p", "images", images]
            done = released.run("run", notebook, *words)
            assert done.returncode == 0, done.stdout + done.stderr
    if not released.places("refresh"):
        done = released.run("run", "refresh", "-p", "app", "tika", "-p", "stage", "CI")
        assert done.returncode == 0, done.stdout + done.stderr
    return released


def of_command(desk: Desk, *words: str) -> set[str]:
    """Return the actions that a command has asked for, beside any run."""

    def now() -> Counter[tuple[str, ...]]:
        found: Counter[tuple[str, ...]] = Counter()
        for call in calls(target_of(desk)):
            if call["caller"] == "olrunbook":
                for action in actions(call):
                    found[action, call["resource"]] += call["count"]
        return found

    before = now()
    done = desk.run(*words)
    assert done.returncode in (0, 4), done.stderr
    return {action for action, _ in now() - before}


@pytest.fixture(scope="module")
def seen(complete: Desk) -> dict[str, set[str]]:
    """Return notebook (or command) to the actions that it has asked for."""
    found: dict[str, set[str]] = defaultdict(set)
    known = runs(complete.archive)
    for call in calls(target_of(complete)):
        if run := known.get(call["caller"]):
            found[run.notebook] |= {*actions(call)}
    for command in ("status", "doctor"):
        found[command] = of_command(complete, command, "tika", "CI")
    return found


def test_no_notebook_makes_a_call_that_its_policy_lacks(complete: Desk) -> None:
    """Of any app and stage that was released here; state only where it is its own."""
    found, known = calls(target_of(complete)), runs(complete.archive)
    for app in {run.app for run in known.values()} & {"concourse", "tika"}:
        its = {name: run for name, run in known.items() if run.app == app}
        assert not [*lacking(found, its, made(ROOT, app))]
    assert {known[c["caller"]].notebook for c in found if c["caller"] in known} >= {
        "image_build",
        "deploy",
        "rollout",
        "refresh",
    }


def test_a_call_that_the_policy_lacks_is_named(complete: Desk) -> None:
    """The comparison would find it: another service, another stage's state."""
    deploy = complete.places("deploy", "CI")[0]
    row = {"service": "s3", "caller": "x", "resource": "", "action": "PutObject"}
    state = (
        "arn:aws:s3:::mitol-pulumi-state/.pulumi/stacks/{}/applications.tika.{}.json"
    )
    project = "ol-infrastructure-tika-server"
    wrong = [
        row | {"service": "rds", "action": "DeleteDBInstance"},
        row | {"resource": state.format(project, "Production")},
    ]
    right = row | {"resource": state.format(project, "CI")}
    every = made(ROOT, "tika")
    assert len([*lacking([*wrong, right], {"x": deploy}, every)]) == len(wrong)


def test_nothing_is_said_to_be_recorded_that_is_not_called(
    seen: dict[str, set[str]],
) -> None:
    """Each recorded row was called by each notebook it names; the rest has a source."""
    said = {
        (action, notebook)
        for row in permissions().statement
        for action, by in row.recorded.items()
        for notebook in by.split()
    }
    assert not {(action, by) for action, by in said if action not in seen[by]}


def test_status_and_doctor_call_only_what_review_allows(
    seen: dict[str, set[str]],
) -> None:
    """Whoever has the policy for review alone can ask both."""
    review = [policy for policy in made(ROOT, "tika") if policy.kind == "review"]
    asked = seen["status"] | seen["doctor"]
    assert asked
    assert not [action for action in asked if not covered(review, action)]


def everything(target: Target) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield what Tika's stack has made in CI: what changes it, its ARN, its tags."""
    asg, elb = target.client("autoscaling"), target.client("elbv2")
    for group in asg.describe_auto_scaling_groups()["AutoScalingGroups"]:
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        if tags["Name"] == "tika-server-tika-ci":
            arn = group["AutoScalingGroupARN"]
            yield "autoscaling:UpdateAutoScalingGroup", arn, tags
    (balancer,) = elb.describe_load_balancers(Names=["tika-server-tika-ci-lb"])[
        "LoadBalancers"
    ]
    arn = balancer["LoadBalancerArn"]
    yield "elasticloadbalancing:DeleteLoadBalancer", arn, {}
    for listener in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
        yield "elasticloadbalancing:ModifyListener", listener["ListenerArn"], {}
    for one in elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]:
        yield "elasticloadbalancing:ModifyTargetGroup", one["TargetGroupArn"], {}
    iam, path = target.client("iam"), "/ol-infrastructure/tika-server/"
    for role in iam.list_roles(PathPrefix=path)["Roles"]:
        yield "iam:UpdateRole", role["Arn"], {}
        yield "iam:PassRole", role["Arn"], {}
    for policy in iam.list_policies(Scope="Local", PathPrefix=path)["Policies"]:
        yield "iam:CreatePolicyVersion", policy["Arn"], {}


def test_what_the_stack_has_made_is_what_its_policy_is_narrowed_to(
    complete: Desk,
) -> None:
    """Its group by its tag, the rest by names; another stage's group is left alone."""
    some = [
        policy
        for policy in made(ROOT, "tika")
        if policy.stage == "CI" and policy.kind in ("deploy", "roles")
    ]
    there = [*everything(target_of(complete))]
    assert {action.partition(":")[0] for action, _, _ in there} == {
        "autoscaling",
        "elasticloadbalancing",
        "iam",
    }
    for action, arn, tags in there:
        assert covered(some, action, arn), f"{action} {arn}"
        for policy in some:
            for statement in policy.document["Statement"]:
                wanted = statement.get("Condition", {}).get("StringEquals", {})
                if tags and action in statement["Action"]:
                    (name,) = (listed(v) for k, v in wanted.items() if "/Name" in k)
                    assert name == [tags["Name"]] == ["tika-server-tika-ci"]


def rows(desk: Desk) -> dict[str, dict[str, Any]]:
    """Return what `doctor --permissions` says of CI, by notebook."""
    done = desk.run("doctor", "tika", "CI", "--permissions", "--json")
    assert done.returncode in (0, 4), done.stderr
    found = json.loads(done.stdout)["rows"]
    return {row["where"].rpartition(" ")[2]: row for row in found}


def test_doctor_asks_iam_whether_the_identity_may(complete: Desk) -> None:
    """An identity that IAM knows not is said; one with all policies may; one lacks."""
    iam = target_of(complete).client("iam")
    (unknown,) = rows(complete).values()
    assert unknown["status"] == "warning"
    assert unknown["found"].startswith("not asked: AWS refused")
    assert ROLE in unknown["found"]

    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    some = [policy for policy in made(ROOT, "tika") if policy.stage in ("", "CI")]
    try:
        for policy in some:
            document = json.dumps(policy.document)
            iam.put_role_policy(
                RoleName=ROLE, PolicyName=policy.name, PolicyDocument=document
            )
        allowed = rows(complete)
        assert {*allowed} == {
            "image_build",
            "deploy",
            "rollout",
            "refresh",
            "status",
            "doctor",
        }
        assert {row["status"] for row in allowed.values()} == {"ok"}, allowed

        (less,) = (policy for policy in some if policy.kind == "roles")
        iam.delete_role_policy(RoleName=ROLE, PolicyName=less.name)
        lacks = rows(complete)
        failed = {name for name, row in lacks.items() if row["status"] == "failed"}
        assert failed == {"deploy"}
        assert "iam:CreateRole" in lacks["deploy"]["found"]
        assert lacks["deploy"]["hint"].endswith("olrunbook iam tika --stage CI")
    finally:
        for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
            iam.delete_role_policy(RoleName=ROLE, PolicyName=name)
        iam.delete_role(RoleName=ROLE)
