"""All load balancers of one cloud; the control loop calls `tick`."""

from __future__ import annotations

from olrunbook.rehearsal.balancers.config import Server, backend_name, routes_of
from olrunbook.rehearsal.balancers.draining import Draining
from olrunbook.rehearsal.balancers.haproxy import Haproxy
from olrunbook.rehearsal.balancers.health import HealthBook
from olrunbook.rehearsal.balancers.targets import load_balancers, target_group
from olrunbook.rehearsal.machines.fleet import Fleet
from olrunbook.rehearsal.places import Places
from olrunbook.rehearsal.signals import log


class Balancers:
    """Keeps one haproxy for each load balancer."""

    def __init__(
        self,
        places: Places,
        image: str,
        fleet: Fleet,
        health: HealthBook,
        draining: Draining,
    ) -> None:
        self._places, self._image, self._fleet = places, image, fleet
        self._health, self._draining = health, draining
        self._running: dict[str, Haproxy] = {}

    def tick(self) -> None:
        """Start, update and end balancers; settle what has drained."""
        live = {balancer.arn: balancer for balancer in load_balancers()}
        for arn, balancer in live.items():
            if arn not in self._running:
                self._running[arn] = Haproxy(balancer, self._places, self._image)
            haproxy = self._running[arn]
            groups = {route.group for route in routes_of(balancer) if route.group}
            try:
                haproxy.tick({group: self._servers(group) for group in groups})
            except OSError as error:
                log("balancer", balancer.name, type(error).__name__, error)
        for arn in [arn for arn in self._running if arn not in live]:
            self._running.pop(arn).end()
        self._draining.settle(self._idle)

    def died(self, container: str) -> None:
        """Start a balancer again whose container ended by itself."""
        for haproxy in list(self._running.values()):
            if haproxy.container == container:
                haproxy.died()

    def end(self) -> None:
        """Remove all of them."""
        for haproxy in list(self._running.values()):
            haproxy.end()

    def _servers(self, group_arn: str) -> dict[str, Server]:
        """Return a target group's servers: the registered, and those that drain."""
        group = target_group(group_arn)
        if group is None:
            return {}
        servers = {}
        for target in list(group.targets.values()):
            if address := self._health.address(target["Id"]):
                well = self._health.state(group_arn, target["Id"]) == "healthy"
                state = "ready" if well else "drain"
                servers[target["Id"]] = Server(f"{address}:{target['Port']}", state)
        for target_id in self._draining.of_group(group_arn):
            machine = self._fleet.machine(target_id)
            if machine and target_id not in servers:
                servers[target_id] = Server(f"{machine.address}:{group.port}", "drain")
        return servers

    def _idle(self, group_arn: str, target_id: str) -> bool:
        """Whether no balancer has a connection to a target."""
        users = [
            haproxy
            for haproxy in self._running.values()
            if target_id in haproxy.servers.get(group_arn, {})
        ]
        if any(haproxy.servers[group_arn][target_id] == "ready" for haproxy in users):
            return False
        try:
            return not any(haproxy.sessions(group_arn, target_id) for haproxy in users)
        except OSError as error:
            log("balancer", backend_name(group_arn), type(error).__name__, error)
            return False
