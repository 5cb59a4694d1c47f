"""Instances that turn unhealthy: why, and what they wrote on their consoles."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from olrunbook.adapters.aws.answers import AwsError
from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.aws.seen import short
from olrunbook.adapters.context import Context
from olrunbook.events import Event
from olrunbook.steps.rollout.group import GroupWatch
from olrunbook.steps.rollout.model import Ailment, InstanceTrack

MOST = 50  # instances; nobody reads more consoles
LAST_LINES = 15
LINE_LENGTH = 300
LOG_CHARACTERS = 65536
_NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\r\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Wards:
    """Looks after the instances of a rollout."""

    ctx: Context
    account: Account
    _found: dict[str, Ailment] = field(default_factory=dict, init=False)

    def examine(self, watch: GroupWatch, *, last: bool = False) -> None:
        """Note each instance that is unhealthy, with its reason and its console.

        One that has never served may just be starting: it is noted at once but said
        aloud only when its group gives it up, or at the end of a failed rollout. A new
        one that is gone was given up, also where no look has seen it ill.
        """
        for track in watch.tracks:
            seen, known = track.after, self._found.get(track.id)
            if seen is None:
                fresh = not track.before and track.image in ("", watch.image)
                lost = not track.served_at and (known is not None or fresh)
            elif seen.sick:
                served = track.served_at or (track.before and track.before.serves)
                lost = last or bool(served) or seen.health != "Healthy"
            else:
                continue
            if known is None:
                new = (lost or seen is not None) and len(self._found) < MOST
            else:
                new = lost and not known.lost
            if new:
                self._note(track, watch.at, known, lost=lost)

    def of(self, watch: GroupWatch) -> list[Ailment]:
        """Return a group's unhealthy instances, without those that only started."""
        return [
            ailment
            for track in watch.tracks
            if (ailment := self._found.get(track.id))
            and (ailment.lost or track.served_at is None)
        ]

    def _note(
        self, track: InstanceTrack, at: datetime, known: Ailment | None, *, lost: bool
    ) -> None:
        was = known or Ailment(id=track.id, image=track.image, at=at, reason="")
        said = was.reason or "it was gone before it served"
        if seen := track.after:
            said = seen.reason or f"{seen.lifecycle}, {seen.health}"
        said = self.ctx.redactor.text(said)
        lines, log = self._console(track.id)
        news = {"image": track.image, "reason": said, "log": log or was.log}
        more = {"console": lines or was.console, "lost": lost}
        self._found[track.id] = was.model_copy(update=news | more)
        if lost:
            text = f"{short(track.id)} is unhealthy: {said}"
            self.ctx.emit(Event("aws", "error", text))
            for line in lines:
                self.ctx.emit(Event("aws", "line", line))

    def _console(self, instance: str) -> tuple[list[str], str]:
        """Keep an instance's console as a log; return its last lines and its name."""
        try:
            raw = self.account.console(instance)
        except AwsError as error:
            if error.trouble != "refused":
                raise
            return [str(error)], ""
        text = self.ctx.redactor.text(_NOISE.sub("", raw))[-LOG_CHARACTERS:].strip()
        if not text:
            return [], ""
        name = f"console-{self.ctx.redactor.name(instance)}.log"
        (self.ctx.logs / name).write_text(text + "\n", encoding="utf-8")
        lines = [line.rstrip()[:LINE_LENGTH] for line in text.splitlines()]
        return [line for line in lines if line][-LAST_LINES:], name
