"""Watch a deploy go into service: every instance, or it has failed (DESIGN 6.3-6.6)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from olrunbook.adapters.aws.reads import require_identity, unseen
from olrunbook.adapters.context import Context
from olrunbook.errors import StepError, UsageError
from olrunbook.steps import way_back
from olrunbook.steps.deploy.availability import availability, consequences
from olrunbook.steps.pace import Patience
from olrunbook.steps.results import DeployResult, Step
from olrunbook.steps.rollout.awaited import Awaited, of_deploy
from olrunbook.steps.rollout.group import GroupWatch
from olrunbook.steps.rollout.model import GroupRollout, Outcome, RolloutResult
from olrunbook.steps.rollout.probe import SAMPLES_VARIABLE, Probe
from olrunbook.steps.rollout.samples import (
    ProbeSummary,
    Sample,
    per_second,
    read_samples,
    summarise,
)
from olrunbook.steps.rollout.verdict import Verdict
from olrunbook.steps.rollout.watching import Watching

MAX_ACTIVITIES = 20
SHOW = "aws autoscaling describe-instance-refreshes --auto-scaling-group-name"
ORDER: tuple[Outcome, ...] = ("failed", "refreshed", "launched", "unchanged")

SAMPLES_FILE = "probe.jsonl"
TAIL_S = 3.0  # how long the last answers of somebody else's probe may take


def rollout(
    ctx: Context,
    deploy: DeployResult | Awaited,
    *,
    samples: Path | None = None,
    patience: Patience | None = None,
) -> RolloutResult:
    """Watch until the deploy is in service on every instance, or has failed.

    A failed rollout is a result too; `require` raises for it. `samples` is the file of
    a probe that somebody else keeps going; None: the one that OLRUNBOOK_PROBE names,
    else a probe of its own.

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
    began = ctx.clock()
    watches = _watches(ctx, deploy, began)
    if samples is None and (named := os.environ.get(SAMPLES_VARIABLE)):
        samples = Path(named)
    watching = Watching(ctx, watches, deploy.started_at, patience)
    with _probing(ctx, deploy, samples) as file:
        verdicts = watching.follow()
    ended = ctx.clock()
    seen = _collected(ctx, file, ended) if file else []
    new = not any(group.name for group in deploy.before)
    own = samples is None
    since = began if own else deploy.started_at
    probe = summarise(seen, since, ended, new=new) if file else None
    said = _probe_notes(ctx, deploy, probe, began, own=own)
    groups = [
        _group(watching, watch, verdicts[tag])
        for tag, watch in watching.watches.items()
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
        consequences=_aftermath(watching) if failed else [],
        started_at=began,
        ended_at=ended,
        by_hand="\n".join(f"{SHOW} {group.group}" for group in groups if group.group),
        soak=soak,
    )


def require(result: RolloutResult) -> None:
    """Raise StepError if the rollout failed, with the way back as the hint."""
    if result.outcome == "failed":
        raise StepError(result.headline(), result.consequences[-1])


@contextmanager
def _probing(
    ctx: Context, deploy: Awaited, samples: Path | None
) -> Iterator[Path | None]:
    """Keep a probe going where nobody else does; yield the file of samples."""
    if samples or not deploy.url:
        yield samples
        return
    own = ctx.logs / SAMPLES_FILE
    with Probe(lambda: deploy.url, ctx.app.probe, own):
        yield own


def _collected(ctx: Context, file: Path, ended: datetime) -> list[Sample]:
    """Return the samples up to the end, and keep a copy beside the logs."""
    found, waited = read_samples(file), 0.0
    if file.parent == ctx.logs:
        return found  # our own probe was stopped: there is no more to come
    while waited < TAIL_S and not any(sample.at >= ended for sample in found):
        ctx.sleep(0.2)
        waited += 0.2
        found = read_samples(file)
    if file.exists():
        shutil.copyfile(file, ctx.logs / SAMPLES_FILE)
    return found


def _probe_notes(
    ctx: Context,
    deploy: Awaited,
    probe: ProbeSummary | None,
    began: datetime,
    *,
    own: bool,
) -> list[str]:
    """Return what is to be said about the probe and what it saw.

    One that is the rollout's own began with the watching.
    """
    if probe is None:
        return ["Availability was not probed: the stage has no load balancer."]
    every = f"every {ctx.app.probe.interval_s:g} s"
    notes = [f"Probe, GET {ctx.app.probe.path} {every}: {probe.sentence()}."]
    if probe.before_first_answer:
        notes.append(
            f"{probe.before_first_answer} requests before the new stage's first "
            "answer are not counted as an outage."
        )
    if own:
        late = (began - deploy.started_at).total_seconds()
        notes.append(
            f"The probe began {late:.0f} s after the update and saw nothing before "
            "that. In a release the probe starts before the update."
        )
    if deploy.url.startswith("https:"):
        notes.append("The probe does not verify the certificate.")
    return notes


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


def _group(watching: Watching, watch: GroupWatch, verdict: Verdict) -> GroupRollout:
    """Return how it ended for a group."""
    assert verdict.outcome is not None
    evidence = watch.evidence(watch.changed)
    refresh, name = verdict.refresh, watch.now.name
    activities = []
    if verdict.outcome == "failed" and name:
        account, since = watching.account, watching.since
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


def _aftermath(watching: Watching) -> list[str]:
    """Return what a failed rollout leaves behind."""
    account, groups = watching.account, [one.now for one in watching.watches.values()]
    ctx = replace(watching.ctx, place=account.target)  # perhaps renewed
    there = {group.name: group for group in groups if group.name}
    found = watching.afterwards(
        lambda: {name: account.template(name) for name in there}
    )
    return consequences(
        {name: group.instances for name, group in there.items()},
        found or {},
        way_back.in_words(ctx),
    )


STEP = Step("rollout", RolloutResult, require, changes=True, locks=True)
