"""AMIs: made of an instance's disk, pending meanwhile, kept with their tags."""

from __future__ import annotations

import time
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami
from moto.ec2.responses import EC2Response

from olrunbook.rehearsal.api.patching import fault, override
from olrunbook.rehearsal.machines.fleet import Fleet

HOLD_S = 10.0


def install(fleet: Fleet) -> None:
    """Put the fleet's images behind moto's AMIs."""
    _install_creation(fleet)
    _install_look_up()
    _install_tags(fleet)
    _install_description(fleet)


def _install_creation(fleet: Fleet) -> None:
    amis = fleet.amis

    @override(EC2Backend)
    def create_image(  # noqa: PLR0917  (moto's signature)
        original: Any,
        backend: EC2Backend,
        instance_id: str,
        name: str,
        description: str = "",
        tag_specifications: list[dict[str, Any]] | None = None,
    ) -> Ami:
        _check_name(backend, name)
        instance = backend.get_instance(instance_id)
        specs = tag_specifications or []
        of_snapshot = [spec for spec in specs if spec["ResourceType"] == "snapshot"]
        rest = [spec for spec in specs if spec["ResourceType"] != "snapshot"]
        ami: Ami = original(backend, instance_id, name, description, rest)
        try:
            for spec in of_snapshot:
                tags = {tag["Key"]: tag["Value"] for tag in spec["Tags"]}
                backend.create_tags([ami.ebs_snapshot.id], tags)
            ami.root_device_type, ami.root_device_name = "ebs", "/dev/xvda"
            ami.hypervisor = "xen"
            fleet.create_image(instance, ami)
        except BaseException:  # the SDK tries again: its name must not be taken
            del backend.amis[ami.id]
            raise
        return ami

    @override(EC2Backend)
    def copy_image(  # noqa: PLR0917  (moto's signature)
        original: Any,
        backend: EC2Backend,
        source_image_id: str,
        source_region: str,
        name: str | None = None,
        description: str | None = None,
    ) -> Ami:
        _check_name(backend, name or "")
        ami: Ami = original(backend, source_image_id, source_region, name, description)
        ami.root_device_type = "ebs"
        fleet.hardware.copy(amis.image_of(source_image_id), amis.image_of(ami.id))
        amis.remember(ami)
        return ami

    @override(EC2Backend)
    def deregister_image(original: Any, backend: EC2Backend, ami_id: str) -> None:
        original(backend, ami_id)
        amis.forget(ami_id)


def _install_look_up() -> None:
    @override(EC2Backend)
    def describe_images(
        original: Any,
        backend: EC2Backend,
        ami_ids: list[str] | None = None,
        **options: Any,
    ) -> Any:
        # Waiters of the SDKs look again only after 15 s: whoever names a pending image
        # is held for a while, which takes 10 s off each Packer build.
        end = time.monotonic() + HOLD_S
        while ami_ids and time.monotonic() < end:
            named = [backend.amis[i] for i in ami_ids if i in backend.amis]
            if not any(ami.state == "pending" for ami in named):
                break
            time.sleep(0.05)
        return original(backend, ami_ids=ami_ids, **options)


def _install_tags(fleet: Fleet) -> None:
    for method in ("create_tags", "delete_tags", "delete_tag_keys"):

        @override(EC2Backend, method)
        def tagged(
            original: Any, backend: EC2Backend, resource_ids: list[str], *rest: Any
        ) -> Any:
            done = original(backend, resource_ids, *rest)
            fleet.amis.changed(resource_ids)
            return done


def _install_description(fleet: Fleet) -> None:
    @override(EC2Response)
    def modify_image_attribute(original: Any, response: EC2Response) -> Any:
        """Keep a new description, which moto ignores and Packer sets this way."""
        answer = original(response)
        given = response._get_param("Description")  # noqa: SLF001
        words = given.get("Value") if isinstance(given, dict) else given
        ami = response.ec2_backend.amis.get(response._get_param("ImageId"))  # noqa: SLF001
        if words and ami:
            ami.description = words
            fleet.amis.changed([ami.id])
        return answer


def _check_name(backend: EC2Backend, name: str) -> None:
    mine = (ami for ami in backend.amis.values() if ami.owner_id == backend.account_id)
    if any(ami.name == name for ami in mine):
        msg = f"AMI name {name} is already in use by another AMI"
        raise fault(msg, "InvalidAMIName.Duplicate")
