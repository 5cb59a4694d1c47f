"""One instance refresh: a state machine that is advanced event by event to the present.

Nothing runs between two calls of `advance`; each goes through the events that are due,
in order and with their own times, so start and end are true however rarely one looks.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState

from olrunbook.rehearsal.groups.groups import Groups
from olrunbook.rehearsal.groups.members import moment
from olrunbook.rehearsal.groups.refresh import words
from olrunbook.rehearsal.groups.refresh.candidates import due, held_back, ringing
from olrunbook.rehearsal.groups.refresh.preferences import HOUR, Preferences
from olrunbook.rehearsal.groups.source import LaunchSource
from olrunbook.rehearsal.signals import log

MOST_EVENTS = 10_000  # of one call of `advance`
LOOK_AGAIN_S = 0.1  # at an instance that is not InService yet
SHORTEST_RETRY_S = 0.05
CAUSE = "an instance refresh replaces instances."


ACTIVE = ("Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a refresh goes: seconds for a launch, factor on AWS's durations."""

    launch_s: float
    scale: float


@dataclass(slots=True)
class Arrival:
    """A new instance on its way into service in the place of an old one."""

    new: InstanceState  # the new instance
    old: InstanceState  # the one it replaces
    at: float  # when it is looked at next (seconds since the epoch)
    warm: bool = False  # whether its warm-up has begun


class Refresh:
    """One refresh of one group, to its DesiredConfiguration where one is given."""

    def __init__(
        self,
        groups: Groups,
        group: FakeAutoScalingGroup,
        desired: dict[str, Any] | None,
        preferences: Preferences,
        pace: Callable[[], Pace],
    ) -> None:
        self.id = str(uuid.uuid4())
        self.group, self.desired, self.preferences = group, desired, preferences
        self._groups, self._pace = groups, pace
        self.status = "Pending"
        self.reason: str | None = None
        self.started, self.ended = time.time(), 0.0
        self.rollback: dict[str, Any] | None = None
        self.before = LaunchSource.of(group)
        self.source = LaunchSource.desired(group, desired) if desired else None
        self.forward = bool(desired)
        self.todo = due(group.instance_states, self.source or self.before, preferences)
        self.total = len(self.todo)
        self.arrivals: list[Arrival] = []
        self.done: list[InstanceState] = []
        self._passed = 0  # checkpoints
        self._blocked_since: float | None = None
        self._at = self.started + pace().launch_s / 2

    # -- what is shown -------------------------------------------------------------

    def percent(self) -> int:
        """Return PercentageComplete: instances past their warm-up."""
        if self.status == "Successful" and not self.preferences.checkpoints:
            return 100
        return 100 * len(self.done) // self.total if self.total else 100

    # -- what others ask and tell it -----------------------------------------------

    def arriving(self) -> list[InstanceState]:
        """Return the new instances on their way into service."""
        return [arrival.new for arrival in self.arrivals]

    def forget(self, state: InstanceState) -> None:
        """Leave out an instance that its group replaces for another reason."""
        if state in self.todo:
            self.todo.remove(state)
            self.total -= 1

    def cancel(self, *, wait: bool) -> None:
        """Start nothing more; what is on its way is waited for, or taken as it is."""
        self.status, self.reason = "Cancelling", "Cancelled due to user request."
        if not wait:
            for arrival in self.arrivals:
                arrival.new.lifecycle_state = "InService"
            self.arrivals = []
        self._at = min((arrival.at for arrival in self.arrivals), default=time.time())

    def roll_back(self, why: str, at: float | None = None) -> None:
        """Go back to what the group launched before."""
        self._at = self._at if at is None else at
        self.rollback = {
            "RollbackReason": why,
            "RollbackStartTime": moment(self._at),
            "PercentageCompleteOnRollback": self.percent(),
            "InstancesToUpdateOnRollback": len(self.todo),
        }
        undo = [*self.done, *self.arriving()]
        for arrival in self.arrivals:
            if arrival.old in self.group.instance_states:  # the old one still serves
                self._retire(arrival.new)
                undo.remove(arrival.new)
            else:
                arrival.new.lifecycle_state = "InService"
        self.status, self.reason = "RollbackInProgress", why
        self.todo, self.arrivals = undo, []
        self._blocked_since, self.forward = None, False

    # -- the clock -----------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Go through every event that is due."""
        for _ in range(MOST_EVENTS):
            if self.status not in ACTIVE or self._at > now:
                return
            self._event()

    def _event(self) -> None:
        pace = self._pace()
        if self.status == "Pending":
            self.status = "InProgress"
        for arrival in list(self.arrivals):
            if arrival.at <= self._at:
                self._look_at(arrival, pace)
                if self.status not in ACTIVE or not self.arrivals:
                    break
        if self.status not in ACTIVE:
            return
        if self.status == "Cancelling":
            self._go_on_cancelling()
        elif self.arrivals:
            self._at = max(min(arrival.at for arrival in self.arrivals), self._at)
        elif (alarm := ringing(self.group, self.preferences)) and not self.rollback:
            self._fail(f"The CloudWatch alarm {alarm} is in the ALARM state.")
        elif self.status == "Baking":
            self._finish("Successful")
        else:
            self._between_batches(pace)

    def _look_at(self, arrival: Arrival, pace: Pace) -> None:
        """Move one new instance on: up, in service, warm."""
        new = arrival.new
        if new in self.group.instance_states:
            self._groups.observe(self.group, new)
        if new.health_status != "Healthy" or new not in self.group.instance_states:
            self._replace_again(arrival)
        elif new.lifecycle_state == "Pending":
            self._blocked_since = self._blocked_since or self._at
            arrival.at = max(time.time(), arrival.at) + LOOK_AGAIN_S
            self.reason = words.waiting_for(new, "not healthy yet")
            if self._at - self._blocked_since >= HOUR * pace.scale:
                self._fail("The new instances did not become healthy in time.")
        elif not arrival.warm:
            arrival.warm = True
            arrival.at = self._at + self.preferences.warmup_s * pace.scale
            self.reason = words.warming_up(new)
        else:
            self.arrivals.remove(arrival)
            self._retire(arrival.old)
            self._groups.ledger.member(new).surplus = False
            self._blocked_since = None
            if not self.rollback:
                self.done.append(new)
            elif self.done:
                self.done.pop()

    def _replace_again(self, arrival: Arrival) -> None:
        """Put an instance that came to nothing, or its old one, back on the list."""
        self.arrivals.remove(arrival)
        self._retire(arrival.new)
        old_serves = arrival.old in self.group.instance_states
        self.todo.insert(0, arrival.old if old_serves else arrival.new)
        self._blocked_since = self._blocked_since or self._at
        self.reason = words.waiting_for(arrival.new, "unhealthy")

    def _go_on_cancelling(self) -> None:
        coming = [a for a in self.arrivals if a.new.lifecycle_state == "Pending"]
        if coming:
            self._at = max(min(arrival.at for arrival in coming), self._at)
            return
        for arrival in self.arrivals:
            self._retire(arrival.old)
        self._finish("Cancelled", "Cancelled due to user request.")

    def _between_batches(self, pace: Pace) -> None:
        """Stop at a checkpoint, end, or begin the next batch."""
        points = [] if self.rollback else self.preferences.checkpoints
        replaced, limit = self.total - len(self.todo), len(self.todo)
        reached = [point for point in points if replaced * 100 >= point * self.total]
        if len(reached) > self._passed:
            self._passed = len(reached)
            if self._passed < len(points):
                self.reason = words.checkpoint(reached[-1])
                self._at += self.preferences.checkpoint_delay_s * pace.scale
                return
        if (points and self._passed == len(points)) or not self.todo:
            self._bake(pace)
            return
        if points:
            limit = math.ceil(points[self._passed] * self.total / 100) - replaced
        held = self._hold_back()
        if not self.todo:
            return  # all that was left is ignored: the next event ends it
        if len(held) == len(self.todo):
            self._stuck(words.held(held[0]), pace)
            return
        self.todo.sort(key=lambda state: state in held)  # stable: the free ones first
        self._next_batch(min(limit, len(self.todo) - len(held)), pace)

    def _next_batch(self, limit: int, pace: Pace) -> None:
        size, first = self.preferences.batch(self.group.desired_capacity or 0)
        size = min(size, limit)
        first = min(first, size)
        olds = self.todo[:size]
        try:
            source = self.before if self.rollback else self.source
            news = self._groups.launch(self.group, size, source)
        except Exception as error:  # noqa: BLE001  (whatever it is, AWS retries for an hour)
            said = words.of(error)
            log(self.group.name, "refresh: launch failed:", said)
            what = f"Launching a new EC2 instance.  Status Reason: {said}"
            self._groups.ledger.note(self.group, what, CAUSE, failed=True)
            self._stuck(f"Failed to launch instances: {said}", pace)
            return
        del self.todo[:size]
        for position, (old, new) in enumerate(zip(olds, news, strict=True)):
            goes_first = position < first
            self._groups.ledger.member(new).surplus = not goes_first
            if goes_first:
                self._retire(old)
            self.arrivals.append(Arrival(new, old, self._at + pace.launch_s))
        self.reason = words.waiting_for(news[-1], "pending")
        self._at = self.arrivals[0].at

    # -- help ----------------------------------------------------------------------

    def _hold_back(self) -> list[InstanceState]:
        """Return the instances to wait for; ignored ones leave the list."""
        if self.rollback:
            return []
        ignored, waited_for = held_back(self.todo, self.preferences)
        for state in ignored:
            self.forget(state)
        return waited_for

    def _stuck(self, why: str, pace: Pace) -> None:
        self._blocked_since, self.reason = self._blocked_since or self._at, why
        if self._at - self._blocked_since >= HOUR * pace.scale:
            self._fail(why)
        else:
            self._at += max(HOUR * pace.scale / 60, SHORTEST_RETRY_S)

    def _bake(self, pace: Pace) -> None:
        if self.preferences.bake_s and not self.rollback:
            self.status, self.reason = "Baking", "Waiting for the bake time to pass."
            self._at += self.preferences.bake_s * pace.scale
            return
        self._finish("RollbackSuccessful" if self.rollback else "Successful")

    def _fail(self, why: str) -> None:
        if self.preferences.auto_rollback and not self.rollback:
            self.roll_back(f"Automatic rollback: {why}")
            return
        self._finish("RollbackFailed" if self.rollback else "Failed", why)

    def _finish(self, status: str, why: str | None = None) -> None:
        self.status, self.reason, self.ended = status, why, self._at
        for arrival in self.arrivals:  # failed on the way: keep what serves
            self._groups.ledger.member(arrival.new).surplus = False
            if arrival.new.lifecycle_state == "Pending":
                self._retire(arrival.new)
        self.arrivals = []
        if status == "Successful" and self.source:
            self.source.apply(self.group)
        self._groups.ledger.group(self.group).refresh = None

    def _retire(self, state: InstanceState) -> None:
        self._groups.retire(self.group, state, CAUSE)
