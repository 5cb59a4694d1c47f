"""Target health by real requests, as the load balancer's health checker makes them.

One record for each target of a target group: initial, healthy at the first success (as
ELB does), unhealthy after unhealthy_threshold misses in a row, healthy again after
healthy_threshold successes.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from moto.elbv2.models import FakeTargetGroup

from olrunbook.rehearsal.balancers.targets import target_groups
from olrunbook.rehearsal.signals import Signals, log

PROBES_AT_ONCE = 8
SHORTEST_INTERVAL_S = 0.2
HANG_UP_S = 0.3  # docker's proxy accepts for a dead port and hangs up within this


class Miss(NamedTuple):
    """Why a health check failed: ELB's reason code and description."""

    reason: str
    text: str


_FAILED = Miss("Target.FailedHealthChecks", "Health checks failed")
_TIMEOUT = Miss("Target.Timeout", "Request timed out")


@dataclass(slots=True)
class TargetRecord:
    """How one target of one target group is."""

    state: str = "initial"
    reason: str | None = "Elb.RegistrationInProgress"
    text: str | None = "Target registration is in progress"
    successes: int = 0
    misses: int = 0
    next_at: float = 0.0
    busy: bool = False

    def success(self, threshold: int) -> None:
        """Count a success."""
        self.successes, self.misses = self.successes + 1, 0
        if self.state == "initial" or self.successes >= threshold:
            self.state, self.reason, self.text = "healthy", None, None

    def miss(self, why: Miss, threshold: int) -> None:
        """Count a miss."""
        self.successes, self.misses = 0, self.misses + 1
        if self.misses >= threshold:
            self.state, self.reason, self.text = "unhealthy", why.reason, why.text
        elif self.state == "initial":
            self.reason = "Elb.InitialHealthChecking"
            self.text = "Initial health checks in progress"


class Health:
    """How the targets are; by itself: well as soon as their instance runs.

    Args:
        address_of: Address of a running instance; None: it does not run.

    """

    def __init__(self, address_of: Callable[[str], str | None]) -> None:
        self._address_of = address_of

    def address(self, target_id: str) -> str | None:
        """Return where a target is; instances only while they run."""
        return self._address_of(target_id) if target_id.startswith("i-") else target_id

    def record(self, group_arn: str, target_id: str) -> TargetRecord | None:  # noqa: ARG002
        """Return what is known of a target; None: it was never asked."""
        return TargetRecord("healthy", None, None) if self.address(target_id) else None

    def state(self, group_arn: str, target_id: str) -> str | None:
        """Return `initial`, `healthy`, `unhealthy`, or None: it was never asked."""
        record = self.record(group_arn, target_id)
        return record.state if record else None

    def tick(self) -> None:
        """Ask those that are due."""

    def end(self) -> None:
        """Ask no more."""


class HealthBook(Health):
    """Probes the targets, at their intervals times `scale`; keeps how they are."""

    def __init__(
        self, address_of: Callable[[str], str | None], scale: float, signals: Signals
    ) -> None:
        super().__init__(address_of)
        self._scale, self._signals = scale, signals
        self._records: dict[tuple[str, str], TargetRecord] = {}
        self._pool = ThreadPoolExecutor(PROBES_AT_ONCE, thread_name_prefix="probe")
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False  # ELB does not verify targets either
        self._tls.verify_mode = ssl.CERT_NONE
        self._lock = threading.Lock()

    def record(self, group_arn: str, target_id: str) -> TargetRecord | None:
        """Return what is known of a target."""
        return self._records.get((group_arn, target_id))

    def tick(self) -> None:
        """Start the probes that are due; forget targets that are gone."""
        live = set()
        for group in target_groups():
            for target in list(group.targets.values()):
                key = (group.arn, target["Id"])
                live.add(key)
                with self._lock:
                    record = self._records.setdefault(key, TargetRecord())
                host = self.address(target["Id"])
                if host and not record.busy and time.monotonic() >= record.next_at:
                    record.busy = True
                    port = _port(group, target)
                    self._pool.submit(self._check, group, record, host, port)
        with self._lock:
            for key in [key for key in self._records if key not in live]:
                del self._records[key]

    def end(self) -> None:
        """Start no more probes."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check(
        self, group: FakeTargetGroup, record: TargetRecord, host: str, port: int
    ) -> None:
        before = record.state
        try:
            if (why := probe(group, host, port, self._tls)) is None:
                record.success(int(group.healthy_threshold_count))
            else:
                record.miss(why, int(group.unhealthy_threshold_count))
        except Exception as error:  # noqa: BLE001  (one odd target must not end the probes)
            log("ERROR", "probe", group.name, host, type(error).__name__, error)
        finally:
            interval = float(group.health_check_interval_seconds or 30) * self._scale
            record.next_at = time.monotonic() + max(interval, SHORTEST_INTERVAL_S)
            record.busy = False
        if record.state != before:
            log(group.name, host, before, "->", record.state, record.text or "")
            self._signals.changed()


def _port(group: FakeTargetGroup, target: dict[str, Any]) -> int:
    other = group.health_check_port
    return int(target["Port"] if other in (None, "", "traffic-port") else str(other))


def probe(
    group: FakeTargetGroup, host: str, port: int, tls: ssl.SSLContext
) -> Miss | None:
    """Make one health check; None when the target is well."""
    timeout_s = float(group.health_check_timeout_seconds or 5)
    protocol = (group.health_check_protocol or "HTTP").upper()
    try:
        if protocol not in ("HTTP", "HTTPS"):
            return _probe_tcp(host, port, timeout_s)
        connection = (
            http.client.HTTPConnection(host, port, timeout=timeout_s)
            if protocol == "HTTP"
            else http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
        )
        try:
            headers = {"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"}
            connection.request("GET", group.health_check_path or "/", headers=headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except TimeoutError:
        return _TIMEOUT
    except (OSError, http.client.HTTPException):
        return _FAILED
    wanted = str((getattr(group, "matcher", None) or {}).get("HttpCode") or "200")
    if matches(status, wanted):
        return None
    text = f"Health checks failed with these codes: [{status}]"
    return Miss("Target.ResponseCodeMismatch", text)


def matches(status: int, wanted: str) -> bool:
    """Return whether a status fits a matcher such as `200`, `200,302` or `200-299`."""
    for part in wanted.split(","):
        low, _, high = part.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def _probe_tcp(host: str, port: int, timeout_s: float) -> Miss | None:
    with socket.create_connection((host, port), timeout_s) as connection:
        connection.settimeout(HANG_UP_S)
        try:
            return None if connection.recv(1, socket.MSG_PEEK) else _FAILED
        except TimeoutError:
            return None  # it neither spoke nor hung up
