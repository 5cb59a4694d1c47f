"""Replace every instance of a stage by one of the same image, and see that it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from olrunbook.adapters.aws.reads import Account, require_identity
from olrunbook.adapters.aws.refresh import start_refresh
from olrunbook.adapters.aws.seen import GroupSeen, RefreshSeen, short
from olrunbook.adapters.context import Context
from olrunbook.errors import OlrunbookError, RefusedError, StepError, UsageError
from olrunbook.steps.approval.digest import (
    canonical_groups,
    differences,
    digest,
    part_digests,
)
from olrunbook.steps.deploy.availability import AWS_MIN_HEALTHY, availability
from olrunbook.steps.deploy.plan import Finding
from olrunbook.steps.results import DeployResult, ResourceChange, Result, Value
from olrunbook.steps.rollout.model import GroupRollout, RolloutResult
from olrunbook.steps.rollout.rollout import Patience, rollout
from olrunbook.steps.step import Step

__all__ = [
    "BEGAN",
    "PLANNED",
    "GroupRefresh",
    "RefreshBegan",
    "RefreshPlan",
    "began",
    "planned",
    "watched",
]

ROOM = 10  # percent of more instances, so that a new one serves before an old one goes
WHOLE = 100
BY_HAND = "aws autoscaling start-instance-refresh --auto-scaling-group-name"


class GroupRefresh(Value):
    """What would be done to one group.

    Args:
        group: The group as it is.
        image: The image of its launch template.
        template: The version that new instances are made from.
        min_healthy: Percentage of the desired capacity that stays healthy.
        max_healthy: Percentage that may run at once.
        warmup_s: Seconds a new instance warms up; None: as the group has it.

    """

    group: GroupSeen
    image: str
    template: str
    min_healthy: int
    max_healthy: int
    warmup_s: int | None


class RefreshPlan(Result):
    """What a refresh of a stage would do.

    Args:
        app: The app.
        stage: The stage.
        asked: The percentages that were asked for; empty: by the group's last refresh.
        groups: What would be done to each group.
        images: The image set, which stays.
        outlook: What it means for what serves, a sentence each.
        by_hand: The commands that do the same without olrunbook.
        digest: Over everything that an approval of this plan approves.
        parts: The digest of each part of it, by name.

    """

    schema_name: ClassVar[str] = "olrunbook/refresh-plan/1"

    app: str
    stage: str
    asked: dict[str, str]
    groups: list[GroupRefresh]
    images: dict[str, str]
    outlook: list[str]
    by_hand: str
    digest: str
    parts: dict[str, str]

    @property
    def changes(self) -> list[ResourceChange]:
        """No resource of the stack changes."""
        return []

    @property
    def denied(self) -> list[Finding]:
        """Rules are over updates of the stack; this is none."""
        return []

    @property
    def rollback(self) -> None:
        """It goes back to nothing."""

    def headline(self) -> str:
        """Return how many instances are replaced: `2 instances to replace`."""
        number = sum(len(one.group.instances) for one in self.groups)
        word = "instance" if number == 1 else "instances"
        return f"{number} {word} to replace, the image stays"


class RefreshBegan(Result):
    """Refreshes that began.

    Args:
        images: The image set, which stays.
        refreshes: Group to the id of its refresh.
        before: The groups before.
        url: Where the load balancer answers.
        started_at: When they were started (UTC).

    """

    schema_name: ClassVar[str] = "olrunbook/refresh/1"

    images: dict[str, str]
    refreshes: dict[str, str]
    before: list[GroupSeen]
    url: str
    started_at: datetime

    def headline(self) -> str:
        """Return which refreshes began: `refresh 2de4959a of … began`."""
        began = (f"{short(r)} of {group}" for group, r in self.refreshes.items())
        return f"refresh {', '.join(began)} began"


def planned(
    ctx: Context, asked: Mapping[str, str], *, began: bool = False
) -> RefreshPlan:
    """Say what a refresh would do; change nothing.

    Args:
        ctx: The run.
        asked: `min_healthy` and `max_healthy` in percent; empty: as in the group's last
            refresh, else 90, and a little more than all.
        began: It was started in the run that this one takes up.

    Raises:
        UsageError: A percentage is none that AWS takes.
        RefusedError: A group is not there, is empty, is being refreshed, or would get
            another image.

    """
    require_identity(ctx)
    account = Account(ctx.target)
    low, high = _percent(asked, "min_healthy", 0), _percent(asked, "max_healthy", WHOLE)
    groups = []
    for group, refreshes in account.observe(ctx.app, ctx.stage):
        if not began:
            _require_quiet(ctx, group, refreshes)
        template = account.template(group.name)
        other = {i.image for i in group.instances if not i.leaving} - {template.image}
        if other and not began:
            msg = f"{group.name} runs {' and '.join(sorted(map(short, other)))}, but "
            msg += f"its launch template has {short(template.image)}"
            hint = "A refresh would change the image. Deploy: olrunbook run deploy "
            raise RefusedError(msg, f"{hint}-p app {ctx.app_name} -p stage {ctx.stage}")
        least, most, warmup = _preferences(refreshes, low, high)
        groups.append(
            GroupRefresh(
                group=group,
                image=template.image,
                template=template.number,
                min_healthy=least,
                max_healthy=most,
                warmup_s=warmup,
            )
        )
    images = {one.group.node_type: one.image for one in groups}
    outlook = [_outlook(one) for one in groups]
    parts = part_digests(
        {
            "target": [ctx.target.name, ctx.target.cloud_id, ctx.target.account],
            "stage": [ctx.app_name, ctx.stage],
            "images": images,
            "groups": canonical_groups([one.group for one in groups]),
            "refresh": [one.model_dump(exclude={"group"}) for one in groups],
            "outlook": outlook,
        }
    )
    return RefreshPlan(
        app=ctx.app_name,
        stage=ctx.stage,
        asked=dict(asked),
        groups=groups,
        images=images,
        outlook=outlook,
        by_hand="\n".join(_by_hand(one) for one in groups),
        digest=digest(parts),
        parts=parts,
    )


def began(ctx: Context, plan: RefreshPlan) -> RefreshBegan:
    """Start what was planned, and nothing else.

    Args:
        ctx: The run.
        plan: The plan.

    Raises:
        RefusedError: Something is not as it was planned, or a refresh is in progress;
            nothing was started.
        StepError: Some groups are being refreshed, and one could not be.

    """
    now = planned(ctx, plan.asked)
    if other := differences(plan.parts, now.parts, [], []):
        msg = f"not as it was planned: {', '.join(other)}"
        raise RefusedError(msg, "Somebody else changed it. Plan it again.")
    started_at, refreshes = ctx.clock(), {}
    for one in plan.groups:
        name = one.group.name
        try:
            refreshes[name] = start_refresh(
                ctx.target,
                name,
                min_healthy=one.min_healthy,
                max_healthy=one.max_healthy,
                warmup_s=one.warmup_s,
            )
        except OlrunbookError as error:
            if not refreshes:
                raise
            msg = f"{', '.join(refreshes)} is being refreshed, but: {error}"
            raise StepError(msg, "Watch it: olrunbook status") from error
    before = [one.group for one in now.groups]
    return RefreshBegan(
        images=plan.images,
        refreshes=refreshes,
        before=before,
        url=Account(ctx.target).url(before),
        started_at=started_at,
    )


def watched(
    ctx: Context, refresh: RefreshBegan, patience: Patience | None = None
) -> RolloutResult:
    """Watch refreshes to their end: every instance from before must be gone.

    Args:
        ctx: The run.
        refresh: What began.
        patience: How long it may take its time.

    Raises:
        OlrunbookError: As `rollout` does.

    """
    # What a rollout must know of an update; this one is no update of the stack.
    facts = refresh.model_dump(include={"images", "url", "started_at"})
    deploy = DeployResult.model_construct(**facts, before=refresh.before, changes=[])
    result = rollout(ctx, deploy, patience=patience)
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
    left = [short(t.id) for t in one.instances if t.before and t.after]
    if one.refresh is None or one.refresh.id != refresh:
        reason = f"refresh {short(refresh or '?')} was not the last one"
    elif left:
        reason = f"refresh {short(one.refresh.id)} left {', '.join(left)} in place"
    else:
        return one
    return one.model_copy(update={"outcome": "failed", "reason": reason})


def _require_quiet(
    ctx: Context, group: GroupSeen, refreshes: Sequence[RefreshSeen]
) -> None:
    """Refuse a group that is not there, has no instance, or is being refreshed."""
    if not group.name or not group.instances:
        msg = f"{group.name or group.tag_name} has no instance to replace"
        hint = f"olrunbook run deploy -p app {ctx.app_name} -p stage {ctx.stage}"
        raise RefusedError(msg, f"Deploy first: {hint}")
    for refresh in refreshes:
        if refresh.active:
            what = f"refresh {short(refresh.id)} of {group.name}"
            msg = f"{what} is {refresh.status}, {refresh.percent} %"
            raise RefusedError(msg, "Wait until it ends: olrunbook status")


def _percent(asked: Mapping[str, str], name: str, low: int) -> int | None:
    text = asked[name].strip().removesuffix("%").strip()
    if text and not (text.isdecimal() and low <= int(text) <= low + WHOLE):
        msg = f"{name} {text!r} is no percentage from {low} to {low + WHOLE}"
        raise UsageError(msg)
    return int(text) if text else None


def _preferences(
    refreshes: Sequence[RefreshSeen], low: int | None, high: int | None
) -> tuple[int, int, int | None]:
    """Return least and most healthy, and the warm-up: asked for, else as the last."""
    last = refreshes[0] if refreshes else RefreshSeen(id="", status="")
    given = low if low is not None else last.min_healthy
    low = AWS_MIN_HEALTHY if given is None else given
    if high is None:
        high = last.max_healthy or WHOLE + ROOM
        high = min(high, low + WHOLE)
    if high - low > WHOLE:
        msg = f"min_healthy {low} and max_healthy {high}: AWS allows 100 between them"
        raise UsageError(msg)
    return low, high, last.warmup_s


def _outlook(one: GroupRefresh) -> str:
    group, number = one.group, len(one.group.instances)
    every = "The instance" if number == 1 else f"All {number} instances"
    text = f"{every} of {group.name} will be replaced, made from version {one.template}"
    text += f" of its launch template, {short(one.image)}."
    if old := {i.template_version for i in group.instances} - {one.template, ""}:
        text += f" Some are from version {', '.join(sorted(old))} now."
    limits = one.model_dump(include={"min_healthy", "max_healthy"})
    seen = RefreshSeen(id="", status="", **limits)
    return f"{text} {availability(group.desired, seen)}"


def _by_hand(one: GroupRefresh) -> str:
    warmup = "" if one.warmup_s is None else f",InstanceWarmup={one.warmup_s}"
    limits = f"MinHealthyPercentage={one.min_healthy},"
    limits += f"MaxHealthyPercentage={one.max_healthy}"
    preferences = f"SkipMatching=false,{limits}{warmup}"
    return f"{BY_HAND} {one.group.name} --preferences {preferences}"


PLANNED = Step("planned", RefreshPlan)
BEGAN = Step("began", RefreshBegan, changes=True, locks=True, kept=True)
