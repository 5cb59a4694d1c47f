"""What a preview shows beside the changes: drift, user data. Real engine, real SDKs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from olrunbook.adapters.pulumi import settings
from olrunbook.adapters.pulumi.secrets import secret_config
from olrunbook.display.render import html, text
from olrunbook.display.shown import view_of
from olrunbook.steps.deploy import update as deploy
from tests.pulumi.conftest import Deploys
from tests.pulumi.test_deploy import ROLL, group_of

pytestmark = pytest.mark.rehearsal

ELSEWHERE = "wholly-of-words-and-from-elsewhere"
WRITTEN = 'content=f"ENVIRONMENT={stack.env_name}\\n"'


@pytest.fixture(scope="module")
def deployed(deploys: Deploys) -> Deploys:
    """Return a cloud in which tika is deployed to CI."""
    run, images = deploys.run(), {"server": deploys.images[0]}
    deploy.up(run, deploy.preview(run, images))
    return deploys


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that changes the program in the copy that Pulumi runs."""
    prepare = settings.prepare

    def edit(*pairs: tuple[str, str]) -> None:
        def prepared(*args: Any) -> Any:
            made = prepare(*args)
            program = made.folder / "__main__.py"
            source = program.read_text()
            for old, new in pairs:
                assert old in source
                source = source.replace(old, new)
            program.write_text(source)
            return made

        monkeypatch.setattr(deploy, "prepare", prepared)

    return edit


def test_what_was_changed_outside_is_apart_from_what_the_program_changes(
    deployed: Deploys,
) -> None:
    """Size, tag and a listener that is gone; the roll is shown without them."""
    before = deploy.preview(deployed.run(), {"server": deployed.images[1]})
    assert before.outside == []
    account, name = deployed.account, group_of(deployed)["AutoScalingGroupName"]
    account.asg.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=7)
    tag = {"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": "OU"}
    account.asg.create_or_update_tags(
        Tags=[{**tag, "Value": "by hand", "PropagateAtLaunch": True}]
    )
    elb = account.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])
    elb.delete_listener(ListenerArn=listeners["Listeners"][0]["ListenerArn"])

    plan = deploy.preview(deployed.run(), {"server": deployed.images[1]})
    again = deploy.preview(deployed.run(), {"server": deployed.images[1]})

    found = {
        (one.urn.split("::")[2].rpartition(":")[2], one.what): (
            one.old,
            one.new,
            one.then,
        )
        for one in plan.outside
    }
    assert found == {
        ("Group", "maxSize"): ("2", "7", "puts it back"),
        ("Group", "tags.OU"): ("operations", "by hand", "puts it back"),
        ("Listener", ""): ("there", "gone", "puts it back"),
    }
    assert {c.type: [p.path for p in c.changes] for c in plan.programs} == ROLL
    assert all(change.expected for change in plan.programs)
    assert not all(change.expected for change in plan.changes)
    assert {c.type for c in plan.changes} == {*ROLL, "aws:lb/listener:Listener"}
    assert plan.digest == again.digest
    differ = {name for name in plan.parts if plan.parts[name] != before.parts[name]}
    assert differ == {"outside", "changes", "findings"}
    assert "Changed outside" in text(view_of(plan))
    run = deployed.run()
    deploy.up(run, deploy.preview(run, {"server": deployed.images[0]}))
    assert deploy.preview(run, {"server": deployed.images[0]}).outside == []


def test_a_group_that_is_taken_off_its_balancer_is_denied(
    deployed: Deploys, edited: Callable[..., None]
) -> None:
    """As the provider tells it: an update of the group, nothing is replaced."""
    off = """
def off(args):
    if args.type_ == "aws:autoscaling/group:Group":
        args.props["target_group_arns"] = []
    return pulumi.ResourceTransformationResult(args.props, args.opts)
pulumi.runtime.register_stack_transformation(off)
"""
    name = 'APP = "tika-server"\n'
    edited((name, name + off))
    plan = deploy.preview(deployed.run(), {"server": deployed.images[0]})
    assert plan.counts.get("replace", 0) == 0
    assert [(one.rule, one.verdict) for one in plan.findings] == [
        ("serving-goes", "deny")
    ], [change.line() for change in plan.changes]
    assert "taken off a load balancer" in plan.findings[0].text


@pytest.mark.parametrize(("first", "verdicts"), [(False, []), (True, ["deny"])])
def test_a_launch_template_that_is_named_after_its_image_has_a_successor(
    deployed: Deploys,
    edited: Callable[..., None],
    first: bool,  # noqa: FBT001
    verdicts: list[str],
) -> None:
    """It is replaced by each image; denied only where the old one is deleted first."""
    image = deployed.images[1]
    named = f"""
def named(args):
    if args.type_ == "aws:ec2/launchTemplate:LaunchTemplate":
        args.props["name"] = "of-{image}"
        args.opts.delete_before_replace = {first}
    return pulumi.ResourceTransformationResult(args.props, args.opts)
pulumi.runtime.register_stack_transformation(named)
"""
    name = 'APP = "tika-server"\n'
    edited((name, name + named))
    plan = deploy.preview(deployed.run(), {"server": image})
    (template,) = [one for one in plan.changes if "launchTemplate:" in one.type]
    assert (template.op, template.gap) == ("replace", first)
    found = [one for one in plan.findings if "launchTemplate:" in one.text]
    assert [one.verdict for one in found] == verdicts


def test_user_data_is_a_diff_by_file_and_key_without_a_secret(
    deployed: Deploys, edited: Callable[..., None]
) -> None:
    """What is made of a secret output is masked, wherever it comes from."""
    token = secret_config(deployed.run(), "tika:access_token")
    secret = f'pulumi.Output.secret("{ELSEWHERE}")'
    edited(
        (WRITTEN, 'content=f"ENVIRONMENT=other\\nMORE=yes\\nTHIRD={third}\\n"'),
        ("def first_boot(access_token: str)", "def first_boot(given: list)"),
        (
            "    join = ",
            "    access_token, third = given\n    join = ",
        ),
        (
            'config.require_secret("access_token")',
            f'pulumi.Output.all(config.require_secret("access_token"), {secret})',
        ),
    )
    plan = deploy.preview(deployed.run(), {"server": deployed.images[0]})

    found = {(one.where, one.what): (one.old, one.new) for one in plan.user_data}
    mask = found.pop(("/etc/tika/environment", "THIRD"))
    assert mask[0] == ""
    assert mask[1].startswith("[masked:")
    assert found == {
        ("/etc/tika/environment", "ENVIRONMENT"): ("tika-ci", "other"),
        ("/etc/tika/environment", "MORE"): ("", "yes"),
    }
    assert "Running instances stay as they are" in plan.outlook[0]
    assert "stays mixed" in plan.outlook[0]
    again = deploy.preview(deployed.run(), {"server": deployed.images[0]})
    assert again.digest == plan.digest
    view = view_of(plan)
    events = json.dumps([event.data for event in deployed.events])
    for told in (plan.model_dump_json(), html(view), text(view), events):
        assert ELSEWHERE not in told
        assert token.get_secret_value() not in told
    assert "/etc/tika/environment" in html(view)


def test_a_secret_at_a_new_place_is_masked_where_it_was_too(
    deployed: Deploys, edited: Callable[..., None]
) -> None:
    """The file that had it is gone: what it held is no reader's business."""
    token = secret_config(deployed.run(), "tika:access_token")
    edited(("/etc/tika/access_token.env", "/etc/tika/other.env"))

    plan = deploy.preview(deployed.run(), {"server": deployed.images[0]})

    found = {(one.where, one.what): (one.old, one.new) for one in plan.user_data}
    old, new = (f"/etc/tika/{name}.env" for name in ("access_token", "other"))
    assert found[old, "X_ACCESS_TOKEN"][0].startswith("[masked:")
    assert found[new, "X_ACCESS_TOKEN"][1].startswith("[masked:")
    assert token.get_secret_value() not in plan.model_dump_json()
