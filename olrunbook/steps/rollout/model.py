"""What a rollout was: groups, instances, refreshes, availability. Plain values."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.adapters.aws.seen import ActivitySeen, InstanceSeen, RefreshSeen, short
from olrunbook.steps.results import Result, Value
from olrunbook.steps.rollout.samples import ProbeSecond, ProbeSummary

Outcome = Literal["launched", "refreshed", "unchanged", "failed"]


class InstanceTrack(Value):
    """One instance from before the update to the end of the rollout."""

    id: str
    image: str  # the image it runs
    before: InstanceSeen | None = None  # how it was before; None: it was not there
    after: InstanceSeen | None = None  # how it is at the end; None: it is gone
    launched_at: datetime | None = None  # when it was launched (UTC)
    # when it was first seen in service and healthy, after the update
    served_at: datetime | None = None
    gone_at: datetime | None = None  # when it was first missed

    @property
    def stays(self) -> bool:
        """Whether it is from before, still there, and not on its way out."""
        return bool(self.before and self.after and not self.after.leaving)


class Ailment(Value):
    """An instance that turned unhealthy."""

    id: str
    image: str  # the image it runs
    at: datetime  # when that was first seen (UTC)
    reason: str  # why, in AWS's words
    # the last lines it wrote on its console; secrets are masked
    console: list[str] = Field(default_factory=list)
    log: str = ""  # file in the run's `logs/` with more; empty: it wrote nothing
    # it had served, its group gave it up, or the rollout failed meanwhile; else it was
    # only slow to start
    lost: bool = True


class GroupRollout(Value):
    """How the rollout ended for one group."""

    node_type: str  # node type of the app
    label: str  # what people call the group, `worker concourse-worker-infra-ci`
    group: str  # the group's physical name; empty: there is none
    image: str  # the image that was wanted
    outcome: Outcome  # how it ended
    reason: str  # why it failed; else what it ended in
    desired: int  # desired capacity
    serving: int  # instances in service, healthy and on the image
    instances: list[InstanceTrack]  # its instances before and after
    refresh: RefreshSeen | None = None  # the refresh that decided
    # more refreshes since the update
    other_refreshes: list[RefreshSeen] = Field(default_factory=list)
    availability: str = ""  # what such an update does to availability, by its settings
    template_image: str = ""  # image of the launch template, where it was read
    # scaling activities since the update, where it failed
    activities: list[ActivitySeen] = Field(default_factory=list)
    # instances that turned unhealthy
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
    """A group at one moment of the rollout, for the plot."""

    at: datetime  # the moment (UTC)
    group: str  # the group's label
    status: str  # status of the newest refresh since the update; empty: none
    percent: int  # how much of it is done
    serving: int  # instances in service and healthy, whatever their image
    on_image: int  # those of them on the image that was wanted
    desired: int  # desired capacity


class RolloutResult(Result):
    """One rollout."""

    schema_name: ClassVar[str] = "olrunbook/rollout/1"

    app: str
    stage: str
    outcome: Outcome  # the worst of the groups' outcomes
    images: dict[str, str]  # the image set that was wanted
    url: str  # where the load balancer answers; empty: the stage has none
    groups: list[GroupRollout]  # how it ended for each group
    timeline: list[RolloutSample]  # the groups over time
    # what the probe saw from the update to the end; None: not probed
    probe: ProbeSummary | None
    probe_seconds: list[ProbeSecond]  # the probe's requests second by second
    notes: list[str]  # sentences on availability
    consequences: list[str]  # what a failed rollout leaves behind, and the way back
    started_at: datetime  # when the watching began (UTC)
    ended_at: datetime  # when it ended
    by_hand: str  # the command that does the same without olrunbook
    # what it saw in the soak, in a sentence; empty: there was none, or it was not
    # reached
    soak: str = ""

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
        only_soak = self.soak and self.outcome == "failed"
        return f"{self.soak}; {text}" if only_soak else text

    @property
    def probed_all(self) -> bool:
        """Whether the probe saw the whole of a refresh, so that its figures count."""
        begins = [group.refresh.started_at for group in self.groups if group.refresh]
        return bool(begins) and all(
            self.probe is not None and at is not None and self.probe.since <= at
            for at in begins
        )
