"""How often an account is asked, and what is done while its API is in trouble."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from olrunbook.adapters.aws.answers import AwsError
from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.context import Context
from olrunbook.errors import OlrunbookError
from olrunbook.events import Event
from olrunbook.targets import load_target

T = TypeVar("T")
MINUTE = timedelta(minutes=1)


class Patience(NamedTuple):
    """How long a rollout may take its time."""

    every_s: float = 1.0  # seconds between two looks
    # seconds without any change until a picture that is not good counts as final, once
    # no refresh is at work
    settle_s: float = 60.0
    refresh_grace_s: float = 10.0  # within these a refresh must be seen to have begun
    silence_s: float = 60.0  # seconds without news until that is said
    losses: int = 2  # new instances that may be lost before they served, in a new group
    silent_s: float = 120.0  # seconds that are borne in which the API is silent, …
    throttled_s: float = 600.0  # … in which it throttles our calls, …
    expired_s: float = 1800.0  # … in which the credentials have expired, …
    refused_s: float = 30.0  # … in which it refuses a look for another reason
    # seconds until the rollout is given up; None: AWS has its own limits
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """Says when the next look may be, so that no minute has more calls than allowed."""

    every_s: float  # seconds between two looks, at least
    a_minute: int | None  # calls allowed in any minute; None: as many as it takes
    look: int  # calls that a look may take
    _looks: deque[tuple[datetime, int]] = field(default_factory=deque, init=False)

    def spent(self, at: datetime, calls: int) -> None:
        """Note the calls of a look that has ended."""
        self._looks.append((at, calls))

    def wait_s(self, now: datetime) -> float:
        """Return the seconds until the next look."""
        if self.a_minute is None or not self._looks:
            return self.every_s
        while now - self._looks[0][0] >= MINUTE and len(self._looks) > 1:
            self._looks.popleft()
        last_at, last = self._looks[-1]
        even = max(self.every_s, MINUTE.seconds * last / self.a_minute)
        waits = [even - (now - last_at).total_seconds(), 0.0]
        need = min(max(last, self.look), self.a_minute)
        left = sum(calls for _, calls in self._looks)
        for at, calls in self._looks:
            if left + need <= self.a_minute:
                break
            left -= calls
            waits.append((at + MINUTE - now).total_seconds())
        return max(waits)


@dataclass(frozen=True, slots=True)
class Patiently:
    """Makes reads of the account, and makes them again while AWS is in trouble."""

    ctx: Context
    account: Account
    patience: Patience  # how long each sort of trouble is borne
    pace: Pace  # counts the calls
    again: str  # what to do where the trouble has lasted too long

    def __call__(self, read: Callable[[], T]) -> T:
        """Return what the read returns; AwsError where the trouble lasts too long.

        Each sort of trouble has its own limit, and its own time counts against it.
        """
        clock = self.ctx.clock
        borne: dict[str, timedelta] = {}
        while True:
            before, began = self.account.calls, clock()
            try:
                found = read()
            except AwsError as error:
                sort, new = error.trouble, error.trouble not in borne
                earlier = borne.get(sort, timedelta())
                lasted = earlier + (clock() - began)
                self._bear(error, lasted.total_seconds(), new=new)
            else:
                if borne:
                    lasted = sum(borne.values(), timedelta())
                    text = f"AWS answers again after {lasted.total_seconds():.0f} s"
                    self.ctx.emit(Event("aws", "warning", text))
                return found
            finally:
                self.pace.spent(clock(), self.account.calls - before)
            self.ctx.sleep(self.pace.wait_s(clock()))
            borne[sort] = earlier + (clock() - began)
            if sort == "expired":
                self._renew()

    def _bear(self, error: AwsError, lasted: float, *, new: bool) -> None:
        """Say what the trouble is and go on, unless it has lasted too long."""
        ctx, limit = self.ctx, getattr(self.patience, f"{error.trouble}_s")
        if lasted >= limit:
            expired = error.trouble == "expired"
            first = f"Renew them: {ctx.target.renew}" if expired else error.hint
            hint = ". ".join(filter(None, [first, self.again]))
            msg = f"{error} (for {lasted:.0f} s)"
            raise AwsError(msg, hint, error.trouble) from error
        text = {
            "throttled": "AWS throttles our calls",
            "expired": f"the credentials have expired; renew them: {ctx.target.renew}",
        }.get(error.trouble, str(error))
        if new:
            until = f"{text} · the watch goes on for {limit:g} s at most"
            ctx.emit(Event("aws", "warning", until))
        ctx.emit(Event("aws", "progress", f"{text} · for {lasted:.0f} s"))

    def _renew(self) -> None:
        """Take up new credentials of the same target, where somebody renewed them."""
        ctx = self.ctx
        try:
            found = load_target(ctx.target.name, ctx.project, ctx.stage)
        except OlrunbookError:
            return
        # An account that was not asked yet has a pattern for who we are.
        us = {"Account": ctx.target.account, "Arn": ctx.target.identity_arn}
        if found.cloud_id == ctx.target.cloud_id and not found.wrong(us):
            for value in found.secret_values():
                ctx.redactor.learn(value)
            found.forget()
            self.account.target = found
