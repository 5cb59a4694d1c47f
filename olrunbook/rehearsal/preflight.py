"""What must hold before a rehearsal can be started, each with what to do about it."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from pathlib import Path

import psutil

from olrunbook.adapters.docker.command import docker
from olrunbook.errors import OlrunbookError, ToolError

DOCKER_FREE = 3 << 30  # an image is committed beside the one it came from
STATE_FREE = 200 << 20
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (looked for, never bound)
BRIDGE_VARIABLE = "OLRUNBOOK_REHEARSAL_BRIDGE"
# What instances and balancers publish on their own loopback addresses.
SSH_PORT = 22
NEEDED = {SSH_PORT: "ssh to instances", 443: "HTTPS of instances and load balancers"}


def check_platform() -> None:
    """Refuse anything but Linux on amd64.

    Raises:
        OlrunbookError: It is something else.

    """
    machine = platform.machine().lower()
    if sys.platform == "linux" and machine in ("x86_64", "amd64"):
        return
    msg = f"the rehearsal needs Linux on amd64; this is {sys.platform} on {machine}"
    hint = (
        "Use a Linux virtual machine. Reading records, catalog and parameters works "
        "here: olrunbook runs, olrunbook show."
    )
    raise OlrunbookError(msg, hint)


def check_docker() -> None:
    """Refuse a docker engine that does not answer, or cannot do what is needed.

    Raises:
        ToolError: It does not answer.
        OlrunbookError: It runs elsewhere (rootless, Desktop): its host is another.

    """
    try:
        info = json.loads(docker("info", "--format", "{{json .}}", timeout_s=20))
    except ToolError as error:
        msg = f"the docker engine cannot be used: {error}"
        hint = error.hint or "`make setup` starts it; `docker info` must answer."
        raise ToolError(msg, hint, error.code) from None
    system, options = info.get("OperatingSystem", ""), info.get("SecurityOptions") or []
    elsewhere = "Docker Desktop" in system or any("rootless" in str(o) for o in options)
    if elsewhere or info.get("OSType") != "linux":
        msg = f"this docker engine ({system}) does not share this machine's network"
        raise OlrunbookError(
            msg, "Use the engine of docker.io: sudo apt-get install docker.io"
        )
    root = Path(info.get("DockerRootDir") or "/var/lib/docker")
    check_disk(root, DOCKER_FREE, "images")


def check_ports(*, bridge: bool = False) -> None:
    """Refuse where a program listens on all addresses at a port that is needed.

    Args:
        bridge: Instances publish nothing; only load balancers need a port.

    Raises:
        OlrunbookError: One does.

    """
    needed = {port for port in NEEDED if not bridge or port != SSH_PORT}
    held = sorted(needed & wildcard_ports())
    if not held:
        return
    port = held[0]
    msg = f"port {port} is in use on all addresses, but is needed for {NEEDED[port]}"
    hint = (
        f"`ss -ltnp 'sport = :{port}'` names the program; let it listen on one address"
    )
    if port == SSH_PORT:
        hint += (
            " (sshd: `ListenAddress` in /etc/ssh/sshd_config), or set "
            f"{BRIDGE_VARIABLE}=yes: instances are then reached on docker's bridge"
        )
    raise OlrunbookError(msg, f"{hint}. Or stop it for the rehearsal.")


def wildcard_ports() -> set[int]:
    """Return the TCP ports somebody listens on at all addresses; it needs no rights."""
    return {
        one.laddr.port
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.ip in EVERYWHERE
    }


def check_disk(
    folder: Path, wanted: int = STATE_FREE, what: str = "the rehearsal's state"
) -> None:
    """Refuse a disk with fewer bytes free than wanted.

    Raises:
        OlrunbookError: It is full.

    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # docker's own folder may be closed to its users
    if free < wanted:
        have, need = f"{free >> 20} MiB", f"{wanted >> 20} MiB"
        msg = f"{have} are free under {folder}; {what} may need {need}"
        hint = "Free some disk space: `docker system df` shows what docker holds."
        raise OlrunbookError(msg, hint)
