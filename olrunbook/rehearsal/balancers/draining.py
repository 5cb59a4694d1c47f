"""Targets that have left their target group and may still have requests in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from olrunbook.rehearsal.balancers.targets import target_group
from olrunbook.rehearsal.signals import Signals

DELAY_ATTRIBUTE = "deregistration_delay.timeout_seconds"
SHORTEST_DELAY_S = 0.5
SETTLE_S = 0.3  # until the balancers have been told
TURN_S = 0.25  # one turn of the control loop: haproxy has dropped the server
LOOK_S = 0.05


class Draining:
    """Knows what drains, and until when.

    Args:
        scale: Factor on deregistration_delay.timeout_seconds.
        signals: Told of every change; when the cloud goes down nobody waits.
        balanced: Whether there are balancers that could have requests in flight.

    """

    def __init__(self, scale: float, signals: Signals, *, balanced: bool) -> None:
        self._scale, self._signals, self._balanced = scale, signals, balanced
        self._leaving: dict[tuple[str, str], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def leave(self, group_arn: str, target_id: str) -> None:
        """Begin to drain a target that is registered."""
        group = target_group(group_arn)
        if not self._balanced or group is None or target_id not in group.targets:
            return
        delay = float(str(group.attributes.get(DELAY_ATTRIBUTE, 300)))
        now = time.monotonic()
        with self._lock:
            until = now + max(delay * self._scale, SHORTEST_DELAY_S)
            self._leaving[group_arn, target_id] = now, until
        self._signals.changed()

    def is_draining(self, group_arn: str, target_id: str) -> bool:
        """Whether a target drains."""
        return (group_arn, target_id) in self._leaving

    def of_group(self, group_arn: str) -> list[str]:
        """Return the targets of a group that drain."""
        with self._lock:
            return [target for arn, target in self._leaving if arn == group_arn]

    def settle(self, idle: Callable[[str, str], bool]) -> None:
        """End the draining of what is idle (nothing is in flight) or over its time."""
        now = time.monotonic()
        for (arn, target), (since, until) in list(self._leaving.items()):
            if now > until or (now - since > SETTLE_S and idle(arn, target)):
                with self._lock:
                    self._leaving.pop((arn, target), None)

    def wait_for(self, target_id: str) -> None:
        """Wait until a target drains nowhere any more."""
        if not self._balanced:
            return
        while any(target == target_id for _, target in list(self._leaving)):
            if self._signals.ending.wait(LOOK_S):
                return
        self._signals.changed()
        time.sleep(TURN_S)
