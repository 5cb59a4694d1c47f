"""What lives in the cloud at one moment, as plain values for `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel

if TYPE_CHECKING:
    from olrunbook.rehearsal.groups.members import Ledger
    from olrunbook.rehearsal.machines.amis import AmiStore
    from olrunbook.rehearsal.machines.fleet import Fleet


class _Seen(BaseModel, frozen=True, extra="forbid"):
    """A plain value."""


class MachineSeen(_Seen):
    """One instance: its id, state, AMI, address and group (empty: none)."""

    id: str
    state: str
    ami: str
    address: str
    group: str = ""


class GroupCount(_Seen):
    """One Auto Scaling group: capacity, how many serve, and its active refresh."""

    name: str
    desired: int
    in_service: int
    refresh: str = ""


class BalancerSeen(_Seen):
    """One load balancer: its name, address and ports."""

    name: str
    address: str
    ports: list[int]


class AmiSeen(_Seen):
    """One AMI that was made here (or in an earlier incarnation)."""

    id: str
    name: str
    state: str
    tags: dict[str, str] = {}


class Survey(_Seen):
    """Everything that lives."""

    cloud_id: str  # id of this incarnation
    instances: list[MachineSeen]  # instances that have a machine
    groups: list[GroupCount]  # auto Scaling groups
    balancers: list[BalancerSeen]  # load balancers
    amis: list[AmiSeen]  # AMIs made here
    memory_mib: int  # resident memory of the daemon


def survey(cloud_id: str, fleet: Fleet, ledger: Ledger, amis: AmiStore) -> Survey:
    """Look at a cloud from inside its process."""
    from olrunbook.rehearsal.balancers.targets import load_balancers  # noqa: PLC0415
    from olrunbook.rehearsal.groups.groups import all_groups  # noqa: PLC0415  (needs moto)

    return Survey(
        cloud_id=cloud_id,
        instances=[
            MachineSeen(
                id=machine.id,
                state=machine.instance.state,
                ami=machine.instance.image_id,
                address=machine.address,
                group=getattr(
                    getattr(machine.instance, "autoscaling_group", None), "name", ""
                ),
            )
            for machine in fleet.machines()
        ],
        groups=[
            GroupCount(
                name=group.name,
                desired=group.desired_capacity or 0,
                in_service=sum(
                    state.lifecycle_state == "InService"
                    for state in group.instance_states
                ),
                refresh=refresh.status
                if (refresh := ledger.group(group).refresh)
                else "",
            )
            for group in all_groups()
        ],
        balancers=[
            BalancerSeen(
                name=balancer.name,
                address=balancer.dns_name,
                ports=sorted(
                    int(listener.port) for listener in balancer.listeners.values()
                ),
            )
            for balancer in load_balancers()
        ],
        amis=[
            AmiSeen(
                id=ami.id,
                name=ami.name or "",
                state=ami.state,
                tags=dict(ami.ec2_backend.tags.get(ami.id, {})),
            )
            for ami in amis.kept()
        ],
        memory_mib=psutil.Process().memory_info().rss >> 20,
    )
