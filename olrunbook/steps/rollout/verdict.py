"""The rule of a rollout's endings (DESIGN 6.4): a pure function of what was seen."""

from __future__ import annotations

from typing import NamedTuple

from olrunbook.adapters.aws.seen import (
    ActivitySeen,
    GroupSeen,
    InstanceSeen,
    RefreshSeen,
    TemplateSeen,
    short,
)
from olrunbook.project.stack import called
from olrunbook.steps.pace import Patience
from olrunbook.steps.rollout.model import Outcome


class Evidence(NamedTuple):
    """What is known of one group at one moment."""

    image: str  # the image that is wanted
    before: GroupSeen  # the group before the update began
    now: GroupSeen  # the group now
    refreshes: tuple[RefreshSeen, ...] = ()  # all its refreshes, newest first
    waited_s: float = 0.0  # seconds since the first look
    steady_s: float = 0.0  # seconds since anything changed
    lost: tuple[str, ...] = ()  # new ones that ended before they served
    # scaling activities since the update that failed
    failed_launches: tuple[ActivitySeen, ...] = ()
    template: TemplateSeen = TemplateSeen()  # its launch template, where it was read
    updated: bool = True  # it changed something: a refresh may be about to begin

    @property
    def created(self) -> bool:
        """Whether this update made the group."""
        return self.now.name != self.before.name

    @property
    def new(self) -> tuple[RefreshSeen, ...]:
        """The refreshes that are new since before the update."""
        known = set() if self.created else set(self.before.refresh_ids)
        return tuple(refresh for refresh in self.refreshes if refresh.id not in known)


class Verdict(NamedTuple):
    """What a moment means."""

    outcome: Outcome | None  # how it ended; None: it has not ended
    reason: str  # why, in one line; while it has not ended, what is waited for
    refresh: RefreshSeen | None = None  # the refresh that decided


def on_image(instance: InstanceSeen, image: str) -> bool:
    """Whether an instance serves on the image."""
    return instance.serves and instance.image == image


def shortcomings(image: str, group: GroupSeen, newest: str) -> list[str]:
    """Return what is wrong with a group's instances; empty: all serve on the image.

    An instance on the right image that was made from an older version of the launch
    template is wrong too: it lacks what changed beside the image. `newest` is the
    version it launches from now; empty: that was not read.
    """
    staying = [instance for instance in group.instances if not instance.leaving]
    wrong = []
    for instance in staying:
        name, made_from = short(instance.id), instance.template_version
        if not instance.serves:
            wrong.append(f"{name} is {instance.state}")
        elif instance.image != image:
            wrong.append(f"{name} runs {short(instance.image)}")
        elif newest and made_from.isdigit() and made_from != newest:
            kept = f"launch template version {made_from} of {newest}"
            wrong.append(f"{name} keeps {kept}")
    if len(staying) < group.desired:
        wrong.append(f"{len(staying)} of {group.desired} instances are up")
    return wrong


def judge(seen: Evidence, patience: Patience) -> Verdict:
    """Return what the evidence means.

    A rollout is over when no refresh of the group is at work and its instances are what
    was wanted, or are not and nothing happens any more. `Successful` alone proves
    nothing, and neither does the newest refresh alone: it must be new since the update.
    """
    decided = seen.new[0] if seen.new else None
    if not seen.now.name:
        return Verdict("failed", f"there is no group {called(seen.now.tag_name)}")
    if active := [refresh for refresh in seen.refreshes if refresh.active]:
        what = active[0]
        text = f"refresh {short(what.id)} {what.status} {what.percent} %"
        return Verdict(None, text, decided)
    if seen.now.desired == 0:
        text = "its desired capacity is 0: nothing serves"
        return Verdict("failed", text, decided)
    wrong = shortcomings(seen.image, seen.now, seen.template.number)
    if decided:
        return _after_refresh(seen, decided, wrong, patience)
    if seen.created:
        return _after_launch(seen, wrong, patience)
    return _without_refresh(seen, wrong, patience)


def _after_refresh(
    seen: Evidence, refresh: RefreshSeen, wrong: list[str], patience: Patience
) -> Verdict:
    if refresh.status != "Successful":
        reason = f": {refresh.reason}" if refresh.reason else ""
        text = f"refresh {short(refresh.id)} {refresh.status}{reason}"
        return Verdict("failed", text, refresh)
    if not wrong:
        return Verdict("refreshed", f"refresh {short(refresh.id)} Successful", refresh)
    text = f"refresh {short(refresh.id)} Successful, but {', '.join(wrong)}"
    ended = seen.steady_s >= patience.settle_s
    return Verdict("failed" if ended else None, text, refresh)


def _after_launch(seen: Evidence, wrong: list[str], patience: Patience) -> Verdict:
    if not wrong:
        return Verdict("launched", "every instance of the new group serves")
    text = ", ".join(wrong)
    if len(seen.lost) >= patience.losses:
        lost = ", ".join(short(instance) for instance in seen.lost)
        text = f"{lost} ended before they served; {text}"
        return Verdict("failed", text)
    if len(seen.failed_launches) > patience.losses and not seen.now.instances:
        last = seen.failed_launches[0]
        said = last.message or last.description
        text = f"{len(seen.failed_launches)} launches failed: {said}"
        return Verdict("failed", text)
    all_serve = all(i.serves for i in seen.now.instances if not i.leaving)
    full = len(seen.now.instances) >= seen.now.desired
    if all_serve and full and seen.steady_s >= patience.settle_s:
        return Verdict("failed", text)  # on another image, and content with it
    return Verdict(None, text)


def _without_refresh(seen: Evidence, wrong: list[str], patience: Patience) -> Verdict:
    before = seen.before.instances
    already = bool(before) and all(i.image == seen.image for i in before)
    early = seen.waited_s < patience.refresh_grace_s
    if already and not wrong and not (seen.updated and early):
        return Verdict("unchanged", "every instance was already on the image")
    if early:
        return Verdict(None, "no refresh has begun yet")
    if already and not all(instance.serves for instance in seen.now.instances):
        text = f"every instance was already on the image, but {', '.join(wrong)}"
        ended = seen.steady_s >= patience.settle_s
        return Verdict("failed" if ended else None, text)
    text = "no instance refresh has begun since the update"
    if wrong:
        text += f", so {', '.join(wrong)}: olrunbook run refresh starts one"
    return Verdict("failed", text)
