"""What a rollout was: groups, instances, refreshes, availability. Plain values."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.adapters.aws.seen import ActivitySeen, InstanceSeen, RefreshSeen, short
from olrunbook.steps.results import Result, Value
from olrunbook.steps.rollout.samples import ProbeSecond, ProbeSummary

__all__ = [
    "Ailment",
    "GroupRollout",
    "InstanceTrack",
    "Outcome",
    "RolloutResult",
    "RolloutSample",
    "SoakSeen",
]

Outcome = Literal["launched", "refreshed", "unchanged", "failed"]


class InstanceTrack(Value):
    """One instance from before the update to the end of the rollout.

    Args:
        id: Its id.
        image: The image it runs.
        before: How it was before the update; None: it was not there.
        after: How it is at the end; None: it is gone.
        launched_at: When it was launched (UTC).
        served_at: When it was first seen in service and healthy, after the update.
        gone_at: When it was first missed.

    """

    id: str
    image: str
    before: InstanceSeen | None = None
    after: InstanceSeen | None = None
    launched_at: datetime | None = None
    served_at: datetime | None = None
    gone_at: datetime | None = None


class Ailment(Value):
    """An instance that turned unhealthy.

    Args:
        id: Its id.
        image: The image it runs.
        at: When that was first seen (UTC).
        reason: Why, in AWS's words.
        console: The last lines it wrote on its console; secrets are masked.
        log: File in the run's `logs/` with more of them; empty: it wrote nothing.
        lost: It had served, its group gave it up, or the rollout failed meanwhile; else
            it was only slow to start.

    """

    id: str
    image: str
    at: datetime
    reason: str
    console: list[str] = Field(default_factory=list)
    log: str = ""
    lost: bool = True


class SoakSeen(Value):
    """What the probe saw while a finished rollout had to go on serving.

    Args:
        seconds: How long that was to be.
        requests: Requests meanwhile.
        failed: How many of them failed.
        max_failed: How many might.

    """

    seconds: int
    requests: int
    failed: int
    max_failed: int

    @property
    def good(self) -> bool:
        """Whether it was within its limits."""
        return self.failed <= self.max_failed

    def sentence(self) -> str:
        """Return the finding in a few words."""
        found = f"{self.failed} of {self.requests} requests failed"
        return f"soak of {self.seconds} s: {found}, at most {self.max_failed} may"


class GroupRollout(Value):
    """How the rollout ended for one group.

    Args:
        node_type: Node type of the app.
        label: What people call the group, `worker concourse-worker-infra-ci`.
        group: The group's physical name; empty: there is none.
        image: The image that was wanted.
        outcome: How it ended.
        reason: Why it failed; else what it ended in.
        desired: Desired capacity.
        serving: Instances in service, healthy and on the image.
        instances: Its instances before and after.
        refresh: The refresh that decided.
        other_refreshes: More refreshes since the update.
        availability: What such an update does to availability, by its settings.
        template_image: Image of the launch template, where it was read.
        activities: Scaling activities since the update, where it failed.
        unhealthy: Instances that turned unhealthy.

    """

    node_type: str
    label: str
    group: str
    image: str
    outcome: Outcome
    reason: str
    desired: int
    serving: int
    instances: list[InstanceTrack]
    refresh: RefreshSeen | None = None
    other_refreshes: list[RefreshSeen] = Field(default_factory=list)
    availability: str = ""
    template_image: str = ""
    activities: list[ActivitySeen] = Field(default_factory=list)
    unhealthy: list[Ailment] = Field(default_factory=list)

    def sentence(self) -> str:
        """Return the ending in a few words."""
        where = f"{self.serving} of {self.desired}"
        if self.outcome == "failed":
            return self.reason
        if self.outcome == "refreshed" and self.refresh:
            by = short(self.refresh.id)
            return f"refreshed by {by}: {where} on {short(self.image)}"
        if self.outcome == "launched":
            return f"launched: {where} healthy on {short(self.image)}"
        return f"unchanged: {where} already on {short(self.image)}"


class RolloutSample(Value):
    """A group at one moment of the rollout, for the plot.

    Args:
        at: The moment (UTC).
        group: The group's label.
        status: Status of the newest refresh since the update; empty: none.
        percent: How much of it is done.
        serving: Instances in service and healthy, whatever their image.
        on_image: Those of them on the image that was wanted.
        desired: Desired capacity.

    """

    at: datetime
    group: str
    status: str
    percent: int
    serving: int
    on_image: int
    desired: int


class RolloutResult(Result):
    """One rollout.

    Args:
        app: The app.
        stage: The stage.
        outcome: The worst of the groups' outcomes.
        images: The image set that was wanted.
        url: Where the load balancer answers; empty: the stage has none.
        groups: How it ended for each group.
        timeline: The groups over time.
        probe: What the probe saw from the update to the end; None: not probed.
        probe_seconds: The probe's requests second by second.
        soak: What it saw in the soak; None: there was none, or it was not reached.
        notes: Sentences on availability.
        consequences: What a failed rollout leaves behind, and the way back.
        started_at: When the watching began (UTC).
        ended_at: When it ended.
        by_hand: The command that does the same without olrunbook.

    """

    schema_name: ClassVar[str] = "olrunbook/rollout/1"

    app: str
    stage: str
    outcome: Outcome
    images: dict[str, str]
    url: str
    groups: list[GroupRollout]
    timeline: list[RolloutSample]
    probe: ProbeSummary | None
    probe_seconds: list[ProbeSecond]
    notes: list[str]
    consequences: list[str]
    started_at: datetime
    ended_at: datetime
    by_hand: str
    soak: SoakSeen | None = None

    def headline(self) -> str:
        """Return the endings, and what the probe saw of them."""
        many = len(self.groups) > 1
        parts = [
            f"{group.label}: {group.sentence()}" if many else group.sentence()
            for group in self.groups
        ]
        text = "; ".join(parts)
        if self.probe and self.probe.requests and self.probed_all:
            text += f" · {self.probe.sentence()}"
        if self.soak and not self.soak.good:
            text = f"{self.soak.sentence()}; {text}"
        return text

    @property
    def probed_all(self) -> bool:
        """Whether the probe saw the whole of a refresh, so that its figures count."""
        begins = [group.refresh.started_at for group in self.groups if group.refresh]
        return bool(begins) and all(
            self.probe is not None and at is not None and self.probe.since <= at
            for at in begins
        )
