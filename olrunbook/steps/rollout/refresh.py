"""Replace every instance of a stage by one of the same image, and see that it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from olrunbook.adapters.aws.reads import Account, images_exist, require_identity
from olrunbook.adapters.aws.refresh import start_refresh
from olrunbook.adapters.aws.seen import GroupSeen, RefreshSeen, TemplateSeen, short
from olrunbook.adapters.context import Context
from olrunbook.errors import OlrunbookError, RefusedError, StepError
from olrunbook.project.healthy import parse_percent, require_near
from olrunbook.record.model import RunRecord
from olrunbook.steps.approval.digest import (
    canonical_groups,
    differences,
    digest,
    part_digests,
)
from olrunbook.steps.deploy.availability import AWS_MIN_HEALTHY, availability, serving
from olrunbook.steps.deploy.plan import Finding
from olrunbook.steps.order import last_deploy, not_verified
from olrunbook.steps.pace import Patience
from olrunbook.steps.results import ResourceChange, Result, Step, Value
from olrunbook.steps.rollout.awaited import Awaited
from olrunbook.steps.rollout.model import GroupRollout, RolloutResult
from olrunbook.steps.rollout.rollout import require, rollout

ROOM, WHOLE = 10, 100  # percent
BY_HAND = "aws autoscaling start-instance-refresh --auto-scaling-group-name"


class GroupRefresh(Value):
    """What would be done to one group."""

    group: GroupSeen  # the group as it is
    image: str  # the image of its launch template
    revoked: str = ""  # when it was revoked, by whom and why; empty: it was not
    template: str  # the version that new instances are made from
    preferences: dict[str, int]  # of the refresh, as AWS has them


class RefreshPlan(Result):
    """What a refresh of a stage would do."""

    schema_name: ClassVar[str] = "olrunbook/refresh-plan/1"

    asked: dict[str, str]  # percentages as asked for; empty: as in the last refresh
    groups: list[GroupRefresh]  # what would be done to each group
    images: dict[str, str]  # the image set, which stays
    outlook: list[str]  # what it means for what serves, a sentence each
    by_hand: str  # the commands that do the same without olrunbook
    digest: str  # over everything that an approval of this plan approves
    parts: dict[str, str]  # the digest of each part of it, by name

    # What a gate asks of every plan: this is no update of the stack, nor a rollback.
    changes: ClassVar[Sequence[ResourceChange]] = ()
    denied: ClassVar[Sequence[Finding]] = ()
    rollback: ClassVar[None] = None
    idle: ClassVar[bool] = False

    def headline(self) -> str:
        """Return how many instances are replaced: `2 instances to replace`."""
        number = sum(one.group.desired for one in self.groups)
        word = "instance" if number == 1 else "instances"
        others = any(one.group.others(one.image) for one in self.groups)
        by = "by new images" if others else "the image stays"
        return f"{number} {word} to replace, {by}"


class RefreshBegan(Result):
    """Refreshes that began."""

    schema_name: ClassVar[str] = "olrunbook/refresh/1"

    images: dict[str, str]  # the image set, which stays
    refreshes: dict[str, str]  # group to the id of its refresh
    before: list[GroupSeen]  # the groups before
    url: str  # where the load balancer answers
    started_at: datetime  # when they were started (UTC)

    def headline(self) -> str:
        """Return which refreshes began: `refresh 2de4959a of … began`."""
        began = (f"{short(r)} of {group}" for group, r in self.refreshes.items())
        return f"refresh {', '.join(began)} began"


def planned(
    ctx: Context, asked: Mapping[str, str], *, began: bool = False
) -> RefreshPlan:
    """Say what a refresh would do; change nothing.

    `asked` has `min_healthy` and `max_healthy` in percent; empty: as in the group's
    last refresh, else 90, and a little more than all. `began`: it was started in the
    run that this one takes up.

    Raises:
        UsageError: A percentage is none that AWS takes.
        RefusedError: A group is not there, is empty, is being refreshed, or would get
            another image, or one that is revoked and not what all its instances run.

    """
    require_identity(ctx)
    account, groups = Account(ctx.target), []
    for group, refreshes in account.observe(ctx.app, ctx.stage):
        template = account.template(group.name) if group.name else TemplateSeen()
        image = template.image
        one = GroupRefresh(
            group=group,
            image=image,
            revoked=images_exist(ctx, {"": image})[""].revoked if image else "",
            template=template.number,
            preferences=_preferences(asked, refreshes[0] if refreshes else None),
        )
        if not began:
            _require_same(ctx, one, refreshes)
        groups.append(one)
    images = {one.group.node_type: one.image for one in groups}
    outlook = [_outlook(one) for one in groups]
    by_hand = [
        f"{BY_HAND} {one.group.name} --preferences SkipMatching=false,"
        + ",".join(f"{name}={value}" for name, value in one.preferences.items())
        for one in groups
    ]
    parts = part_digests(
        {
            "target": [ctx.target.name, ctx.target.cloud_id, ctx.target.account],
            "stage": [ctx.app_name, ctx.stage],
            "images": images,
            "groups": canonical_groups([one.group for one in groups]),
            "refresh": [one.model_dump(exclude={"group"}) for one in groups],
            "outlook": outlook,
            "serving": [serving(one.group.desired, _settings(one)) for one in groups],
        }
    )
    return RefreshPlan(
        asked=dict(asked),
        groups=groups,
        images=images,
        outlook=outlook,
        by_hand="\n".join(by_hand),
        digest=digest(parts),
        parts=parts,
    )


def began(ctx: Context, plan: RefreshPlan) -> RefreshBegan:
    """Start what was planned, and nothing else.

    Raises:
        RefusedError: Something is not as it was planned, or a refresh is in progress;
            nothing was started.
        StepError: Some groups are being refreshed, and one could not be.

    """
    now = planned(ctx, plan.asked)
    if other := differences(plan.parts, now.parts, [], []):
        msg = f"not as it was planned: {', '.join(other)}"
        raise RefusedError(msg, "Somebody else changed it. Plan it again.")
    before = [one.group for one in now.groups]
    url = Account(ctx.target).url(before)  # once they began, nothing else may fail
    started_at, refreshes = ctx.clock(), {}
    for one in plan.groups:
        name = one.group.name
        try:
            refreshes[name] = start_refresh(ctx.target, name, one.preferences)
        except OlrunbookError as error:
            if not refreshes:
                raise
            msg = f"{', '.join(refreshes)} is being refreshed, but: {error}"
            raise StepError(msg, f"Watch it: olrunbook status{ctx.onto}") from error
    return RefreshBegan(
        images=plan.images,
        refreshes=refreshes,
        before=before,
        url=url,
        started_at=started_at,
    )


def awaited(refresh: RefreshBegan) -> Awaited:
    """Return what is watched once refreshes began."""
    return Awaited.model_validate(refresh.model_dump(exclude={"refreshes"}))


def watched(
    ctx: Context, refresh: RefreshBegan, patience: Patience | None = None
) -> RolloutResult:
    """Watch refreshes to their end, as `rollout` does: all old instances must go."""
    result = rollout(ctx, awaited(refresh), patience=patience)
    groups = [_strict(one, refresh.refreshes.get(one.group)) for one in result.groups]
    if groups == result.groups:
        return result
    lines = result.consequences or ["Look at it: olrunbook status. Then refresh again."]
    news = {"groups": groups, "outcome": "failed", "consequences": lines}
    return result.model_copy(update=news)


def _strict(one: GroupRollout, refresh: str | None) -> GroupRollout:
    """Return a group's ending: replaced by this refresh, every instance, or failed."""
    if one.outcome == "failed":
        return one
    left = [short(track.id) for track in one.instances if track.stays]
    if one.refresh is None or one.refresh.id != refresh:
        reason = f"refresh {short(refresh or '?')} was not the last one"
    elif left:
        reason = f"refresh {short(one.refresh.id)} left {', '.join(left)} in place"
    else:
        return one
    return one.model_copy(update={"outcome": "failed", "reason": reason})


def _require_same(
    ctx: Context, one: GroupRefresh, refreshes: Sequence[RefreshSeen]
) -> None:
    """Refuse a group that has no instance, is being refreshed, or has another image.

    What runs on a revoked image may need new user data or credentials; to bring that
    image to other instances is a deploy of it.
    """
    group, image = one.group, one.image
    deploy = f"olrunbook run deploy {ctx.which}"
    if not (group.name and group.desired and group.instances):
        msg = f"{group.name or group.tag_name} has no instance to replace"
        raise RefusedError(msg, f"Deploy first: {deploy}")
    for refresh in refreshes:
        if refresh.active:
            what = f"refresh {short(refresh.id)} of {group.name}"
            msg = f"{what} is {refresh.status}, {refresh.percent} %"
            raise RefusedError(msg, f"Wait until it ends: olrunbook status{ctx.onto}")
    if not (runs := group.others(image)):
        return
    last = _deployed(ctx)
    if last is None or image != last.images.get(group.node_type):
        msg = f"{group.name} runs {runs}, but its launch template has {short(image)}"
        raise RefusedError(msg, f"A refresh would change the image. Deploy: {deploy}")
    if one.revoked and not (last.rollback and last.rollback.revoked):
        msg = f"{group.name} runs {runs}, and {short(image)} was revoked {one.revoked}"
        back = f"olrunbook rollback {ctx.app_name} {ctx.stage}{ctx.onto}"
        raise RefusedError(msg, f"Go back: {back}")


def _deployed(ctx: Context) -> RunRecord | None:
    """Return the stage's last deploy, where it verifies.

    An update that was cut off may have set the tag, and never begun its refresh.
    """
    try:
        found = last_deploy(
            ctx.project.outputs, ctx.target.name, ctx.app_name, ctx.stage
        )
    except RefusedError:
        return None
    return None if not_verified(found) else found.record


def _preferences(asked: Mapping[str, str], last: RefreshSeen | None) -> dict[str, int]:
    """Return what a refresh is told: as asked for, else as the last one was."""
    given = parse_percent("MinHealthy", "min_healthy", asked["min_healthy"])
    most = parse_percent("MaxHealthy", "max_healthy", asked["max_healthy"])
    require_near(given, most)
    was = last.min_healthy if last else None
    least = AWS_MIN_HEALTHY if was is None else was
    if given is not None:
        least = given
    elif most:  # what was not asked for gives way
        least = max(least, most - WHOLE)
    usual = (last and last.max_healthy) or WHOLE + ROOM
    most = most or min(usual, least + WHOLE)
    found = {"MinHealthyPercentage": least, "MaxHealthyPercentage": most}
    warmup = last.warmup_s if last else None
    return found if warmup is None else {**found, "InstanceWarmup": warmup}


def _outlook(one: GroupRefresh) -> str:
    group, number = one.group, one.group.desired
    staying = [item for item in group.instances if not item.leaving]
    every = "The instance" if number == 1 else f"All {number} instances"
    text = f"{every} of {group.name} will be replaced, made from version {one.template}"
    text += f" of its launch template, {short(one.image)}."
    if one.revoked:
        text += f" That image was revoked {one.revoked}."
    if old := {item.template_version for item in staying} - {one.template, ""}:
        text += f" Some are from version {', '.join(sorted(old))} now."
    if runs := group.others(one.image):
        text += f" They run {runs} now: the last deploy began no refresh."
    return f"{text} {availability(number, _settings(one))}"


def _settings(one: GroupRefresh) -> RefreshSeen:
    least, most, *_ = one.preferences.values()
    return RefreshSeen(id="", status="", min_healthy=least, max_healthy=most)


PLANNED = Step("planned", RefreshPlan)
BEGAN = Step("began", RefreshBegan, changes=True, locks=True, kept=True)
WATCHED = Step("watched", RolloutResult, require, changes=True, locks=True)
