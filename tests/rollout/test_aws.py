"""Reads of the account: groups by tag, all pages, who we are."""

from __future__ import annotations

from typing import Any

import pytest

from olrunbook.adapters.aws.reads import (
    Account,
    images_exist,
    require_identity,
)
from olrunbook.adapters.aws.seen import GroupSeen
from olrunbook.adapters.context import Context
from olrunbook.errors import RefusedError, ToolError, UsageError


def groups_seen(ctx: Context) -> list[GroupSeen]:
    """Return the groups of the context's app in its stage."""
    return Account(ctx.target).groups(ctx.app, ctx.stage)


def test_no_group_is_seen_before_the_first_deploy(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """A stage that was never deployed has an entry without a name."""
    aws.script = [(0, kit.Picture(groups=()))]
    (group,) = groups_seen(ctx)
    assert (group.node_type, group.tag_name, group.name) == ("server", kit.TAG, "")


def test_a_group_is_seen_with_its_instances(ctx: Context, aws: Any, kit: Any) -> None:
    """Image from EC2, health from the group and from the load balancer."""
    machines = (
        kit.Machine("i-1"),
        kit.Machine("i-2", kit.OLD, target="unhealthy"),
        kit.Machine("i-3", lifecycle="Pending", target=""),
    )
    aws.script = [(0, kit.Picture(machines, desired=3))]
    (group,) = groups_seen(ctx)
    assert group.name == kit.GROUP
    told = [(i.id, i.image, i.serves, i.state) for i in group.instances]
    assert told == [
        ("i-1", kit.NEW, True, "in service, healthy"),
        ("i-2", kit.OLD, False, "in service, unhealthy"),
        ("i-3", kit.NEW, False, "pending"),
    ]
    assert group.instances[2].target_health == "not registered"


def test_two_groups_of_one_tag_are_an_error(ctx: Context, aws: Any, kit: Any) -> None:
    """Nobody could say which one serves."""
    aws.script = [(0, kit.Picture(groups=(("a", kit.TAG), ("b", kit.TAG))))]
    with pytest.raises(ToolError, match=r"2 Auto Scaling groups.*a, b"):
        groups_seen(ctx)


def test_the_groups_of_a_node_type_are_told_apart(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """Each has a label with its tag; a node type's only group is just that."""
    stack = ctx.app.stack
    assert stack is not None
    tags = {"web": ["web-ci"], "worker": ["worker-a-{stage_lower}", "worker-b"]}
    stack = stack.model_copy(update={"groups": tags})
    app = ctx.app.model_copy(update={"node_types": ["web", "worker"], "stack": stack})
    named = (("w", "web-ci"), ("b", "worker-b"))
    aws.script = [(0, kit.Picture(groups=named))]
    seen = Account(ctx.target).groups(app, "CI")
    assert [(group.label, group.name) for group in seen] == [
        ("web", "w"),
        ("worker worker-a-ci", ""),
        ("worker worker-b", "b"),
    ]


def test_refreshes_are_read_to_the_last_page(ctx: Context, aws: Any, kit: Any) -> None:
    """The one that began last is first, wherever it stood."""
    refreshes = tuple(
        kit.Refresh(f"r{n}", "Successful", started_s=n) for n in (3, 9, 1, 7)
    )
    aws.script = [(0, kit.Picture(refreshes=refreshes))]
    (group,) = groups_seen(ctx)
    assert group.refresh_ids == ["r9", "r7", "r3", "r1"]


@pytest.mark.parametrize(
    ("listeners", "url"),
    [
        ([{"Protocol": "HTTPS", "Port": 443}], "https://127.77.200.1"),
        ([{"Protocol": "HTTP", "Port": 80}], "http://127.77.200.1"),
        ([{"Protocol": "HTTPS", "Port": 8443}], "https://127.77.200.1:8443"),
        (
            [{"Protocol": "HTTP", "Port": 80}, {"Protocol": "HTTPS", "Port": 443}],
            "https://127.77.200.1",
        ),
        ([], ""),
    ],
)
def test_the_address_of_a_stage(
    ctx: Context, aws: Any, listeners: list[dict[str, Any]], url: str
) -> None:
    """TLS first; a port only where it is not the usual one; empty: nowhere yet."""
    aws.listeners = listeners
    assert Account(ctx.target).url(groups_seen(ctx)) == url


def test_without_a_load_balancer_there_is_no_address(ctx: Context, aws: Any) -> None:
    """A target group without a load balancer answers nowhere."""
    aws.dns = ""
    assert Account(ctx.target).url(groups_seen(ctx)) == ""
    assert Account(ctx.target).url([]) == ""


def test_the_template_is_read_at_the_groups_version(ctx: Context, kit: Any) -> None:
    """What the group launches from now on, and that it moves."""
    template = Account(ctx.target).template(kit.GROUP)
    assert (template.version, template.number) == ("$Latest", "2")
    assert template.image == kit.NEW


def test_identity_is_required(ctx: Context, aws: Any) -> None:
    """The target's own identity passes; any other is refused."""
    assert require_identity(ctx) == aws.identity
    aws.identity = "arn:aws:sts::999999999999:assumed-role/admin/me"
    with pytest.raises(RefusedError, match="999999999999"):
        require_identity(ctx)


def test_images_are_looked_for(ctx: Context, aws: Any, kit: Any) -> None:
    """An image that is not there has no state."""
    found = images_exist(ctx, {"server": kit.NEW, "worker": "ami-0000000000000dead"})
    assert found["server"].state == "available"
    assert found["worker"].state == ""
    assert images_exist(ctx, {}) == {}


def test_an_api_that_does_not_answer_is_one_line(ctx: Context, aws: Any) -> None:
    """The client's error becomes ours, with what can be done."""
    aws.silent = lambda: True
    with pytest.raises(ToolError, match="does not answer") as caught:
        groups_seen(ctx)
    assert "rehearsal status" in caught.value.hint


def test_an_app_without_a_stack_cannot_be_seen(ctx: Context) -> None:
    """The message names the app."""
    app = ctx.app.model_copy(update={"stack": None})
    with pytest.raises(UsageError, match="Tika"):
        Account(ctx.target).groups(app, "CI")
