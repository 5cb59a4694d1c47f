"""All machines of one cloud: who they are, and the jobs that change their state.

An API call changes moto's record at once (pending, stopping, …) and queues the real
work on the machine's own one-thread queue, which writes the final state at its end.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from olrunbook.errors import ToolError
from olrunbook.rehearsal.machines.amis import AMI_LABEL, AmiStore
from olrunbook.rehearsal.machines.machine import Hardware, Machine
from olrunbook.rehearsal.places import Block
from olrunbook.rehearsal.signals import Signals, log

if TYPE_CHECKING:
    from moto.ec2.models.amis import Ami
    from moto.ec2.models.instances import Instance

CONSOLES = 20


class Fleet:
    """The machines behind the instances."""

    def __init__(
        self, block: Block, hardware: Hardware, amis: AmiStore, signals: Signals
    ) -> None:
        self._block, self._signals = block, signals
        self.hardware, self.amis = hardware, amis
        # Waits until no load balancer sends anything to it any more; set by the cloud.
        self.before_removal: Callable[[Machine], None] = lambda machine: None
        self._machines: dict[str, Machine] = {}
        self._consoles: dict[str, str] = {}  # of those that are gone, as on AWS
        self._given = 0
        self._lock = threading.Lock()

    def machine(self, instance_id: str) -> Machine | None:
        """Return an instance's machine; None where it has none (any more)."""
        return self._machines.get(instance_id)

    def machines(self) -> list[Machine]:
        """Return all machines, oldest first."""
        return list(self._machines.values())

    def address_of(self, instance_id: str) -> str | None:
        """Return the address of an instance that runs."""
        machine = self._machines.get(instance_id)
        running = machine is not None and machine.instance.state == "running"
        return machine.address if machine and running else None

    def console(self, instance_id: str) -> str:
        """Return what an instance wrote on its console, also when it is gone."""
        machine = self._machines.get(instance_id)
        if machine is None:
            return self._consoles.get(instance_id, "")
        try:
            return self.hardware.console(machine)
        except ToolError:
            return ""  # it is being made or removed at this moment

    def launch(self, instance: Instance, *, public: bool) -> None:
        """Boot a new instance at an address of its own; with `public`, a public one."""
        with self._lock:
            address = self._block.instance(self._given)
            self._given += 1
        machine = Machine(instance, address, self.amis.image_of(instance.image_id))
        machine.move_to(address, public=public)
        self._machines[instance.id] = machine
        machine.set_state("pending")
        self._queue(machine, self._boot)

    def start(self, instance: Instance) -> None:
        """Start a stopped instance."""
        self._change(instance, "pending", self._start)

    def stop(self, instance: Instance) -> None:
        """Stop a running instance."""
        self._change(instance, "stopping", self._stop)

    def reboot(self, instance: Instance) -> None:
        """Reboot an instance."""
        if machine := self._machines.get(instance.id):
            self._queue(machine, self.hardware.restart)

    def terminate(self, instance: Instance) -> None:
        """Terminate an instance: its machine goes when nothing is in flight to it."""
        self._change(instance, "shutting-down", self._remove)

    def create_image(self, instance: Instance, ami: Ami) -> None:
        """Make an AMI of an instance's disk; it is pending until that is done."""
        machine = self._machines.get(instance.id)
        if machine is None:
            ami.state = "failed"
            return
        ami.state = "pending"
        self._queue(machine, functools.partial(self._commit, ami=ami))

    def died(self, instance_id: str) -> None:
        """Note that a machine ended by itself: its instance is stopped."""
        machine = self._machines.get(instance_id)
        if machine is None or machine.restarting.is_set():
            return
        # The news may be old: it may have been restarted since.
        if machine.instance.state == "running" and not self.hardware.runs(machine):
            log(instance_id, "its machine ended unexpectedly")
            machine.set_state("stopped")
            self._signals.changed()

    def shut_down(self) -> None:
        """Let no job begin any more and wait for those under way."""
        for machine in self.machines():
            machine.jobs.shutdown(wait=True, cancel_futures=True)

    # -- jobs ----------------------------------------------------------------------

    def _change(
        self, instance: Instance, state: str, job: Callable[[Machine], None]
    ) -> None:
        if machine := self._machines.get(instance.id):
            machine.set_state(state)
            self._signals.changed()
            self._queue(machine, job)

    def _queue(self, machine: Machine, job: Callable[[Machine], Any]) -> None:
        if self._signals.ending.is_set():
            return
        if self.hardware.instant():
            self._run(machine, job)
            return
        machine.jobs.submit(self._run, machine, job)

    def _run(self, machine: Machine, job: Callable[[Machine], Any]) -> None:
        began = time.monotonic()
        try:
            job(machine)
        except Exception as error:  # noqa: BLE001  (a job's fault must not end its queue)
            log("ERROR", machine.id, type(error).__name__, error)
        function = getattr(job, "func", job)  # of a partial
        name = getattr(function, "__name__", "job").strip("_")
        took = f"{time.monotonic() - began:.2f} s"
        log(machine.id, name, took, machine.instance.state)
        self._signals.changed()

    def _boot(self, machine: Machine) -> None:
        try:
            self.hardware.boot(machine)
        except ToolError as error:
            reason = machine.instance.state_reason
            reason.code, reason.message = "Server.InternalError", str(error)
            machine.set_state("terminated")
            self._machines.pop(machine.id, None)
            raise
        if machine.instance.state == "pending":
            machine.set_state("running")

    def _start(self, machine: Machine) -> None:
        self.hardware.start(machine)
        machine.set_state("running")

    def _stop(self, machine: Machine) -> None:
        self.hardware.stop(machine)
        machine.set_state("stopped")

    def _remove(self, machine: Machine) -> None:
        self.before_removal(machine)
        self._consoles[machine.id] = self.console(machine.id)
        while len(self._consoles) > CONSOLES:
            self._consoles.pop(next(iter(self._consoles)))
        try:
            self.hardware.remove(machine)
        finally:
            machine.set_state("terminated")
            self._machines.pop(machine.id, None)
            machine.jobs.shutdown(wait=False)
        self.amis.sweep()

    def _commit(self, machine: Machine, ami: Ami) -> None:
        try:
            self.hardware.commit(
                machine, self.amis.image_of(ami.id), {AMI_LABEL: ami.id}
            )
        except ToolError:
            ami.state = "failed"
            raise
        ami.state = "available"
        self.amis.remember(ami)
