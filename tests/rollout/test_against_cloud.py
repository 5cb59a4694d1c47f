"""The rollout against the rehearsal's own API: refreshes that really run there."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from olrunbook.adapters.aws import reads
from olrunbook.adapters.aws.seen import GroupSeen
from olrunbook.adapters.context import Context
from olrunbook.errors import ToolError
from olrunbook.events import Event
from olrunbook.project.stack import StackSpec
from olrunbook.steps.pace import Patience
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.awaited import by_groups
from olrunbook.steps.rollout.model import RolloutResult
from olrunbook.steps.rollout.rollout import rollout
from tests.rehearsal.support import FAST, Account, cloud_at
from tests.rehearsal.world import World

pytestmark = pytest.mark.rehearsal

STAGE = "CI"
TAG = "tika-server-tika-ci"
PAGE = 50  # load balancers in one answer of moto
QUICK = Patience(every_s=0.05, settle_s=1.0, refresh_grace_s=0.5, deadline_s=60)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return AMIs and a template in a cloud of records."""
    with cloud_at(tmp_path_factory.mktemp("rollout"), FAST) as account:
        account.pace(progression="time", seconds=0.2)
        yield World(account)


@pytest.fixture
def real(world: World, ctx: Context, events: list[Event]) -> Iterator[Context]:
    """Return a context on that cloud, and remove the stage's groups afterwards."""
    account = world.account
    yield dataclasses.replace(
        ctx,
        place=account.target,
        sleep=time.sleep,
        clock=lambda: datetime.now(UTC),
    )
    for group in groups_seen(ctx_on(ctx, account)):
        if group.name:
            account.asg.delete_auto_scaling_group(
                AutoScalingGroupName=group.name, ForceDelete=True
            )


def groups_seen(ctx: Context) -> list[GroupSeen]:
    """Return the groups of the context's app in its stage."""
    return reads.Account(ctx.target).groups(ctx.app, ctx.stage)


def ctx_on(ctx: Context, account: Account) -> Context:
    """Return the context with the cloud as its target."""
    return dataclasses.replace(ctx, place=account.target)


def group(world: World, desired: int, version: str) -> str:
    """Make the stage's group."""
    tag = {"Key": "Name", "Value": TAG, "PropagateAtLaunch": True}
    return world.make(desired, version, Tags=[tag])


@pytest.fixture
def watch(
    real: Context, deployed: Callable[..., DeployResult]
) -> Callable[..., RolloutResult]:
    """Return a watcher of the rollout of an image, given the group before."""

    def run(image: str, before: GroupSeen | None, **changes: Any) -> RolloutResult:
        given = {"started_at": datetime.now(UTC), **changes}
        deploy = deployed(before, images={"server": image}, **given)
        return rollout(real, deploy, patience=QUICK)

    return run


def test_a_new_group_is_launched(
    world: World, watch: Callable[..., RolloutResult]
) -> None:
    """Its instances are found with the image that EC2 says they run."""
    group(world, 2, "1")
    result = watch(world.amis[0], None)
    assert result.outcome == "launched", result.headline()
    assert result.groups[0].serving == 2


def test_a_refresh_is_followed_to_its_success(
    world: World, real: Context, watch: Callable[..., RolloutResult]
) -> None:
    """Every instance is exchanged, and the table tells old from new."""
    name = group(world, 2, "1")
    (before,) = groups_seen(real)
    began = world.start(name, "2", MinHealthyPercentage=50)
    result = watch(world.amis[1], before)
    assert result.outcome == "refreshed", result.headline()
    seen = result.groups[0]
    assert seen.refresh is not None
    assert seen.refresh.id == began
    assert seen.refresh.min_healthy == 50
    assert {track.image for track in seen.instances if track.after is None} == {
        world.amis[0]
    }
    assert seen.availability.startswith("1 of 2 instances at a time")
    assert result.timeline[-1].on_image == 2


def test_a_cancelled_refresh_is_a_failure(
    world: World, real: Context, watch: Callable[..., RolloutResult]
) -> None:
    """Whoever cancelled it: part of the group stays old, and the record says so."""
    name = group(world, 4, "1")
    (before,) = groups_seen(real)
    world.start(name, "2", MinHealthyPercentage=90)
    world.account.asg.cancel_instance_refresh(AutoScalingGroupName=name)
    result = watch(world.amis[1], before)
    assert result.outcome == "failed"
    assert "Cancelled" in result.headline()
    assert any("Serving now" in line for line in result.consequences)


def test_a_template_alone_changes_nothing_that_serves(
    world: World, real: Context, watch: Callable[..., RolloutResult]
) -> None:
    """The group moves to another version, no refresh begins: old instances stay."""
    name = group(world, 1, "1")
    (before,) = groups_seen(real)
    world.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=name, **world.desired("2")
    )
    result = watch(world.amis[1], before)
    assert result.outcome == "failed"
    assert "no instance refresh has begun" in result.headline()
    assert result.groups[0].template_image == world.amis[1]


def test_the_same_image_again_is_unchanged(
    world: World, real: Context, watch: Callable[..., RolloutResult]
) -> None:
    """An update without changes ends at the first look."""
    group(world, 1, "1")
    (before,) = groups_seen(real)
    result = watch(world.amis[0], before, changes=[])
    assert result.outcome == "unchanged", result.headline()


def test_images_are_seen_there(world: World, real: Context) -> None:
    """A real image has a state and a name, another has none."""
    found = reads.images_exist(real, {"a": world.amis[0], "b": "ami-0123456789abcdef0"})
    assert found["a"].state == "available"
    assert not found["b"].state


def test_scaling_activities_are_read_there(
    world: World, real: Context, watch: Callable[..., RolloutResult]
) -> None:
    """A failed rollout carries what the group did."""
    name = group(world, 1, "1")
    (before,) = groups_seen(real)
    began = datetime.now(UTC)
    world.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=name, DesiredCapacity=2, **world.desired("2")
    )
    result = watch(world.amis[1], before, started_at=began)
    assert result.outcome == "failed"
    assert [item for item in result.groups[0].activities if "aunch" in item.description]


def test_every_group_is_watched_to_its_end(
    world: World, real: Context, deployed: Callable[..., DeployResult]
) -> None:
    """One group's refresh is cancelled; the other goes on, and both are told."""
    assert real.app.stack is not None
    stack = StackSpec(
        **real.app.stack.model_dump() | {"groups": {"server": [TAG, f"{TAG}-b"]}}
    )
    app = real.app.model_copy(update={"stack": stack})
    real = dataclasses.replace(real, app=app)
    tag = {"Key": "Name", "Value": f"{TAG}-b", "PropagateAtLaunch": True}
    first, second = group(world, 2, "1"), world.make(2, "1", Tags=[tag])
    try:
        before = groups_seen(real)
        world.start(first, "2", MinHealthyPercentage=90)
        world.account.asg.cancel_instance_refresh(AutoScalingGroupName=first)
        began = world.start(second, "2", MinHealthyPercentage=50)
        deploy = deployed(None, images={"server": world.amis[1]})
        deploy = deploy.model_copy(update={"before": before})
        result = rollout(real, deploy, patience=QUICK)
    finally:
        world.account.asg.delete_auto_scaling_group(
            AutoScalingGroupName=second, ForceDelete=True
        )
    assert [one.outcome for one in result.groups] == ["failed", "refreshed"]
    assert result.groups[1].refresh is not None
    assert result.groups[1].refresh.id == began
    assert result.groups[1].serving == 2
    assert "Cancelled" in result.headline()


@pytest.mark.parametrize("code", ["Throttling", "ExpiredToken", ""])
def test_a_refresh_is_followed_through_trouble(
    world: World,
    real: Context,
    deployed: Callable[..., DeployResult],
    events: list[Event],
    code: str,
) -> None:
    """The API throttles, calls the credentials expired, or hangs up for a while."""
    name = group(world, 1, "1")
    (before,) = groups_seen(real)
    world.account.pace(progression="time", seconds=3)
    world.start(name, "2", MinHealthyPercentage=0)
    waiting = [code]

    def emit(event: Event) -> None:
        events.append(event)
        if event.kind == "progress" and waiting:
            world.account.trouble(waiting.pop(), 1.5)

    deploy = deployed(before, images={"server": world.amis[1]})
    context = dataclasses.replace(real, emit=emit)
    try:
        result = rollout(context, deploy, patience=QUICK)
    finally:
        world.account.trouble("", 0)
        world.account.pace(progression="time", seconds=0.2)
    assert result.outcome == "refreshed", result.headline()
    assert not waiting
    warnings = [event.text for event in events if event.kind == "warning"]
    if code == "ExpiredToken":  # the others are borne by botocore's own retries too
        assert "renew them: olrunbook rehearsal up" in warnings[0]
        assert "AWS answers again" in warnings[1]


def test_a_rollout_is_taken_up_by_its_groups_alone(world: World, real: Context) -> None:
    """No record of the deploy is here: the refresh that began last is followed."""
    name = group(world, 2, "1")
    began = world.start(name, "2", MinHealthyPercentage=50)
    found = by_groups(real, {"server": world.amis[1]}, "")
    result = rollout(real, found, patience=QUICK)
    assert result.outcome == "refreshed", result.headline()
    assert result.groups[0].refresh is not None
    assert result.groups[0].refresh.id == began
    assert result.groups[0].serving == 2


def test_status_and_console_are_read_there(world: World, real: Context) -> None:
    """A group without a balancer is checked by EC2; each instance has a console."""
    name = group(world, 1, "1")
    world.serving(name, 1)
    (seen,) = groups_seen(real)
    assert seen.instances[0].target_health == "status ok"
    assert seen.created_at is not None
    account = reads.Account(real.target)
    text = account.console(seen.instances[0].id)
    assert text == f"no console: {seen.instances[0].id} is a record only\n"
    with pytest.raises(ToolError, match="InvalidInstanceID"):
        account.console("i-0123456789abcdef0")


def test_what_is_tagged_is_found_on_every_page(world: World) -> None:
    """An account may have more load balancers than one answer names."""
    account, tag = world.account, world.account.name()
    names, subnets = [*["another"] * PAGE, tag], account.subnets()
    made = [
        account.elb.create_load_balancer(
            Name=account.name("lb"),
            Subnets=subnets,
            Tags=[{"Key": "Name", "Value": name}],
        )["LoadBalancers"][0]["LoadBalancerArn"]
        for name in names
    ]
    try:
        found = reads.Account(account.target).tagged([tag])
        assert found == {made[-1]: "load-balancer"}
    finally:
        for arn in made:
            account.elb.delete_load_balancer(LoadBalancerArn=arn)


def test_target_groups_of_every_page_are_found(world: World) -> None:
    """As AWS has them; moto gives all of them in one answer."""
    arns = [f"arn:aws:elasticloadbalancing:::targetgroup/{n}/{n}" for n in "ab"]
    first, second = ([{"TargetGroupArn": arn}] for arn in arns)
    tags = [{"ResourceArn": a, "Tags": [{"Key": "Name", "Value": TAG}]} for a in arns]
    call = "describe_target_groups"
    with Stubber(world.account.target.client("elbv2")) as said:
        said.add_response("describe_load_balancers", {"LoadBalancers": []})
        said.add_response(call, {"TargetGroups": first, "NextMarker": "m"}, {})
        said.add_response(call, {"TargetGroups": second}, {"Marker": "m"})
        said.add_response("describe_tags", {"TagDescriptions": tags})
        found = reads.Account(world.account.target).tagged([TAG])
    assert found == dict.fromkeys(arns, "target-group")
