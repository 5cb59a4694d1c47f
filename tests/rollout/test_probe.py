"""The probe against a real server on loopback, and what its samples say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.adapters.http import Answer, ask
from olrunbook.errors import ToolError
from olrunbook.project.catalog import ProbeSpec
from olrunbook.steps.rollout.probe import Probe
from olrunbook.steps.rollout.samples import (
    Sample,
    per_second,
    read_samples,
    summarise,
)

START = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
DEADLINE_S = 20.0


def at(seconds: float) -> datetime:
    """Return a moment after the start."""
    return START + timedelta(seconds=seconds)


def sample(seconds: float, *, ok: bool, took: float = 0.01, target: str = "") -> Sample:
    """Return a sample."""
    error = "" if ok else "503"
    return Sample(at=at(seconds), ok=ok, seconds=took, error=error, target=target)


rows = st.lists(st.booleans(), max_size=60).map(
    lambda oks: [sample(number * 0.2, ok=ok) for number, ok in enumerate(oks)]
)


@given(rows)
def test_counts_and_outages_agree(samples: list[Sample]) -> None:
    """Every request is counted once; an outage is there exactly if one failed."""
    found = summarise(samples, at(0), at(100))
    assert found.requests == len(samples)
    assert found.failed == sum(not item.ok for item in samples)
    assert (found.outage_s > 0) == bool(found.failed)
    assert 0 <= found.longest_s <= found.outage_s <= 0.2 * len(samples) + 0.01
    assert sum(found.errors.values()) == found.failed
    assert sum(found.targets.values()) == found.requests - found.failed


@given(rows)
def test_a_new_stage_has_no_outage_before_its_first_answer(
    samples: list[Sample],
) -> None:
    """Leading failures are told apart, and everything is still counted."""
    new, old = (summarise(samples, at(0), at(100), new=flag) for flag in (True, False))
    assert new.before_first_answer + new.requests == old.requests
    assert new.before_first_answer + new.failed == old.failed
    assert new.outage_s <= old.outage_s


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(
    samples: list[Sample], random: st.DrawFn
) -> None:
    """Samples are written as requests end, not as they begin."""
    mixed = list(samples)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert summarise(mixed, at(0), at(100)) == summarise(samples, at(0), at(100))


@given(rows)
def test_seconds_hold_every_request(samples: list[Sample]) -> None:
    """The bars of the plot add up to the table."""
    bars = per_second(samples, at(0), at(100))
    assert sum(bar.requests for bar in bars) == len(samples)
    assert sum(bar.failed for bar in bars) == sum(not item.ok for item in samples)


def test_an_outage_lasts_to_the_next_answer() -> None:
    """Two outages: from 0.2 to 0.8, and from 1.2 to the end of the last request."""
    oks = [True, False, False, False, True, True, False]
    samples = [sample(number * 0.2, ok=ok) for number, ok in enumerate(oks)]
    found = summarise(samples, at(0), at(10))
    assert found.outage_s == pytest.approx(0.61)
    assert found.longest_s == pytest.approx(0.6)
    assert found.first_failure == at(0.2)
    assert found.last_failure == at(1.2)
    assert found.sentence() == "outage 0.6 s, not over (4 of 7 requests)"


def test_only_the_span_counts() -> None:
    """What was asked before the update or after the rollout is left out."""
    samples = [sample(number, ok=number != 9) for number in range(10)]
    found = summarise(samples, at(2), at(5))
    assert (found.requests, found.failed) == (4, 0)
    assert found.sentence() == "0 of 4 requests failed"


def test_nothing_seen_is_not_called_available() -> None:
    """Without a request nothing is said about availability."""
    assert summarise([], at(0), at(1)).sentence() == "not probed"
    early = summarise([sample(0, ok=False)], at(0), at(1), new=True)
    assert early.sentence() == "no request was answered"


def test_percentiles_are_real_samples() -> None:
    """Median and 99th percentile are values that were measured."""
    samples = [sample(n, ok=True, took=n / 100) for n in range(1, 101)]
    found = summarise(samples, at(0), at(1000))
    assert (found.p50_s, found.p99_s) == (0.5, 0.99)


class Handler(BaseHTTPRequestHandler):
    """Answers as its server says."""

    def do_GET(self) -> None:
        """Answer."""
        status, text = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("x-ol-target", "i-1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Return a server on loopback that answers 200 with a name."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.answer = (200, "Apache Tika 3.2.2")  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def address(server: ThreadingHTTPServer) -> str:
    """Return where a server answers."""
    return f"http://127.0.0.1:{server.server_port}"


def until(path: Path, number: int) -> list[Sample]:
    """Wait for so many samples."""
    deadline = time.monotonic() + DEADLINE_S
    while len(found := read_samples(path)) < number:
        assert time.monotonic() < deadline, f"{len(found)} samples"
        threading.Event().wait(0.01)
    return found


SPEC = ProbeSpec(path="/version", expect="Apache Tika", interval_s=0.02)


def test_the_probe_notes_who_answered(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    """Each sample has time, status, seconds and the instance that answered."""
    path = tmp_path / "deep" / "samples.jsonl"
    with Probe(lambda: address(server), SPEC, path):
        found = until(path, 5)
    assert all(item.ok and item.status == 200 for item in found)
    assert {item.target for item in found} == {"i-1"}
    assert found == sorted(found, key=lambda item: item.at)
    ended = read_samples(path)
    threading.Event().wait(0.1)
    assert read_samples(path) == ended  # nothing is sent after the stop


def test_a_stage_is_asked_by_no_proxy(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the shell says of proxies: an outage must not be theirs."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask(address(server)).status == 200


def test_an_answer_of_another_service_is_a_failure(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    """200 alone is not enough: the expected text must be there; 5xx never is."""
    path = tmp_path / "samples.jsonl"
    server.answer = (200, "welcome")  # type: ignore[attr-defined]
    with Probe(lambda: address(server), SPEC, path):
        until(path, 2)
        server.answer = (503, "Apache Tika")  # type: ignore[attr-defined]
        deadline = time.monotonic() + DEADLINE_S
        while read_samples(path)[-1].status != 503:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
    found = read_samples(path)
    assert not any(item.ok for item in found)
    assert {item.error for item in found} == {"another answer", "503"}


def test_the_probe_waits_for_a_load_balancer(
    server: ThreadingHTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks for the address until there is one; errors mean: not yet."""
    monkeypatch.setattr("olrunbook.steps.rollout.probe.FIND_EVERY_S", 0.01)
    answers = iter(["", None, ToolError("no answer"), address(server)])

    def find() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    path = tmp_path / "samples.jsonl"
    with Probe(find, SPEC, path):
        assert until(path, 1)[0].ok


def test_a_probe_that_finds_nothing_can_be_stopped(tmp_path: Path) -> None:
    """Stopping does not wait for an address."""
    with Probe(lambda: "", SPEC, tmp_path / "samples.jsonl"):
        pass
    assert read_samples(tmp_path / "samples.jsonl") == []


def test_requests_under_way_are_bounded(tmp_path: Path) -> None:
    """A stage that hangs does not make the probe pile up requests."""
    hold, busy, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def hang(url: str, *, timeout_s: float) -> Answer:
        del url, timeout_s
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        hold.wait(DEADLINE_S)
        with lock:
            busy[0] -= 1
        return Answer(0, 0.1, error="timed out")

    spec = ProbeSpec(interval_s=0.01)
    path = tmp_path / "samples.jsonl"
    with Probe(lambda: "http://x", spec, path, ask_one=hang, timeout_s=0.05):
        deadline = time.monotonic() + DEADLINE_S
        while most[0] < 7:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        threading.Event().wait(0.1)
        hold.set()
    assert most[0] == 7  # ceil(0.05 / 0.01) + 2


def test_half_a_line_is_left_out(tmp_path: Path) -> None:
    """A file that is being written is read up to its last whole line."""
    path = tmp_path / "samples.jsonl"
    whole = sample(0, ok=True).model_dump_json()
    path.write_text(f"{whole}\n{whole[:20]}")
    assert len(read_samples(path)) == 1


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/", "connection refused"),
        ("https://127.0.0.1:1/", "connection refused"),
    ],
)
def test_a_request_that_fails_is_an_answer_too(url: str, error: str) -> None:
    """Nothing the other side does raises; the reason is a few words."""
    answer = ask(url)
    assert answer.status == 0
    assert answer.error == error


def test_tls_is_told_from_silence(server: ThreadingHTTPServer) -> None:
    """A plain server asked by TLS, and one that says nothing, are told apart."""
    assert ask(address(server).replace("http:", "https:")).error == "TLS failed"
    server.answer = (204, "")  # type: ignore[attr-defined]
    assert ask(address(server) + "/?a=b").status == 204
