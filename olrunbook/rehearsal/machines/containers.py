"""Hardware made of containers: an instance is a container, an AMI is an image."""

from __future__ import annotations

import socket
import time

from olrunbook.adapters.docker.command import docker, exists, systemd_arguments
from olrunbook.errors import ToolError
from olrunbook.rehearsal.machines.first_boot import first_boot_tar
from olrunbook.rehearsal.machines.machine import Hardware, Machine
from olrunbook.rehearsal.places import BLOCK_LABEL, Block, Places

INSTANCE_LABEL = "olrunbook.instance"
CONSOLE_LINES = 500
STOP_S = 20  # systemd needs under one; a hanging unit gets this long
SSH_S = 15.0
SSH_PORT = 22


class Containers(Hardware):
    """Runs instances as systemd containers of this machine's docker.

    With `bridge` they are addressed on docker's bridge, and nothing is published.
    """

    containers = True

    def __init__(self, places: Places, block: Block, *, bridge: bool) -> None:
        super().__init__(0, lambda: False)
        self._places, self._block, self._bridge = places, block, bridge
        self._systemd = systemd_arguments()

    def boot(self, machine: Machine) -> None:
        """Create the container, lay its first boot into it, start it, wait for sshd."""
        ports = machine.ports()
        publish = [f"--publish={machine.address}:{port}:{port}" for port in ports]
        if self._bridge:
            publish = []
        try:
            docker(
                "create",
                *("--name", machine.id),
                *("--hostname", "ip-" + machine.address.replace(".", "-")),
                *("--label", self._places.label),
                *("--label", f"{BLOCK_LABEL}={self._block.number}"),
                *("--label", f"{INSTANCE_LABEL}={machine.id}"),
                *self._systemd,
                "--tty",  # its /dev/console; docker keeps what is written there
                *publish,
                machine.image,
                "/sbin/init",
            )
            seed = first_boot_tar(machine.id, machine.public_key(), machine.user_data())
            docker("cp", "-", f"{machine.id}:/", data=seed)
            self.start(machine)
        except ToolError:
            self.remove(machine)
            raise
        if SSH_PORT in ports:
            _await_ssh(machine.address)

    def start(self, machine: Machine) -> None:
        """Start the container; on the bridge it has its address only then."""
        docker("start", machine.id)
        if self._bridge:
            form = "{{.NetworkSettings.IPAddress}}"
            address = docker("inspect", "--format", form, machine.id)
            machine.move_to(address, public=machine.instance.public_ip is not None)

    def stop(self, machine: Machine) -> None:
        """Stop the container."""
        docker("stop", "--time", str(STOP_S), machine.id)

    def restart(self, machine: Machine) -> None:
        """Restart the container; its end in between is not a crash."""
        machine.restarting.set()
        try:
            docker("restart", "--time", str(STOP_S), machine.id)
        finally:
            machine.restarting.clear()

    def runs(self, machine: Machine) -> bool:
        """Ask docker whether the container runs."""
        return container_runs(machine.id)

    def console(self, machine: Machine) -> str:
        """Return the last lines of the container's console."""
        return docker("logs", "--tail", str(CONSOLE_LINES), machine.id)

    def remove(self, machine: Machine) -> None:
        """Remove the container with its volumes; it may be gone already."""
        try:
            docker("rm", "--force", "--volumes", machine.id)
        except ToolError as error:
            if "no such container" not in str(error).lower():
                raise

    def commit(self, machine: Machine, image: str, labels: dict[str, str]) -> None:
        """Commit the container's disk as an image."""
        named = {**labels, self._places.label.partition("=")[0]: self._places.checkout}
        changes = [f'--change=LABEL "{key}"="{value}"' for key, value in named.items()]
        docker("commit", '--change=CMD ["/sbin/init"]', *changes, machine.id, image)

    def copy(self, image: str, name: str) -> None:
        """Tag the image once more."""
        docker("tag", image, name)

    def discard(self, image: str) -> bool:
        """Remove the image's name; by id every other name would go, too."""
        try:
            docker("rmi", image)
        except ToolError as error:
            return "no such image" in str(error).lower()
        return True

    def has(self, image: str) -> bool:
        """Ask docker for the image."""
        return exists(image)


def container_runs(name: str) -> bool:
    """Return whether a container is there and runs."""
    try:
        return docker("inspect", "--format", "{{.State.Running}}", name) == "true"
    except ToolError:
        return False


def _await_ssh(host: str) -> None:
    """Wait for sshd's banner; docker's proxy accepts before anybody listens.

    Packer tries once when the instance is "running", and again only after five seconds.
    """
    end = time.monotonic() + SSH_S
    while time.monotonic() < end:
        try:
            with socket.create_connection((host, SSH_PORT), 1) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        time.sleep(0.1)
