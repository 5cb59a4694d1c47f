"""Look at the groups of a rollout again and again, until each has come to an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from olrunbook.adapters.aws.answers import AwsError
from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.context import Context
from olrunbook.events import Event
from olrunbook.steps.pace import Pace, Patience, Patiently
from olrunbook.steps.rollout.ailing import Wards
from olrunbook.steps.rollout.group import GroupWatch
from olrunbook.steps.rollout.verdict import Verdict, judge

# Calls of a look: for all groups (groups, instances), and for each (refreshes, health,
# template).
ALL, EACH = 2, 3
T = TypeVar("T")


class Watching:
    """The watch over all groups of a rollout."""

    def __init__(
        self,
        ctx: Context,
        watches: dict[str, GroupWatch],
        since: datetime,
        patience: Patience,
    ) -> None:
        self.ctx, self.account, self.watches = ctx, Account(ctx.target), watches
        self.since, self._patience = since, patience
        allowed, more = ctx.target.calls, len(watches) - 1
        a_minute = allowed[0] + allowed[1] * more if allowed else None
        self._pace = Pace(patience.every_s, a_minute, ALL + EACH * len(watches))
        again = "The update goes on by itself. Watch it again: "
        again += f"olrunbook run rollout {ctx.which}"
        self.patiently = Patiently(ctx, self.account, patience, self._pace, again)
        self.wards = Wards(ctx, self.account)
        self.good_since: datetime | None = None

    def follow(self) -> dict[str, Verdict]:
        """Look until every group has ended and, if all is well, the soak is over.

        A group that has failed does not end the watch: the others go on by themselves.
        AwsError where AWS does not answer for long.
        """
        ctx, patience, many = self.ctx, self._patience, len(self.watches) > 1
        soak_s = ctx.app.soak.seconds if ctx.app.soak else 0
        began = warned = ctx.clock()
        while True:
            at = self.patiently(self._look)
            verdicts = {
                tag: judge(watch.evidence(at), patience)
                for tag, watch in self.watches.items()
            }
            for tag, verdict in verdicts.items():
                ctx.emit(_progress(self.watches[tag], verdict, at, many=many))
            outcomes = {verdict.outcome for verdict in verdicts.values()}
            if None not in outcomes:
                good = "failed" not in outcomes
                self.good_since = (self.good_since or at) if good else None
                soaked = (at - (self.good_since or at)).total_seconds()
                stale = at == self.good_since and any(
                    verdicts[tag].outcome == "refreshed" and watch.stays
                    for tag, watch in self.watches.items()
                )
                # A look reads a group first; its refresh may end before that is read.
                if not good or (soaked >= soak_s and not stale):
                    break
                text = f"all serve; soak for {soaked:.0f} of {soak_s} s"
                ctx.emit(Event("aws", "progress", text))
            else:
                self.good_since = None
                late, waited = patience.deadline_s, (at - began).total_seconds()
                if late and waited >= late:
                    verdicts = {n: _late(v, late) for n, v in verdicts.items()}
                    break
                warned = self._warned(at, warned, verdicts)
            ctx.sleep(self._pace.wait_s(ctx.clock()))
        for tag, verdict in verdicts.items():
            if verdict.outcome == "failed":
                look = partial(self.wards.examine, self.watches[tag], last=True)
                self.afterwards(look)
        return verdicts

    def afterwards(self, read: Callable[[], T]) -> T | None:
        """Return what is read once the ending is known; None: AWS did not say it.

        Where one read has been waited for in vain, those after it are not.
        """
        try:
            return self.patiently(read)
        except AwsError as error:
            none = Patience(silent_s=0, throttled_s=0, expired_s=0, refused_s=0)
            self.patiently = replace(self.patiently, patience=none)
            text = f"the record lacks what AWS did not say: {error}"
            self.ctx.emit(Event("aws", "warning", text))
            return None

    def _look(self) -> datetime:
        """Look at every group once; return when that was."""
        at = self.ctx.clock()
        for group, refreshes in self.account.observe(self.ctx.app, self.ctx.stage):
            watch, failed = self.watches[group.tag_name], []
            if group.name and group.name != watch.before.name and not group.instances:
                activities = self.account.activities(group.name, self.since)
                failed = [item for item in activities if item.status == "Failed"]
            for event in watch.see(at, group, refreshes, failed):
                self.ctx.emit(event)
            # What it launches from now on matters only where it seems to have ended.
            if group.name and judge(watch.evidence(at), self._patience).outcome:
                watch.template = self.account.template(group.name)
            self.wards.examine(watch)
        return at

    def _warned(
        self, at: datetime, warned: datetime, verdicts: dict[str, Verdict]
    ) -> datetime:
        """Say where there was no news for long; return when that was said last."""
        changed = max(watch.changed for watch in self.watches.values())
        if (at - max(changed, warned)).total_seconds() < self._patience.silence_s:
            return warned
        quiet = (at - changed).total_seconds()
        waiting = [v.reason for v in verdicts.values() if not v.outcome]
        text = f"no news for {quiet:.0f} s: {'; '.join(waiting)}"
        self.ctx.emit(Event("aws", "warning", text))
        return at


def _progress(
    watch: GroupWatch, verdict: Verdict, at: datetime, *, many: bool
) -> Event:
    """Return where a group stands, as an event."""
    text = watch.progress(at, verdict)
    sample, label = watch.timeline[-1], watch.now.label
    data = {"node_type": label, "percent": sample.percent, "serving": sample.serving}
    return Event("aws", "progress", f"{label}: {text}" if many else text, data)


def _late(verdict: Verdict, deadline_s: float) -> Verdict:
    """Return the verdict of a group that had not ended at the deadline."""
    if verdict.outcome:
        return verdict
    text = f"not ended after {deadline_s:g} s: {verdict.reason}"
    return Verdict("failed", text, verdict.refresh)
