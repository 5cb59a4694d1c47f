"""Follow one group from look to look: its instances, its refresh, what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from olrunbook.adapters.aws.seen import (
    ActivitySeen,
    GroupSeen,
    InstanceSeen,
    RefreshSeen,
    TemplateSeen,
    short,
)
from olrunbook.events import Event
from olrunbook.steps.rollout.model import InstanceTrack, RolloutSample
from olrunbook.steps.rollout.verdict import Evidence, Verdict, on_image

SAMPLE_S = 5.0  # the plot needs no more while nothing changes


class GroupWatch:
    """What was seen of one group since the watching began."""

    def __init__(
        self, image: str, before: GroupSeen, began: datetime, *, updated: bool
    ) -> None:
        self.image, self.before, self.began = image, before, began
        self.updated = updated
        self.now = before
        self.refreshes: tuple[RefreshSeen, ...] = ()
        self.template = TemplateSeen()
        self.failed_launches: tuple[ActivitySeen, ...] = ()
        self.at = self.changed = began
        self.timeline: list[RolloutSample] = []
        self._picture: object = None
        self._tracks = {
            instance.id: InstanceTrack(
                id=instance.id,
                image=instance.image,
                before=instance,
                after=instance,
                launched_at=instance.launched_at,
            )
            for instance in before.instances
        }

    @property
    def tracks(self) -> list[InstanceTrack]:
        """Every instance seen, those from before the update first."""
        never = self.began
        return sorted(
            self._tracks.values(),
            key=lambda track: (track.before is None, track.launched_at or never),
        )

    @property
    def serving(self) -> int:
        """How many instances serve on the image."""
        return sum(on_image(item, self.image) for item in self.now.instances)

    @property
    def stays(self) -> bool:
        """Whether an instance from before is still there."""
        return any(track.stays for track in self._tracks.values())

    def see(
        self,
        at: datetime,
        group: GroupSeen,
        refreshes: Sequence[RefreshSeen],
        failed_launches: Sequence[ActivitySeen],
    ) -> list[Event]:
        """Take in a look; return what is new in it."""
        self.at, self.now, self.refreshes = at, group, tuple(refreshes)
        self.template = TemplateSeen()  # set where it is read after this
        self.failed_launches = tuple(failed_launches)
        events = self._follow(at, {item.id: item for item in group.instances})
        picture = (group, self.refreshes, self.failed_launches)
        if picture != self._picture:
            self._picture, self.changed = picture, at
        self._sample(at)
        return events

    def _follow(self, at: datetime, instances: dict[str, InstanceSeen]) -> list[Event]:
        """Bring the instances up to date."""
        events = []
        for name in dict.fromkeys([*self._tracks, *instances]):
            track = self._tracks.get(name) or InstanceTrack(id=name, image="")
            was, seen = track.after, instances.get(name)
            if seen:
                news: dict[str, object] = {"after": seen, "gone_at": None}
                news["image"] = seen.image or track.image
                news["launched_at"] = seen.launched_at or track.launched_at
                news["served_at"] = track.served_at or (at if seen.serves else None)
            else:
                news = {"after": None, "gone_at": track.gone_at or at}
            self._tracks[name] = track = track.model_copy(update=news)
            state = seen.state if seen else "gone"
            first = self._picture is None
            if first or state != (was.state if was else "gone"):
                image = short(track.image) or "no image yet"
                data = {"name": name, "state": state, "image": track.image}
                data["node_type"] = self.before.node_type
                text = f"{short(name)} {state} · {image}"
                events.append(Event("aws", "operation", text, data))
        return events

    def _sample(self, at: datetime) -> None:
        new = self.evidence(at).new
        sample = RolloutSample(
            at=at,
            group=self.now.label,
            status=new[0].status if new else "",
            percent=new[0].percent if new else 0,
            serving=sum(instance.serves for instance in self.now.instances),
            on_image=self.serving,
            desired=self.now.desired,
        )
        if self.timeline:
            last = self.timeline[-1]
            same = last.model_copy(update={"at": at}) == sample
            if same and (at - last.at).total_seconds() < SAMPLE_S:
                return
        self.timeline.append(sample)

    def evidence(self, at: datetime) -> Evidence:
        """Return what is known at a moment."""
        lost = (
            track.id
            for track in self.tracks
            if track.before is None
            and track.served_at is None
            and (track.after is None or track.after.leaving)
        )
        return Evidence(
            image=self.image,
            before=self.before,
            now=self.now,
            refreshes=self.refreshes,
            waited_s=(at - self.began).total_seconds(),
            steady_s=(at - self.changed).total_seconds(),
            lost=tuple(lost),
            failed_launches=self.failed_launches,
            template=self.template,
            updated=self.updated,
        )

    def progress(self, at: datetime, verdict: Verdict) -> str:
        """Return where it stands: `1 of 2 healthy · i-72db… pending · last news …`."""
        parts = [f"{self.serving} of {self.now.desired} healthy on {short(self.image)}"]
        if any(refresh.active for refresh in self.refreshes):
            parts.insert(0, verdict.reason)
        coming = [i for i in self.now.instances if not i.serves and not i.leaving]
        for item in coming[:2]:
            why = f" (unhealthy: {item.reason})" if item.sick and item.reason else ""
            parts.append(f"{short(item.id)} {item.state}{why}")
        silent = (at - self.changed).total_seconds()
        parts.append(f"last news {silent:.0f} s ago")
        return " · ".join(parts)
