"""Watch a deploy go into service: every instance, or it has failed (DESIGN 6.3-6.6)."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from olrunbook.adapters.aws.reads import Account, require_identity, unseen
from olrunbook.adapters.context import Context
from olrunbook.errors import StepError, UsageError
from olrunbook.steps import way_back
from olrunbook.steps.deploy.availability import availability, consequences
from olrunbook.steps.pace import Patience
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.awaited import Awaited, of_deploy
from olrunbook.steps.rollout.group import GroupWatch
from olrunbook.steps.rollout.model import GroupRollout, Outcome, RolloutResult
from olrunbook.steps.rollout.probe import SAMPLES_VARIABLE
from olrunbook.steps.rollout.probing import collected, probe_notes, probing
from olrunbook.steps.rollout.samples import Sample, per_second, summarise
from olrunbook.steps.rollout.verdict import Verdict
from olrunbook.steps.rollout.watching import Watching
from olrunbook.steps.step import Step

MAX_ACTIVITIES = 20
SHOW = "aws autoscaling describe-instance-refreshes --auto-scaling-group-name"
ORDER: tuple[Outcome, ...] = ("failed", "refreshed", "launched", "unchanged")


def rollout(
    ctx: Context,
    deploy: DeployResult | Awaited,
    *,
    samples: Path | None = None,
    patience: Patience | None = None,
) -> RolloutResult:
    """Watch until the deploy is in service on every instance, or has failed.

    Args:
        ctx: The step's context.
        deploy: The update whose rollout this is, as its record or its groups say.
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
    if isinstance(deploy, DeployResult):
        deploy = of_deploy(deploy)
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
    watching = Watching(ctx, account, watches, deploy.started_at, patience)
    with probing(ctx, deploy, samples) as file:
        verdicts = watching.follow()
    ended = ctx.clock()
    seen = collected(ctx, file, ended) if file else []
    new = not any(group.name for group in deploy.before)
    own = samples is None
    since = began if own else deploy.started_at
    probe = summarise(seen, since, ended, new=new) if file else None
    said = probe_notes(ctx, deploy, probe, began, own=own)
    groups = [
        _group(account, watch, verdicts[tag], watching, deploy.started_at)
        for tag, watch in watches.items()
    ]
    outcome = next(word for word in ORDER if word in {g.outcome for g in groups})
    soak, soaked = _soak(ctx, watching.good_since, seen, ended)
    if failed := outcome == "failed" or not soaked:
        outcome = "failed"
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
        notes=_notes(ctx, deploy, groups, soak, said),
        consequences=_aftermath(ctx, account, watches, watching) if failed else [],
        started_at=began,
        ended_at=ended,
        by_hand="\n".join(f"{SHOW} {group.group}" for group in groups if group.group),
        soak=soak,
    )


def require(result: RolloutResult) -> None:
    """Raise StepError if the rollout failed, with the way back as the hint."""
    if result.outcome == "failed":
        raise StepError(result.headline(), result.consequences[-1])


def _soak(
    ctx: Context, since: datetime | None, seen: list[Sample], ended: datetime
) -> tuple[str, bool]:
    """Return what the probe saw in the soak, and whether that is within its limits."""
    if ctx.app.soak is None or since is None:
        return "", True
    probe, most = summarise(seen, since, ended), ctx.app.soak.max_failed
    found = f"{probe.failed} of {probe.requests} requests failed, at most {most} may"
    if not probe.requests:
        found = "no request was made, so nothing is proven"
    good = bool(probe.requests) and probe.failed <= most
    return f"soak of {ctx.app.soak.seconds} s: {found}", good


def _watches(ctx: Context, deploy: Awaited, began: datetime) -> dict[str, GroupWatch]:
    """Return a watch for each group, by its tag `Name`."""
    before = {group.tag_name: group for group in deploy.before}
    return {
        none.tag_name: GroupWatch(
            deploy.images[none.node_type],
            before.get(none.tag_name, none),
            began,
            updated=deploy.updated,
        )
        for none in unseen(ctx.app, ctx.stage)
    }


def _group(
    account: Account,
    watch: GroupWatch,
    verdict: Verdict,
    watching: Watching,
    since: datetime,
) -> GroupRollout:
    """Return how it ended for a group."""
    assert verdict.outcome is not None
    evidence = watch.evidence(watch.changed)
    refresh, name = verdict.refresh, watch.now.name
    activities = []
    if verdict.outcome == "failed" and name:
        activities = watching.afterwards(lambda: account.activities(name, since)) or []
    return GroupRollout(
        node_type=watch.before.node_type,
        label=watch.now.label,
        group=name,
        image=watch.image,
        outcome=verdict.outcome,
        reason=verdict.reason,
        desired=watch.now.desired,
        serving=watch.serving,
        instances=watch.tracks,
        refresh=refresh,
        other_refreshes=[item for item in evidence.new if item != refresh],
        availability=availability(watch.now.desired, refresh) if refresh else "",
        template_image=watch.template.image,
        activities=activities[:MAX_ACTIVITIES],
        unhealthy=watching.wards.of(watch),
    )


def _notes(
    ctx: Context,
    deploy: Awaited,
    groups: list[GroupRollout],
    soak: str,
    said: list[str],
) -> list[str]:
    """Return what is to be said about availability, with what the probe says of it."""
    many = len(groups) > 1
    notes = [
        f"{group.label}: {group.availability}" if many else group.availability
        for group in groups
        if group.availability
    ]
    notes += [f"{soak.capitalize()}."] if soak else []
    notes += said
    if not deploy.recorded:
        notes.append(
            "Watched without a deploy's record: what went before is not shown."
        )
    if ctx.target.kind == "rehearsal":
        notes.append("Rehearsal times: on AWS the same takes minutes.")
    return notes


def _aftermath(
    ctx: Context,
    account: Account,
    watches: dict[str, GroupWatch],
    watching: Watching,
) -> list[str]:
    """Return what a failed rollout leaves behind."""
    there = {watch.now.name: watch.now for watch in watches.values() if watch.now.name}
    found = watching.afterwards(
        lambda: {name: account.template(name) for name in there}
    )
    return consequences(
        {name: group.instances for name, group in there.items()},
        found or {},
        way_back.in_words(replace(ctx, place=account.target)),  # perhaps renewed
    )


STEP = Step("rollout", RolloutResult, require, changes=True, locks=True)
