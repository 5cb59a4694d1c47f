"""Watch a deploy go into service: every instance, or it has failed (DESIGN 6.3-6.6)."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from olrunbook.adapters.aws.reads import (
    Account,
    images_exist,
    require_identity,
    unseen,
)
from olrunbook.adapters.aws.seen import TemplateSeen
from olrunbook.adapters.context import Context
from olrunbook.errors import StepError, ToolError, UsageError
from olrunbook.events import Event
from olrunbook.steps.deploy.availability import (
    availability,
    consequences,
    previous_images,
)
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.group import GroupWatch
from olrunbook.steps.rollout.model import GroupRollout, Outcome, RolloutResult
from olrunbook.steps.rollout.probe import SAMPLES_VARIABLE
from olrunbook.steps.rollout.probing import collected, probe_notes, probing
from olrunbook.steps.rollout.samples import per_second, summarise
from olrunbook.steps.rollout.verdict import Patience, Verdict, judge, on_image
from olrunbook.steps.step import Step

__all__ = ["STEP", "Patience", "RolloutResult", "require", "rollout"]

MAX_ACTIVITIES = 20
SHOW = "aws autoscaling describe-instance-refreshes --auto-scaling-group-name"
ORDER: tuple[Outcome, ...] = ("failed", "refreshed", "launched", "unchanged")


def rollout(
    ctx: Context,
    deploy: DeployResult,
    *,
    samples: Path | None = None,
    patience: Patience | None = None,
) -> RolloutResult:
    """Watch until the deploy is in service on every instance, or has failed.

    Args:
        ctx: The step's context.
        deploy: The update whose rollout this is.
        samples: The samples of a probe that somebody else keeps going; None: the file
            that OLRUNBOOK_PROBE names, else a probe of its own.
        patience: How long it may take its time.

    Returns:
        How it ended. A failed rollout is a result too; `require` raises for it.

    Raises:
        RefusedError: The AWS identity is not the target's.
        UsageError: The deploy's image set does not fit the app.
        ToolError: The AWS API does not answer for long.

    """
    patience = patience or Patience()
    if set(deploy.images) != set(ctx.app.node_types):
        have, wanted = sorted(deploy.images), sorted(ctx.app.node_types)
        msg = f"the deploy's images name {have}, the app has {wanted}"
        raise UsageError(msg)
    require_identity(ctx)
    account = Account(ctx.target)
    began = ctx.clock()
    watches = _watches(ctx, deploy, began)
    if samples is None and (named := os.environ.get(SAMPLES_VARIABLE)):
        samples = Path(named)
    with probing(ctx, deploy, samples) as file:
        verdicts = _follow(ctx, account, watches, deploy.started_at, patience)
    ended = ctx.clock()
    seen = collected(ctx, file, ended) if file else []
    new = all(not group.name for group in deploy.before)
    own = samples is None
    since = began if own else deploy.started_at
    probe = summarise(seen, since, ended, new=new) if file else None
    groups = [
        _group(account, watch, verdicts[tag], deploy.started_at)
        for tag, watch in watches.items()
    ]
    outcome = next(word for word in ORDER if word in {g.outcome for g in groups})
    failed = outcome == "failed"
    return RolloutResult(
        app=ctx.app_name,
        stage=ctx.stage,
        outcome=outcome,
        images=dict(deploy.images),
        url=deploy.url,
        groups=groups,
        timeline=[sample for watch in watches.values() for sample in watch.timeline],
        probe=probe,
        probe_seconds=per_second(seen, since, ended),
        notes=_notes(ctx, groups, probe_notes(ctx, deploy, probe, began, own=own)),
        consequences=_aftermath(ctx, account, watches, deploy) if failed else [],
        started_at=began,
        ended_at=ended,
        by_hand="\n".join(f"{SHOW} {group.group}" for group in groups if group.group),
    )


def require(result: RolloutResult) -> None:
    """Raise StepError if the rollout failed, with the way back as the hint."""
    if result.outcome == "failed":
        raise StepError(result.headline(), result.consequences[-1])


def _watches(
    ctx: Context, deploy: DeployResult, began: datetime
) -> dict[str, GroupWatch]:
    """Return a watch for each group, by its tag `Name`."""
    before = {group.tag_name: group for group in deploy.before}
    return {
        none.tag_name: GroupWatch(
            deploy.images[none.node_type],
            before.get(none.tag_name, none),
            began,
            updated=bool(deploy.changes),
        )
        for none in unseen(ctx.app, ctx.stage)
    }


def _follow(
    ctx: Context,
    account: Account,
    watches: dict[str, GroupWatch],
    since: datetime,
    patience: Patience,
) -> dict[str, Verdict]:
    """Look again and again until every group has come to an end."""
    began, missed, warned = ctx.clock(), 0, ctx.clock()
    while True:
        at = ctx.clock()
        try:
            _look(ctx, account, watches, since, at)
            missed = 0
        except ToolError as error:
            missed += 1
            if missed >= patience.outages:
                raise
            ctx.emit(Event("aws", "warning", str(error)))
            ctx.sleep(patience.every_s)
            continue
        verdicts = {
            tag: judge(watch.evidence(at), patience) for tag, watch in watches.items()
        }
        for tag, verdict in verdicts.items():
            ctx.emit(_progress(watches[tag], verdict, at, many=len(watches) > 1))
        if all(verdict.outcome for verdict in verdicts.values()):
            return verdicts
        if patience.deadline_s and (at - began).total_seconds() >= patience.deadline_s:
            return {n: _late(verdict, patience) for n, verdict in verdicts.items()}
        changed = max(watch.changed for watch in watches.values())
        if (at - max(changed, warned)).total_seconds() >= patience.silence_s:
            warned = at
            quiet = (at - changed).total_seconds()
            waiting = [v.reason for v in verdicts.values() if not v.outcome]
            text = f"no news for {quiet:.0f} s: {'; '.join(waiting)}"
            ctx.emit(Event("aws", "warning", text))
        ctx.sleep(patience.every_s)


def _look(
    ctx: Context,
    account: Account,
    watches: dict[str, GroupWatch],
    since: datetime,
    at: datetime,
) -> None:
    """Look at every group once."""
    for group, refreshes in account.observe(ctx.app, ctx.stage):
        watch = watches[group.tag_name]
        template, failed = TemplateSeen(), []
        if group.name and not any(refresh.active for refresh in refreshes):
            template = account.template(group.name)
        if group.name and group.name != watch.before.name:
            activities = account.activities(group.name, since)
            failed = [item for item in activities if item.status == "Failed"]
        for event in watch.see(at, group, refreshes, template, failed):
            ctx.emit(event)


def _progress(
    watch: GroupWatch, verdict: Verdict, at: datetime, *, many: bool
) -> Event:
    """Return where a group stands, as an event."""
    text = watch.progress(at, verdict)
    sample, label = watch.timeline[-1], watch.now.label
    data = {"node_type": label, "percent": sample.percent, "serving": sample.serving}
    return Event("aws", "progress", f"{label}: {text}" if many else text, data)


def _late(verdict: Verdict, patience: Patience) -> Verdict:
    """Return the verdict of a group that had not ended at the deadline."""
    if verdict.outcome:
        return verdict
    text = f"not ended after {patience.deadline_s:g} s: {verdict.reason}"
    return Verdict("failed", text, verdict.refresh)


def _group(
    account: Account, watch: GroupWatch, verdict: Verdict, since: datetime
) -> GroupRollout:
    """Return how it ended for a group."""
    assert verdict.outcome is not None
    evidence = watch.evidence(watch.changed)
    refresh, name = verdict.refresh, watch.now.name
    activities = []
    if verdict.outcome == "failed" and name:
        activities = account.activities(name, since)[:MAX_ACTIVITIES]
    return GroupRollout(
        node_type=watch.before.node_type,
        label=watch.now.label,
        group=name,
        image=watch.image,
        outcome=verdict.outcome,
        reason=verdict.reason,
        desired=watch.now.desired,
        serving=sum(on_image(item, watch.image) for item in watch.now.instances),
        instances=watch.tracks,
        refresh=refresh,
        other_refreshes=[item for item in evidence.new if item != refresh],
        availability=availability(watch.now.desired, refresh) if refresh else "",
        template_image=watch.template.image,
        activities=activities,
    )


def _notes(ctx: Context, groups: list[GroupRollout], probe: list[str]) -> list[str]:
    """Return what is to be said about availability."""
    many = len(groups) > 1
    notes = [
        f"{group.label}: {group.availability}" if many else group.availability
        for group in groups
        if group.availability
    ]
    if ctx.target.kind == "rehearsal":
        probe = [*probe, "Rehearsal times: on AWS the same takes minutes."]
    return [*notes, *probe]


def _aftermath(
    ctx: Context,
    account: Account,
    watches: dict[str, GroupWatch],
    deploy: DeployResult,
) -> list[str]:
    """Return what a failed rollout leaves behind."""
    there = {watch.now.name: watch.now for watch in watches.values() if watch.now.name}
    previous = previous_images(deploy.before)
    return consequences(
        ctx.app_name,
        ctx.stage,
        {name: group.instances for name, group in there.items()},
        {name: account.template(name) for name in there},
        images_exist(ctx, previous),
    )


STEP = Step("rollout", RolloutResult, require, changes=True, locks=True)
