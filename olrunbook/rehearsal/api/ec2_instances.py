"""EC2 instances: moto keeps the records, the fleet does the work."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response

from olrunbook.rehearsal.api.patching import fault, override
from olrunbook.rehearsal.machines.fleet import Fleet

HOLD_S = 5.0
CONSOLE_BYTES = 65536  # AWS keeps the last 64 KB
ON_ITS_WAY = ("pending", "stopping", "shutting-down")


def install(
    fleet: Fleet, lock: threading.RLock, leaving: Callable[[Instance], None]
) -> None:
    """Put the fleet behind moto's instances.

    Args:
        fleet: The machines.
        lock: Held where Auto Scaling groups are changed.
        leaving: Called with an instance of a group that is about to be terminated.

    """
    _install_launch(fleet)
    _install_changes(fleet)
    _install_termination(fleet, lock, leaving)
    _install_look_up()
    _install_console(fleet)
    # Names that resolve to nothing help nobody: the address is the name.
    address: Any = property(lambda instance: instance.nics[0].private_ip_address)
    public: Any = property(lambda instance: instance.nics[0].public_ip)
    Instance.private_dns_name, Instance.public_dns_name = address, public  # type: ignore[method-assign]


def _install_launch(fleet: Fleet) -> None:
    @override(EC2Backend)
    def run_instances(
        original: Any,
        backend: EC2Backend,
        image_id: str,
        *args: Any,
        **options: Any,
    ) -> Any:
        template = options.get("launch_template")
        version = backend._get_template_from_args(template) if template else None  # noqa: SLF001
        if not image_id and version:
            image_id = version.image_id
        check_image(backend, image_id)
        made = original(backend, image_id, *args, **options)
        nics = (version.data if version else {}).get("NetworkInterfaces") or []
        for instance in made.instances:
            _add_template_groups(backend, instance, nics)
            asked = any(nic.get("AssociatePublicIpAddress") for nic in nics)
            fleet.launch(instance, public=bool(instance.nics[0].public_ip or asked))
        return made


def _install_changes(fleet: Fleet) -> None:
    @override(EC2Backend)
    def start_instances(original: Any, backend: EC2Backend, ids: list[str]) -> Any:
        changes = original(backend, ids)
        for instance, before in changes:
            if before.name == "stopped":
                fleet.start(instance)
        return changes

    @override(EC2Backend)
    def stop_instances(original: Any, backend: EC2Backend, ids: list[str]) -> Any:
        changes = original(backend, ids)
        for instance, before in changes:
            if before.name in ("running", "pending"):
                fleet.stop(instance)
        return changes

    @override(EC2Backend)
    def reboot_instances(original: Any, backend: EC2Backend, ids: list[str]) -> Any:
        rebooted = original(backend, ids)
        for instance in rebooted:
            fleet.reboot(instance)
        return rebooted


def _install_termination(
    fleet: Fleet, lock: threading.RLock, leaving: Callable[[Instance], None]
) -> None:
    @override(EC2Backend)
    def terminate_instances(original: Any, backend: EC2Backend, ids: list[str]) -> Any:
        with lock:
            found = backend.get_multi_instances_by_id(ids)
            gone = [i for i in found if i.state in ("shutting-down", "terminated")]
            alive = [i for i in found if i not in gone]
            for instance in alive:
                if getattr(instance, "autoscaling_group", None):
                    leaving(instance)  # whatever way its group loses it
            again = bool(gone) and not alive
            changes = [] if again else original(backend, [i.id for i in alive])
            for instance, _ in changes:
                fleet.terminate(instance)
            return [*changes, *((one, one.instance_state) for one in gone)]


def _install_look_up() -> None:
    @override(EC2Backend)
    def get_reservations_by_instance_ids(
        original: Any, backend: EC2Backend, ids: list[str], filters: Any = None
    ) -> Any:
        # Waiters of the SDKs look again only after 15 s: whoever names an instance that
        # is on its way is held for a moment. Not those of groups: they are watched.
        end = time.monotonic() + HOLD_S
        named = [backend.get_instance_by_id(instance_id) for instance_id in ids]
        alone = [i for i in named if i and not getattr(i, "autoscaling_group", None)]
        while time.monotonic() < end and any(i.state in ON_ITS_WAY for i in alone):
            time.sleep(0.05)
        return original(backend, ids, filters)


def _install_console(fleet: Fleet) -> None:
    @override(EC2Response)
    def get_console_output(original: Any, response: EC2Response) -> Any:  # noqa: ARG001
        """Return what the machine wrote there; moto has the same text for all."""
        found = response.ec2_backend.get_instance(response._get_param("InstanceId"))  # noqa: SLF001
        text = fleet.console(found.id).encode()[-CONSOLE_BYTES:]
        output = base64.b64encode(text).decode()
        result = {"InstanceId": found.id, "Timestamp": utcnow(), "Output": output}
        return ActionResult(result)


def check_image(backend: EC2Backend, image_id: str) -> None:
    """Refuse an AMI that is not there or not ready, as AWS does and moto does not.

    Raises:
        EC2ClientError: With AWS's code and words.

    """
    ami = backend.amis.get(image_id)
    if ami is None:
        msg = f"The image id '[{image_id}]' does not exist"
        raise fault(msg, "InvalidAMIID.NotFound")
    if ami.state != "available":
        msg = f"The image ID '{image_id}' is not available"
        raise fault(msg, "InvalidAMIID.Unavailable")


def _add_template_groups(
    backend: EC2Backend, instance: Instance, nics: list[dict[str, Any]]
) -> None:
    """Add the groups of a template's network interfaces, which moto forgets."""
    for group_id in (group for nic in nics for group in nic.get("Groups") or []):
        group = backend.get_security_group_from_id(group_id)
        if group and group not in instance.security_groups:
            instance.security_groups.append(group)
