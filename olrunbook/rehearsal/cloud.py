"""One incarnation of the cloud on loopback: all its parts, wired together.

Built once in the daemon. moto keeps its state in its own module globals; ours is here.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from olrunbook.rehearsal import standins
from olrunbook.rehearsal.api import (
    account,
    ec2_images,
    ec2_instances,
    ec2_repairs,
    elb_repairs,
    identity,
    simulation,
)
from olrunbook.rehearsal.api.keys import Keys
from olrunbook.rehearsal.api.server import Server
from olrunbook.rehearsal.balancers.balancers import Balancers
from olrunbook.rehearsal.balancers.draining import Draining
from olrunbook.rehearsal.balancers.health import Health, HealthBook
from olrunbook.rehearsal.control import Control, advance_refreshes
from olrunbook.rehearsal.groups import repairs
from olrunbook.rehearsal.groups.groups import Groups
from olrunbook.rehearsal.groups.members import Ledger
from olrunbook.rehearsal.groups.refresh import calls
from olrunbook.rehearsal.machines.amis import AmiStore
from olrunbook.rehearsal.machines.containers import Containers
from olrunbook.rehearsal.machines.fleet import Fleet
from olrunbook.rehearsal.machines.machine import Hardware
from olrunbook.rehearsal.machines.watch import DeathWatch
from olrunbook.rehearsal.order import Order
from olrunbook.rehearsal.places import CONSUL_PORT, VAULT_PORT, Block, Places
from olrunbook.rehearsal.providers import host
from olrunbook.rehearsal.signals import Signals, log
from olrunbook.rehearsal.survey import survey


class Cloud:
    """Everything that lives while it is up; `listening` is the API's socket."""

    def __init__(
        self, order: Order, places: Places, block: Block, listening: socket.socket
    ) -> None:
        self.order, self.places, self.block = order, places, block
        self.settings = settings = order.settings
        self.signals = Signals()
        self.lock = threading.RLock()
        hardware = (
            Containers(places, block, bridge=settings.bridge)
            if settings.containers
            else Hardware(
                settings.boot_s, lambda: calls.current_pace(settings).scale == 0
            )
        )
        self.amis = AmiStore(places.amis_file, places.ami_repository, hardware)
        self.fleet = Fleet(block, hardware, self.amis, self.signals)
        self.draining = Draining(
            settings.time_scale, self.signals, balanced=settings.containers
        )
        self.health = (
            HealthBook(self.fleet.address_of, settings.health_scale, self.signals)
            if settings.containers
            else Health(self.fleet.address_of)
        )
        self.groups = Groups(Ledger(), settings, self.health, self.draining.leave)
        self.balancers: Balancers | None = None
        self._deaths: DeathWatch | None = None
        if isinstance(self.health, HealthBook):
            self.balancers = Balancers(
                places, order.balancer, self.fleet, self.health, self.draining
            )
            self._deaths = DeathWatch(places, self.signals, self._died)
        self._control = Control(
            self.groups,
            [self.health.tick, *([self.balancers.tick] if self.balancers else [])],
            self.lock,
            self.signals,
            settings.tick_s,
        )
        self._keys = Keys(order.access_key, order.identity_arn, settings.token_s)
        self._server = Server(listening, self._keys, self.describe)
        self._stand_ins: list[Any] = []

    def start(self) -> None:
        """Put moto right, fill the account, and begin to serve."""
        self._install()
        account.seed(self.amis, self.order.base, self.order.base_created)
        self._stand_ins = list(
            standins.start(
                self.block.api_host,
                VAULT_PORT,
                CONSUL_PORT,
                self.order.vault_token,
                self.order.consul_token,
            )
        )
        self._providers = host.start(self.places.providers_socket)
        if self._deaths:
            self._deaths.start()
        self._control.start()
        self._server.start()

    def end(self, *, images: bool = False) -> None:
        """Take everything down: first what heals, then what would be healed.

        With `images` also the AMIs: nobody can find them again.
        """
        log("going down")
        self.signals.ending.set()
        self._providers.kill()
        _at_once(self._server.end, *(s.shutdown for s in self._stand_ins))
        for stand_in in self._stand_ins:
            stand_in.server_close()
        self._providers.wait()
        self._control.end()
        self.health.end()
        if self._deaths:
            self._deaths.end()
        self.fleet.shut_down()
        remove = self.fleet.hardware.remove
        ends = [partial(remove, machine) for machine in self.fleet.machines()]
        _at_once(*ends, *([self.balancers.end] if self.balancers else []))
        if images:
            self.amis.doom_all()
        self.amis.sweep()

    def describe(self) -> dict[str, Any]:
        """Return what `status` shows of a cloud that is up."""
        ledger = self.groups.ledger
        found = survey(self.order.cloud_id, self.fleet, ledger, self.amis)
        return found.model_dump(mode="json")

    def _install(self) -> None:
        identity.install(self._keys)
        simulation.install()
        ec2_repairs.install()
        ec2_instances.install(self.fleet, self.lock, self.groups.leave_targets)
        ec2_images.install(self.fleet)
        addresses = (self.block.balancer(number) for number in itertools.count())
        elb_repairs.install(
            self.health, self.draining, addresses.__next__, self.signals.changed
        )
        calls.install(self.groups, self.settings)
        repairs.install(
            self.groups,
            self.lock,
            lambda: advance_refreshes(self.groups),
            self.signals.changed,
        )
        self.fleet.before_removal = lambda machine: self.draining.wait_for(machine.id)

    def _died(self, container: str) -> None:
        self.fleet.died(container)
        if self.balancers:
            self.balancers.died(container)


def _at_once(*ends: Callable[[], object]) -> None:
    """Call several ends that each take a moment; a failing one stops no other."""
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(end) for end in ends]:
            if error := done.exception():
                log("ERROR going down:", type(error).__name__, error)
