"""Parts of the balancer: configuration, health records, matchers, probes."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from olrunbook.rehearsal.balancers.config import Route, Server, render, routes_of
from olrunbook.rehearsal.balancers.draining import Draining
from olrunbook.rehearsal.balancers.health import Miss, TargetRecord, matches, probe
from olrunbook.rehearsal.signals import Signals

ARN = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/0123456789abcdef"
NAME = "web_0123456789abcdef"


def listener(port: int, protocol: str, *actions: tuple[str, dict[str, Any]]) -> Any:
    """Return a listener as moto keeps it."""
    made = [SimpleNamespace(type=kind, data=data) for kind, data in actions]
    return SimpleNamespace(
        port=port, protocol=protocol, certificates=["arn:c"], default_actions=made
    )


def target_group(**fields: Any) -> Any:
    """Return a target group as moto keeps it."""
    plain = {
        "health_check_timeout_seconds": 1,
        "health_check_protocol": "HTTP",
        "health_check_path": "/health",
        "matcher": {"HttpCode": "200"},
    }
    return SimpleNamespace(**{**plain, **fields})


class TestConfiguration:
    """What haproxy is told."""

    def test_routes(self) -> None:
        """Listeners become routes: forward, weighted forward, redirect, fixed."""
        redirect = {"RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_302"}}
        fixed = {"FixedResponseConfig": {"StatusCode": "404", "MessageBody": 'no "$x"'}}
        groups = {"ForwardConfig": {"TargetGroups": [{"TargetGroupArn": ARN}]}}
        balancer = SimpleNamespace(
            listeners={
                "a": listener(443, "HTTPS", ("forward", {"TargetGroupArn": ARN})),
                "b": listener(8443, "HTTPS", ("forward", groups)),
                "c": listener(80, "HTTP", ("redirect", redirect)),
                "d": listener(81, "HTTP", ("fixed-response", fixed)),
            }
        )
        found = routes_of(balancer)
        assert found[0] == Route(443, "HTTPS", "arn:c", ARN)
        assert found[1].group == ARN
        assert found[2].action == "http-request redirect scheme https code 302"
        assert found[3].action.endswith(
            'status 404 content-type text/plain string "no \\"\\$x\\""'
        )

    def test_text(self) -> None:
        """TLS has its certificate, answers name their target, only ready ones serve."""
        servers = {
            ARN: {
                "i-1": Server("127.70.1.1:443", "ready"),
                "i-2": Server("127.70.1.2:443", "drain"),
            }
        }
        text = render(
            "127.70.200.1",
            [Route(443, "HTTPS", "arn:c", ARN), Route(22, "TCP", "", ARN)],
            servers,
            lambda arn: "c.pem" if arn else None,
            (1000, 1001),
        )
        assert "uid 1000 gid 1001 mode 600" in text
        assert "bind 127.70.200.1:443 ssl crt /run/balancer/c.pem" in text
        assert "http-response set-header x-ol-target %s" in text
        assert "server i-1 127.70.1.1:443\n" in text
        assert "server i-2 127.70.1.2:443 disabled\n" in text
        assert f"default_backend {NAME}" in text
        assert text.count("mode tcp") == 2

    def test_only_loopback(self) -> None:
        """Every bind names the balancer's own address."""
        text = render("127.70.200.1", [Route(80, "HTTP")], {}, lambda _: None, (0, 0))
        binds = [line for line in text.splitlines() if "bind" in line]
        assert binds == ["  bind 127.70.200.1:80"]


class TestRecord:
    """How successes and misses count."""

    def test_first_success_is_enough(self) -> None:
        """A new target is healthy at its first success, as with ELB."""
        record = TargetRecord()
        record.success(5)
        assert record.state == "healthy"

    def test_thresholds(self) -> None:
        """Misses in a row make it unhealthy, successes in a row healthy again."""
        record, why = TargetRecord("healthy", None, None), Miss("Target.Timeout", "t")
        record.miss(why, 2)
        assert record.state == "healthy"
        record.miss(why, 2)
        assert (record.state, record.reason) == ("unhealthy", "Target.Timeout")
        record.success(2)
        assert record.state == "unhealthy"
        record.success(2)
        assert (record.state, record.reason) == ("healthy", None)

    def test_initial_says_so(self) -> None:
        """Before the threshold a new target is initial."""
        record = TargetRecord()
        record.miss(Miss("Target.Timeout", "t"), 2)
        assert (record.state, record.reason) == ("initial", "Elb.InitialHealthChecking")


@pytest.mark.parametrize(
    ("status", "wanted", "fits"),
    [
        (200, "200", True),
        (204, "200", False),
        (302, "200,302", True),
        (250, "200-299", True),
        (300, "200-299,404", False),
    ],
)
def test_matchers(status: int, wanted: str, fits: bool) -> None:  # noqa: FBT001
    """Matchers are codes, lists and ranges."""
    assert matches(status, wanted) is fits


class TestProbe:
    """One health check."""

    @pytest.fixture
    def tls(self) -> ssl.SSLContext:
        """Return a context."""
        return ssl.create_default_context()

    @pytest.fixture
    def web(self) -> Iterator[int]:
        """Serve 200 on /health and 404 elsewhere; yield the port."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/health" else 404)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
        server.server_close()

    def test_http(self, web: int, tls: ssl.SSLContext) -> None:
        """The right status is well; another is named."""
        assert probe(target_group(), "127.0.0.1", web, tls) is None
        miss = probe(target_group(health_check_path="/x"), "127.0.0.1", web, tls)
        assert miss is not None
        assert miss.reason == "Target.ResponseCodeMismatch"
        assert "[404]" in miss.text

    def test_dead_port(self, tls: ssl.SSLContext) -> None:
        """A refused connection is a failed check."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        miss = probe(target_group(), "127.0.0.1", port, tls)
        assert miss is not None
        assert miss.reason == "Target.FailedHealthChecks"

    def test_silence(self, tls: ssl.SSLContext) -> None:
        """A server that never answers is a timeout over HTTP, but well over TCP."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            group = target_group(health_check_timeout_seconds=0.3)
            miss = probe(group, "127.0.0.1", port, tls)
            assert miss is not None
            assert miss.reason == "Target.Timeout"
            group = target_group(health_check_protocol="TCP")
            assert probe(group, "127.0.0.1", port, tls) is None

    def test_hang_up(self, tls: ssl.SSLContext) -> None:
        """A proxy that accepts for nobody and hangs up is not well over TCP."""
        with socket.create_server(("127.0.0.1", 0)) as proxy:

            def hang_up() -> None:
                proxy.accept()[0].close()

            threading.Thread(target=hang_up, daemon=True).start()
            group = target_group(health_check_protocol="TCP")
            assert probe(group, "127.0.0.1", proxy.getsockname()[1], tls) is not None


def test_nobody_waits_for_draining_at_the_end() -> None:
    """A cloud that goes down does not wait for requests in flight."""
    signals = Signals()
    draining = Draining(0.02, signals, balanced=True)
    draining._leaving[ARN, "i-1"] = (0.0, float("inf"))
    waiting = threading.Thread(target=draining.wait_for, args=("i-1",))
    waiting.start()
    assert draining.is_draining(ARN, "i-1")
    signals.ending.set()
    waiting.join(60)
    assert not waiting.is_alive()
    draining.settle(lambda *_: True)
    assert not draining.is_draining(ARN, "i-1")
