"""What is part of an image roll, what is guarded, and what an operator must know."""

from __future__ import annotations

from typing import Any

import pytest

from olrunbook.adapters.aws.seen import GroupSeen, InstanceSeen, RefreshSeen, short
from olrunbook.adapters.pulumi.found import Change, Found, State
from olrunbook.project.stack import StackSpec
from olrunbook.steps.deploy.rules import (
    GROUP,
    TEMPLATE,
    VAULT_ROLE,
    apart,
    guarded,
    outlook,
    resource_changes,
    shares,
    sizes,
    wrong_images,
)

OLD, NEW = "ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb"
TAG = "tika-server-tika-ci"
REFRESH = "olrunbook run refresh -p app tika -p stage CI"
SPEC = StackSpec(
    path="stacks/tika",
    project="p",
    stack="applications.tika.{stage}",
    image_config={"server": "tika:image_id"},
    groups={"server": ["tika-server-tika-{stage_lower}"]},
)


def change(kind: str, *paths: str, op: str = "update") -> Change:
    """Return a change of some properties."""
    found = [{"path": p, "kind": "update", "old": OLD, "new": NEW} for p in paths]
    return Change(op=op, type=kind, name="thing", urn=f"urn:{kind}", changes=found)


def group_facts(**more: Any) -> dict[str, Any]:
    """Return what a preview knows of the group."""
    return {
        "type": GROUP,
        "desiredCapacity": 1,
        "version": "$Latest",
        "instanceRefresh": {
            "triggers": ["tag"],
            "preferences": {"minHealthyPercentage": 50, "instanceWarmup": "0"},
        },
        "tags": {"Name": TAG, "ami_id": NEW},
        **more,
    }


def found(*changes: Change, facts: dict[str, Any] | None = None, **state: Any) -> Found:
    """Return what a preview found in a stack that has a group."""
    return Found(
        state=State(**{"version": 3, "types": [GROUP], **state}),
        changes=list(changes),
        facts={
            f"urn:{GROUP}": facts or group_facts(),
            f"urn:{TEMPLATE}": {"type": TEMPLATE, "image": NEW},
        },
    )


ROLL = (
    change(TEMPLATE, "imageId"),
    change(GROUP, "tags.ami_id"),
    change(VAULT_ROLE, "boundAmiIds[0]"),
)


def test_an_image_roll_is_expected() -> None:
    """Template, tag and bound image; nothing is apart."""
    changes = resource_changes(found(*ROLL))

    assert all(item.expected for item in changes)
    assert apart(changes) == []


@pytest.mark.parametrize(
    "other",
    [
        change(TEMPLATE, "imageId", "userData"),
        change(GROUP, "tags.OU"),
        change(GROUP, "maxSize"),
        change("aws:iam/role:Role", "assumeRolePolicy"),
        change("aws:ec2/securityGroup:SecurityGroup", op="create"),
        change(VAULT_ROLE, "boundVpcIds[0]"),
    ],
)
def test_everything_else_is_apart(other: Change) -> None:
    """Also when the same resource has the new image."""
    changes = resource_changes(found(*ROLL, other))

    assert [item.urn for item in apart(changes)] == [other.urn]


def test_a_first_deploy_is_expected_also_when_it_is_the_rest_of_one() -> None:
    """An interrupted creation goes on: there was no group yet."""
    creations = (
        change("aws:lb/listener:Listener", op="create"),
        change(GROUP, op="create"),
    )
    rest = resource_changes(found(*creations, types=["aws:iam/role:Role"]))

    assert apart(rest) == []
    after = resource_changes(found(*creations, types=[GROUP], version=1))
    assert apart(after) == []


@pytest.mark.parametrize("op", ["replace", "delete"])
@pytest.mark.parametrize(
    ("kind", "is_guarded"),
    [
        (GROUP, True),
        ("aws:lb/loadBalancer:LoadBalancer", True),
        ("aws:alb/loadBalancer:LoadBalancer", True),
        ("aws:lb/targetGroup:TargetGroup", True),
        ("aws:lb/listenerRule:ListenerRule", True),
        ("aws:elb/loadBalancer:LoadBalancer", True),
        ("aws:autoscaling/attachment:Attachment", True),
        ("aws:route53/record:Record", True),
        ("aws:ec2/launchConfiguration:LaunchConfiguration", False),
        (VAULT_ROLE, False),
        ("aws:iam/policy:Policy", False),
    ],
)
def test_what_serves_is_guarded(kind: str, op: str, is_guarded: bool) -> None:  # noqa: FBT001
    """Groups, and what sends them requests; an image roll goes past it."""
    assert not guarded(resource_changes(found(*ROLL)))
    changes = resource_changes(found(change(kind, op=op)))

    assert bool(guarded(changes)) is is_guarded


def test_the_right_image_in_template_and_tag_is_right() -> None:
    """Nothing to say."""
    assert wrong_images(SPEC, "CI", {"server": NEW}, found(*ROLL)) == []


def test_a_template_with_another_image_is_wrong() -> None:
    """What was found is named."""
    (text,) = wrong_images(SPEC, "QA", {"server": OLD}, found(*ROLL))

    assert OLD in text
    assert f"found {NEW}" in text


def test_a_program_that_looks_images_up_may_have_no_others() -> None:
    """What it chose beside the set is named; one that is given its image may."""
    preview = found(*ROLL)
    preview.facts["urn:other"] = {"type": TEMPLATE, "image": OLD}
    looks = SPEC.model_copy(update={"image_config": {}, "image_lookup": True})

    (text,) = wrong_images(looks, "CI", {"server": NEW}, preview)
    assert text == f"a launch template has {OLD}"
    assert wrong_images(SPEC, "CI", {"server": NEW}, preview) == []


def test_a_group_tagged_with_another_image_is_wrong() -> None:
    """Two node types that were mixed up are found by their tags."""
    facts = group_facts(tags={"Name": TAG, "ami_id": OLD})

    (text,) = wrong_images(SPEC, "CI", {"server": NEW}, found(*ROLL, facts=facts))
    assert text == f"the server group {TAG} is tagged {OLD}"


def test_each_group_of_a_node_type_must_carry_its_image() -> None:
    """The one that does not is named."""
    groups = {"server": [TAG, "other"]}
    spec = SPEC.model_copy(update={"groups": groups})
    seen = found(*ROLL)
    other = group_facts(tags={"Name": "other", "ami_id": OLD})
    seen.facts["urn:other"] = other

    (text,) = wrong_images(spec, "CI", {"server": NEW}, seen)
    assert text == f"the server group other is tagged {OLD}"


def seen(desired: int = 1, *refreshes: RefreshSeen) -> list[tuple[GroupSeen, Any]]:
    """Return the group as it is."""
    group = GroupSeen(
        node_type="server", tag_name=TAG, name="asg-1a2b3c4", desired=desired
    )
    return [(group, refreshes)]


def lines(preview: Found, desired: int = 1, *refreshes: RefreshSeen) -> list[str]:
    """Return the outlook."""
    groups = seen(desired, *refreshes)
    return outlook(preview, resource_changes(preview), groups, {"server": NEW}, REFRESH)


def test_desired_one_is_an_outage() -> None:
    """Said from the real preferences, before the update."""
    assert "An outage: the only instance goes" in lines(found(*ROLL))[0]


def test_the_group_as_it_is_counts_not_what_the_program_says() -> None:
    """Somebody has scaled it."""
    assert "1 of 2 instances at a time" in lines(found(*ROLL), 2)[0]


def test_a_maximum_above_a_hundred_starts_new_ones_first() -> None:
    """Then nothing goes before the new one serves."""
    preferences = {"minHealthyPercentage": 100, "maxHealthyPercentage": 200}
    facts = group_facts(
        instanceRefresh={"triggers": ["tag"], "preferences": preferences}
    )

    assert "New instances serve before" in lines(found(*ROLL, facts=facts))[0]


def test_a_moving_version_has_no_rollback_of_awss() -> None:
    """A numbered one is silent."""
    assert any(
        "AWS's own rollback is not available" in line for line in lines(found(*ROLL))
    )
    facts = group_facts(version="3")
    numbered = lines(found(*ROLL, facts=facts))
    assert not any("rollback" in line for line in numbered)


def test_a_refresh_in_progress_is_cancelled_by_the_update() -> None:
    """Said with its id, status and percent; one that ended is not."""
    active = RefreshSeen(
        id="4219be33-f041-4ca6-ae46-1beefe7ebc15", status="InProgress", percent=25
    )
    ended = RefreshSeen(id="00000000-f041-4ca6-ae46-1beefe7ebc15", status="Successful")
    text = "\n".join(lines(found(*ROLL), 1, active, ended))

    assert "cancels refresh 4219be33 (InProgress, 25 % done)" in text
    assert "00000000" not in text


@pytest.mark.parametrize("triggers", [["tags"], []])
def test_without_the_trigger_old_instances_stay(triggers: list[str]) -> None:
    """`tags` is no trigger: the template changes, nothing is replaced."""
    refresh = {"triggers": triggers, "preferences": {}}
    facts = group_facts(instanceRefresh=refresh)

    (text,) = lines(found(*ROLL, facts=facts))
    assert "but nothing that starts a refresh" in text


def test_a_template_change_alone_starts_nothing() -> None:
    """User data or size alone leave old instances, and that is said."""
    (text,) = lines(found(change(TEMPLATE, "userData")))

    assert "Running instances stay as they are" in text


def test_a_new_group_replaces_nothing() -> None:
    """It says how many instances are launched."""
    preview = found(change(GROUP, op="create"), types=[])
    none = [(GroupSeen(node_type="server", tag_name=TAG), ())]

    images = {"server": NEW}
    assert outlook(preview, resource_changes(preview), none, images, REFRESH) == [
        f"{TAG} is new: 1 instance is launched, nothing is replaced."
    ]


def test_instances_that_nothing_replaces_are_named() -> None:
    """The update was cut off after the tag was set: no refresh began, none will."""
    ((group, _),) = seen()
    one = {"lifecycle": "InService", "health": "Healthy"}
    old = InstanceSeen(id="i-1", image=OLD, **one)
    new = InstanceSeen(id="i-2", image=NEW, **one)
    active = RefreshSeen(id="4219be33", status="InProgress")
    for instances, refreshes, wanted in (
        ([old, new], [], f"asg-1a2b3c4 runs {short(OLD)}, not {short(NEW)}"),
        ([old, new], [active], "Nothing to do"),
        ([new], [], "Nothing to do"),
    ):
        now = group.model_copy(update={"instances": instances})
        images = {"server": NEW}
        (text,) = outlook(found(), [], [(now, refreshes)], images, REFRESH)
        assert text.startswith(wanted)
        assert (REFRESH in text) is ("runs" in text)


def test_nothing_to_do_is_said() -> None:
    """In one line."""
    assert lines(found()) == [
        "Nothing to do: no resource changes, no instance is replaced."
    ]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"minSize": 1, "maxSize": 3, "desiredCapacity": 2}, {"web": (1, 2, 3)}),
        ({"minSize": 2.0, "maxSize": "4", "desiredCapacity": None}, {"web": (2, 2, 4)}),
        ({"minSize": 0, "maxSize": 4}, {"web": (0, 1, 4)}),
        ({"minSize": 1, "maxSize": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}, {}),
        ({}, {}),
    ],
)
def test_sizes_are_those_after_the_update(given: Any, wanted: Any) -> None:
    """Left open, the wanted size stays; what Pulumi does not know yet is left out."""
    facts = {"urn": {"type": GROUP, "tags": {"Name": "web"}, **given}}
    assert sizes(found().model_copy(update={"facts": facts})) == wanted


@pytest.mark.parametrize(
    ("least", "sizes", "wanted"),
    [
        (10, (2, 20), (50, 0)),
        (90, (20, 2), (75, 50)),
        (50, (2, 9), (50, 50)),
        (100, (1, 0), (0, 100)),
    ],
)
def test_what_share_keeps_serving(
    least: int, sizes: tuple[int, int], wanted: tuple[int, int]
) -> None:
    """In whole quarters, by the size that the group has now."""
    preferences = {"preferences": {"minHealthyPercentage": least}}
    facts = group_facts(instanceRefresh={"triggers": ["tag"], **preferences})
    preview = found(*ROLL, facts=facts)
    now = [[group for group, _ in seen(size)] for size in sizes]
    found_now = [shares(preview, resource_changes(preview), groups) for groups in now]
    assert found_now == [{TAG: share} for share in wanted]


def test_a_group_that_is_not_refreshed_keeps_serving() -> None:
    """No approval depends on its size."""
    preview = found(change(GROUP, "maxSize"))
    groups = [group for group, _ in seen(2)]
    assert shares(preview, resource_changes(preview), groups) == {}
