"""A container to provision in a local test: systemd as PID 1 where the image has it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psutil

from olrunbook.adapters.docker.command import docker, systemd_arguments
from olrunbook.errors import ToolError

LABEL = "olrunbook.test"
OWNER = "olrunbook.test.owner"  # pid and start of the process that must remove it
BOOT_S = 30.0
SETTLED = ("running", "degraded")


class Box(NamedTuple):
    """A running container."""

    name: str
    image: str  # the image it was started from
    systemd: bool  # whether systemd runs in it; without, no service can be tested
    arguments: tuple[str, ...]  # what it was started with, for a person

    def run(self, *argv: str, timeout_s: float = 60) -> str:
        """Run a program in it and return its output; ToolError where it ended badly."""
        return docker("exec", self.name, *argv, timeout_s=timeout_s)

    def failed_units(self) -> list[str]:
        """Return the units that failed."""
        rows = self.run("systemctl", "--failed", "--plain", "--no-legend", "--full")
        return [row.split()[0] for row in rows.splitlines() if row.strip()]

    def restart(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Boot it again, so that what is enabled starts by itself."""
        docker("restart", "--time", "20", self.name)
        _settle(self.name, sleep)


@contextlib.contextmanager
def container(
    name: str,
    image: str,
    labels: dict[str, str],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Box]:
    """Start a container, hand it out, and remove it, however the caller leaves.

    The image must be here: none is fetched.

    Raises:
        ToolError: The image is not here, or docker failed.

    """
    owner = psutil.Process()
    mine = {**labels, OWNER: f"{owner.pid}:{owner.create_time():.0f}"}
    labelled = [f"--label={key}={value}" for key, value in mine.items()]
    common = ["--detach", "--pull", "never", "--name", name, *labelled]
    arguments = tuple(systemd_arguments())
    try:
        try:
            docker("run", *common, *arguments, image, "/sbin/init")
            box = Box(name, image, systemd=True, arguments=arguments)
            _settle(name, sleep)
        except ToolError as error:
            if "/sbin/init" not in str(error):
                raise
            docker("rm", "--force", "--volumes", name)
            docker("run", *common, "--init", image, "tail", "-f", "/dev/null")
            box = Box(name, image, systemd=False, arguments=("--init",))
        yield box
    finally:
        _remove(name)


def sweep(label: str) -> list[str]:
    """Remove containers of a label `key=value` whose process is gone; return names."""
    template = f'{{{{.Names}}}} {{{{.Label "{OWNER}"}}}}'
    rows = docker("ps", "--all", "--filter", f"label={label}", "--format", template)
    gone = []
    for row in rows.splitlines():
        name, _, owner = row.partition(" ")
        pid, _, began = owner.partition(":")
        if not _alive(pid, began):
            _remove(name)
            gone.append(name)
    return gone


def _alive(pid: str, began: str) -> bool:
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" == began
    except (psutil.Error, ValueError):
        return False


def _remove(name: str) -> None:
    with contextlib.suppress(ToolError):  # it may never have been made
        docker("rm", "--force", "--volumes", name)


def _settle(name: str, sleep: Callable[[float], None]) -> None:
    """Wait until systemd has started what it starts at boot."""
    until = time.monotonic() + BOOT_S
    while time.monotonic() < until:
        ask = "systemctl is-system-running 2>/dev/null || true"
        if docker("exec", name, "sh", "-c", ask) in SETTLED:
            return
        sleep(0.2)
