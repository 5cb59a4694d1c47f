"""One haproxy container for each load balancer, on its own loopback address.

Structure (listeners, backends) is in the configuration file: a change is written and
reloaded without losing connections (SIGUSR2 to the master). Targets come and go through
the runtime socket. Our health checks are the only truth; haproxy makes none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor

from moto.acm.models import acm_backends
from moto.elbv2.models import FakeLoadBalancer

from olrunbook.adapters.docker.command import docker
from olrunbook.errors import ToolError
from olrunbook.record.files import write_atomic
from olrunbook.rehearsal.balancers.config import (
    INSIDE,
    SOCKET,
    Route,
    Server,
    backend_name,
    render,
    routes_of,
    tls_options,
)
from olrunbook.rehearsal.machines.containers import container_runs
from olrunbook.rehearsal.places import Places
from olrunbook.rehearsal.signals import log

READY_S = 5.0
FILE = "haproxy.cfg"
SOCKET_TIMEOUT_S = 2.0
SESSIONS_COLUMN = 4  # scur of `show stat`


class Haproxy:
    """One load balancer's haproxy."""

    def __init__(self, balancer: FakeLoadBalancer, places: Places, image: str) -> None:
        self.balancer, self._places, self._image = balancer, places, image
        short = hashlib.sha256(balancer.arn.encode()).hexdigest()[:10]
        self.folder = places.balancers / short
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.container = f"olrunbook-{places.slug}-lb-{short}"
        self.servers: dict[str, dict[str, str]] = {}  # group ARN -> target -> state
        self._routes: list[Route] | None = None
        self._running = False
        self._work: Future[None] | None = None
        # Starting takes half a second: not in the control loop's thread.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="haproxy")

    def tick(self, wanted: dict[str, dict[str, Server]]) -> None:
        """Bring haproxy to what is wanted now: target group to target id to server."""
        if self._work:
            if not self._work.done():
                return
            done, self._work = self._work, None
            if error := done.exception():
                log("ERROR", self.balancer.name, type(error).__name__, error)
                self.balancer.state = "failed"
                self._routes = None  # again, at the next turn
        routes = routes_of(self.balancer)
        if not routes and not self._running:
            self.balancer.state = "active"  # haproxy refuses to start without listeners
        elif routes != self._routes:
            self._routes = routes
            self._work = self._pool.submit(self._restructure, routes, wanted)
        elif routes:
            for group, servers in wanted.items():
                self._update(group, servers)

    def sessions(self, group_arn: str, target_id: str) -> int:
        """Return how many connections a target has now."""
        name = backend_name(group_arn)
        for row in self._command("show stat -1 4 -1").splitlines():
            cells = row.split(",")
            if len(cells) > SESSIONS_COLUMN and cells[:2] == [name, target_id]:
                return int(cells[SESSIONS_COLUMN] or 0)
        return 0

    def died(self) -> None:
        """Note that its container ended by itself: it is started again."""
        if container_runs(self.container):
            return  # the news is old: it has been started again
        log(self.balancer.name, "its haproxy ended unexpectedly")
        self._running, self._routes = False, None

    def end(self) -> None:
        """Remove the container and its files."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        with contextlib.suppress(ToolError):
            docker("rm", "--force", "--volumes", self.container)
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- structure -----------------------------------------------------------------

    def _restructure(
        self, routes: list[Route], wanted: dict[str, dict[str, Server]]
    ) -> None:
        owner = (os.getuid(), os.getgid())
        address = self.balancer.dns_name
        text = render(address, routes, wanted, self._certificate, owner)
        write_atomic(self.folder / FILE, text, 0o600)
        if self._running:
            docker("kill", "--signal", "USR2", self.container)
        else:
            self._start()
        self._await(routes)
        self.servers = {
            group: {target: server.state for target, server in servers.items()}
            for group, servers in wanted.items()
        }
        self.balancer.state = "active"
        ports = [route.port for route in routes]
        log("balancer", self.balancer.name, address, "listens on", ports)

    def _start(self) -> None:
        with contextlib.suppress(ToolError):
            docker("rm", "--force", self.container)
        docker(
            *("run", "--detach", "--name", self.container),
            *("--label", self._places.label),
            *("--network", "host"),  # its addresses are this machine's loopback
            *("--log-opt", "max-size=1m", "--log-opt", "max-file=1"),
            *("--volume", f"{self.folder}:{INSIDE}"),
            self._image,
            # exec: haproxy itself gets the signals; `docker logs` shows its words
            *("sh", "-c", f"exec haproxy -W -db -f {INSIDE}/{FILE} 2>&1"),
        )
        self._running = True

    def _await(self, routes: list[Route]) -> None:
        """Wait until the worker with this configuration answers.

        Raises:
            ToolError: It does not within a few seconds.

        """
        names = {backend_name(route.group) for route in routes if route.group}
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            time.sleep(0.05)
            with contextlib.suppress(OSError):
                if names <= set(self._command("show backend").splitlines()):
                    return
        self._running = False
        said = ""
        with contextlib.suppress(ToolError):
            said = docker("logs", "--tail", "5", self.container)
        msg = f"haproxy of {self.balancer.name} does not answer: {said[-300:]}"
        raise ToolError(msg)

    def _certificate(self, arn: str) -> str | None:
        """Write an ACM certificate with its key beside the configuration."""
        region, account = arn.split(":")[3:5]
        found = acm_backends[account][region]._certificates.get(arn)  # noqa: SLF001
        if found is None:
            return None
        name = arn.rsplit("/", 1)[1] + ".pem"
        write_atomic(self.folder / name, found.cert + b"\n" + found.key, 0o600)
        return name

    # -- targets -------------------------------------------------------------------

    def _update(self, group_arn: str, wanted: dict[str, Server]) -> None:
        have, backend = self.servers.setdefault(group_arn, {}), backend_name(group_arn)
        for target, server in wanted.items():
            if target not in have:
                options = tls_options(group_arn)
                said = self._command(
                    f"add server {backend}/{target} {server.address}{options}"
                )
                if "New server registered" not in said and "Already exists" not in said:
                    log("haproxy", said)
                    continue
                have[target] = "maint"
            if have[target] != server.state:
                self._command(f"set server {backend}/{target} state {server.state}")
                have[target] = server.state
        for target in [target for target in have if target not in wanted]:
            if have[target] != "maint":
                self._command(f"set server {backend}/{target} state maint")
                have[target] = "maint"
            # Refused while connections are attached: again at the next turn.
            said = self._command(f"del server {backend}/{target}")
            if "deleted" in said or "No such" in said:
                del have[target]

    def _command(self, line: str) -> str:
        """Say one line to the runtime socket and return the answer."""
        # A socket's path may have 107 bytes; by the folder's descriptor it is short.
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(SOCKET_TIMEOUT_S)
                connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                connection.sendall(line.encode() + b"\n")
                answer = b""
                while got := connection.recv(1 << 16):
                    answer += got
        finally:
            os.close(folder)
        return answer.decode().strip()
