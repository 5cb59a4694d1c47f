"""One machine, and what hardware has to be able to do with it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moto.ec2.models.instances import Instance

# EC2's instance states and their numbers.
CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
WIDEST_RANGE = 64  # a rule that opens more ports than this is not published


@dataclass(slots=True)
class Machine:
    """What stands behind one EC2 instance."""

    instance: Instance  # moto's record of it
    address: str  # its address
    image: str  # the container image it boots from
    restarting: threading.Event = field(default_factory=threading.Event)
    # One thread: jobs keep their order (commit, then terminate).
    jobs: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @property
    def id(self) -> str:
        """The instance's id."""
        return self.instance.id

    def move_to(self, address: str, *, public: bool) -> None:
        """Give it an address, in moto's record too; with `public`, a public one."""
        self.address = address
        nic = self.instance.nics[0]
        nic.private_ip_address = address
        nic.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]
        nic.public_ip, nic.public_ip_auto_assign = (address if public else None), False
        # moto keeps what it took from the subnet until Python collects the instance: a
        # cloud that is up for days would have no address left.
        taken = self.instance._private_ips  # noqa: SLF001
        while taken and self.instance.subnet_id:
            subnet = self.instance.ec2_backend.get_subnet(self.instance.subnet_id)
            subnet.del_subnet_ip(taken.pop())

    def set_state(self, name: str) -> None:
        """Write the instance's state into moto's record."""
        state = self.instance.instance_state
        state.name, state.code = name, CODES[name]

    def ports(self) -> list[int]:
        """Return the TCP ports its security groups open, to whomever."""
        nics = self.instance.nics.values()
        groups = [
            *self.instance.security_groups,
            *(g for nic in nics for g in nic.group_set),
        ]
        ports: set[int] = set()
        for rule in (rule for group in groups for rule in group.ingress_rules):
            if rule.ip_protocol not in ("tcp", "6") or rule.from_port is None:
                continue
            first, last = int(rule.from_port), int(rule.to_port or rule.from_port)
            if 0 <= last - first < WIDEST_RANGE:
                ports.update(range(first, last + 1))
        return sorted(port for port in ports if 0 < port < 65536)  # noqa: PLR2004

    def public_key(self) -> bytes:
        """Return the OpenSSH public key of its key pair; empty: it has none."""
        pair = self.instance.ec2_backend.key_pairs.get(self.instance.key_name)
        material = pair.material_public if pair else None
        if not material:
            return b""
        data = material if isinstance(material, bytes) else material.encode()
        return bytes(data).strip() + b"\n"

    def user_data(self) -> bytes:
        """Return its user data, decoded."""
        data = self.instance.user_data
        if not data:
            return b""
        return base64.b64decode(str(getattr(data, "_encoded_string", data)))


class Hardware:
    """What does the work behind instances; every call returns when it is done.

    By itself it has no machines: instances are records, and reach their states after a
    moment.

    Args:
        boot_s: Seconds until an instance runs.
        instant: Whether jobs take no time now, and may run within the API call.

    """

    containers = False  # whether instances are containers, and AMIs their images

    def __init__(self, boot_s: float, instant: Callable[[], bool]) -> None:
        self._boot_s, self.instant = boot_s, instant

    def boot(self, machine: Machine) -> None:  # noqa: ARG002
        """Make and start it."""
        if not self.instant():
            time.sleep(self._boot_s)

    def start(self, machine: Machine) -> None:
        """Start it again after a stop."""

    def stop(self, machine: Machine) -> None:
        """Stop it; it can be started again."""

    def restart(self, machine: Machine) -> None:
        """Reboot it."""

    def runs(self, machine: Machine) -> bool:  # noqa: ARG002
        """Whether it runs now."""
        return True

    def console(self, machine: Machine) -> str:
        """Return what it has written on its console."""
        return f"no console: {machine.id} is a record only\n"

    def remove(self, machine: Machine) -> None:
        """Remove it and its disk."""

    def commit(self, machine: Machine, image: str, labels: dict[str, str]) -> None:
        """Make an image of its disk."""

    def copy(self, image: str, name: str) -> None:
        """Give an image another name."""

    def discard(self, image: str) -> bool:  # noqa: ARG002
        """Remove an image; False: something still uses it."""
        return True

    def has(self, image: str) -> bool:  # noqa: ARG002
        """Whether an image is there."""
        return True
