"""The checks of the catalog against a real server on loopback."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from olrunbook.adapters.context import Context
from olrunbook.errors import StepError, UsageError
from olrunbook.events import Event
from olrunbook.steps.checks import require, run_checks

VALUE = "correct-horse-battery-staple"
SECRETS = {"tika:access_token": SecretStr(VALUE)}


class Tika(BaseHTTPRequestHandler):
    """A Tika that strips tags."""

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("x-ol-target", "i-072db")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self) -> None:
        """Say the version, once it is ready."""
        self.server.early -= 1  # type: ignore[attr-defined]
        if self.server.early >= 0:  # type: ignore[attr-defined]
            self._say(503, "not yet")
        else:
            self._say(200, "Apache Tika 3.2.2")

    def do_PUT(self) -> None:
        """Return a document's text, or refuse."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        token = self.headers.get("X-Access-Token", "")
        if token != self.server.word:  # type: ignore[attr-defined]
            self._say(403, f"you sent {token!r}")
        else:
            self._say(200, body.replace("<p>", "").replace("</p>", ""))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def tika() -> Iterator[ThreadingHTTPServer]:
    """Return a Tika on loopback."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Tika)
    made.word = VALUE  # type: ignore[attr-defined]
    made.early = 0  # type: ignore[attr-defined]
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_a_stage_that_answers_passes(
    ctx: Context, tika: ThreadingHTTPServer, events: list[Event]
) -> None:
    """Version, a document's text with the token, and a refusal without it."""
    result = run_checks(ctx, _url(tika), SECRETS)
    require(result)
    assert result.headline() == "3 of 3 checks passed"
    assert [row.target for row in result.answers] == ["i-072db"] * 3
    assert len(events) == 3


def test_no_secret_value_is_ever_in_the_result(
    ctx: Context, tika: ThreadingHTTPServer, events: list[Event]
) -> None:
    """Not even where the other side sends it back."""
    tika.word = "another"  # type: ignore[attr-defined]
    result = run_checks(ctx, _url(tika), SECRETS)
    told = json.dumps(result.model_dump(mode="json")) + repr(events)
    assert "you sent" in told
    assert "[masked:" in told
    assert VALUE not in told
    with pytest.raises(StepError, match="a document's text comes out: 403"):
        require(result)


def test_an_answer_may_have_time_to_come_right(
    ctx: Context, tika: ThreadingHTTPServer, clock: Any
) -> None:
    """It is asked again until then, and once only where the catalog gives no time."""
    version = ctx.app.checks[0].model_copy(update={"within_s": 2.0})
    app = ctx.app.model_copy(update={"checks": [version]})
    slow = dataclasses.replace(ctx, app=app)
    tika.early = 3  # type: ignore[attr-defined]
    began = clock()
    assert run_checks(slow, _url(tika), SECRETS).headline() == "1 of 1 checks passed"
    assert (clock() - began).total_seconds() == 1.5
    tika.early = 30  # type: ignore[attr-defined]
    assert "503: not yet" in run_checks(slow, _url(tika), SECRETS).headline()
    assert tika.early == 25  # type: ignore[attr-defined]
    assert "503: not yet" in run_checks(ctx, _url(tika), SECRETS).headline()
    assert tika.early == 24  # type: ignore[attr-defined]


def test_a_stage_that_is_silent_fails_every_check(ctx: Context) -> None:
    """The reason is a few words."""
    result = run_checks(ctx, "http://127.0.0.1:1", SECRETS)
    assert {row.found for row in result.answers} == {"connection refused"}


def test_a_missing_secret_or_address_is_an_error(ctx: Context) -> None:
    """Nothing is asked without what the catalog says is needed."""
    with pytest.raises(UsageError, match="tika:access_token"):
        run_checks(ctx, "http://127.0.0.1:1", {})
    with pytest.raises(UsageError, match="no load balancer"):
        run_checks(ctx, "", SECRETS)


def test_an_app_without_checks_passes(ctx: Context) -> None:
    """No checks, nothing to ask, also without a load balancer."""
    app = ctx.app.model_copy(update={"checks": []})
    assert run_checks(dataclasses.replace(ctx, app=app), "", {}).headline() == (
        "0 of 0 checks passed"
    )
