"""Gates: which stages of a target ask people before they are changed. Catalog data."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isnan
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    model_validator,
)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LASTING = re.compile(
    r"(\d{1,8}) ?(s|seconds?|m|min|minutes?|h|hours?|d|days?|w|weeks?)"
)
LONGEST = timedelta(days=365)


def lasting(value: Any) -> timedelta:
    """Return how long something lasts, from a number of days or a text.

    Args:
        value: `7`, `7 days`, `12h`, `90 minutes`, `2 weeks`.

    Raises:
        ValueError: It is none of these, or not above 0 and at most 365 days.

    """
    if isinstance(value, timedelta):
        found = value
    elif (
        isinstance(value, int | float) and type(value) is not bool and not isnan(value)
    ):
        found = timedelta(days=min(max(value, 0), 10_000))
    elif isinstance(value, str) and (fits := LASTING.fullmatch(value.strip())):
        found = timedelta(seconds=int(fits[1]) * UNITS[fits[2][0]])
    else:
        msg = f"{value!r} is no duration: give days (7) or a text (7 days, 12h)"
        raise ValueError(msg)
    if not timedelta(0) < found <= LONGEST:
        msg = f"{value!r} is not above 0 and at most 365 days"
        raise ValueError(msg)
    return found


def duration(lasts: timedelta) -> str:
    """Return a duration as a person reads it: `7 days`, `1 hour`, `90 minutes`."""
    seconds = round(lasts.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % size == 0:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} seconds"


Lasting = Annotated[timedelta, BeforeValidator(lasting), PlainSerializer(duration)]


class GateSpec(BaseModel, frozen=True, extra="forbid"):
    """The gate of a stage: who must approve an update before it is made."""

    # how many people must approve; more than one needs `signature`
    people: int = Field(1, ge=1, le=9)
    # how many people must approve a rollback, where that is fewer
    rollback_people: int = Field(1, ge=1, le=9)
    # how long an approval holds: a number of days, or a text like `12h`
    lasts: Lasting = timedelta(days=7)
    signature: bool = False  # only signed approvals count

    def __str__(self) -> str:
        """Return it in words: `2 people, signed, an approval lasts 7 days`."""
        who = "1 person" if self.people == 1 else f"{self.people} people"
        signed = ", signed" if self.signature else ""
        return f"{who}{signed}, an approval lasts {duration(self.lasts)}"

    @property
    def protected(self) -> bool:
        """Whether nobody can pass it alone, without proof."""
        return self.signature or self.people > 1

    @property
    def of_rollback(self) -> Self:
        """The gate as a rollback meets it."""
        return self.model_copy(update={"people": self.rollback_people})

    @model_validator(mode="after")
    def _proof(self) -> Self:
        if self.people > 1 and not self.signature:
            msg = (
                f"people = {self.people} needs signature = true: only signatures "
                "prove that they are different people"
            )
            raise ValueError(msg)
        if self.rollback_people > self.people:
            msg = f"rollback_people {self.rollback_people} > people {self.people}"
            raise ValueError(msg)
        return self
