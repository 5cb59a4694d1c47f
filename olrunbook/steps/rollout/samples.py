"""What the availability probe saw, and what it says about a span of time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import Field, ValidationError

from olrunbook.steps.results import Value


class Sample(Value):
    """One request."""

    at: datetime  # when it was sent (UTC)
    ok: bool  # whether the answer was the one wanted
    seconds: float
    status: int = 0  # HTTP status; 0: no answer
    error: str = ""  # why it is not ok, in a few words
    target: str = ""  # the instance that answered, where the balancer says so


class ProbeSummary(Value):
    """What the probe saw in a span of time."""

    since: datetime  # start of the span
    until: datetime  # its end
    requests: int  # requests sent, without those before a new stage's first answer
    failed: int  # how many of them failed
    before_first_answer: int = 0  # requests before a new stage answered at all
    outage_s: float = 0.0  # seconds without an answer, all runs of failures together
    longest_s: float = 0.0  # the longest run
    # false where the last request failed too: how long it really lasts is not known
    over: bool = True
    first_failure: datetime | None = None  # when the first failed request was sent
    last_failure: datetime | None = None  # when the last one was
    errors: dict[str, int] = Field(default_factory=dict)  # kind of failure to number
    targets: dict[str, int] = Field(default_factory=dict)  # instance to answers
    p50_s: float | None = None  # median of the good answers' times
    p99_s: float | None = None  # 99th percentile

    def sentence(self) -> str:
        """Return the finding in a few words: `0 of 194 requests failed`."""
        if not self.requests:
            asked = self.before_first_answer
            return "no request was answered" if asked else "not probed"
        counts = f"{self.failed} of {self.requests} requests"
        if self.failed:
            more = "" if self.over else ", not over"
            return f"outage {self.outage_s:.1f} s{more} ({counts})"
        return f"{counts} failed"


class ProbeSecond(Value):
    """The requests sent within one second, for a plot."""

    at: datetime
    requests: int
    failed: int


def read_samples(path: Path) -> list[Sample]:
    """Return the samples of a file in the order they were sent.

    A line that is not whole yet, because it is being written, is left out.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    samples = []
    for line in lines:
        try:
            samples.append(Sample.model_validate_json(line))
        except ValidationError:
            continue
    return sorted(samples, key=lambda sample: sample.at)


def summarise(
    samples: Sequence[Sample], since: datetime, until: datetime, *, new: bool = False
) -> ProbeSummary:
    """Return what the samples of a span say about availability.

    An outage lasts from the first failed request to the next one that was answered,
    both at the time they were sent; one that is not over lasts until its last request
    ended. A stage that is `new` did not serve before: what failed before its very first
    answer is not an outage.
    """
    span = sorted((s for s in samples if since <= s.at <= until), key=lambda s: s.at)
    first = next((n for n, sample in enumerate(span) if sample.ok), len(span))
    early = first if new else 0
    span = span[early:]
    failures = [sample for sample in span if not sample.ok]
    good = sorted(sample.seconds for sample in span if sample.ok)
    runs = _outages(span)
    return ProbeSummary(
        since=since,
        until=until,
        requests=len(span),
        failed=len(failures),
        before_first_answer=early,
        outage_s=round(sum(runs), 3),
        longest_s=round(max(runs, default=0.0), 3),
        over=not span or span[-1].ok,
        first_failure=failures[0].at if failures else None,
        last_failure=failures[-1].at if failures else None,
        errors=dict(Counter(sample.error for sample in failures).most_common()),
        targets=dict(sorted(Counter(s.target for s in span if s.ok).items())),
        p50_s=_percentile(good, 0.5),
        p99_s=_percentile(good, 0.99),
    )


def _outages(span: Sequence[Sample]) -> list[float]:
    """Return the length of each run of failures in seconds."""
    lengths: list[float] = []
    began: datetime | None = None
    ended = datetime.min.replace(tzinfo=UTC)
    for sample in span:
        if sample.ok:
            if began:
                lengths.append((sample.at - began).total_seconds())
            began = None
        else:
            began = began or sample.at
            ended = max(ended, sample.at + timedelta(seconds=sample.seconds))
    if began:
        lengths.append((ended - began).total_seconds())
    return lengths


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of sorted values; None: there are none."""
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def per_second(
    samples: Sequence[Sample], since: datetime, until: datetime
) -> list[ProbeSecond]:
    """Return the requests of a span counted second by second."""
    span = [sample for sample in samples if since <= sample.at <= until]
    sent = Counter(sample.at.replace(microsecond=0) for sample in span)
    failed = Counter(s.at.replace(microsecond=0) for s in span if not s.ok)
    return [
        ProbeSecond(at=at, requests=number, failed=failed[at])
        for at, number in sorted(sent.items())
    ]
