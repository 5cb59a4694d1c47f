"""Which image an AMI is, and the AMIs that outlive the process, with their tags."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

from olrunbook.record.files import write_atomic
from olrunbook.rehearsal.signals import log

if TYPE_CHECKING:
    from moto.ec2.models import EC2Backend
    from moto.ec2.models.amis import Ami

    from olrunbook.rehearsal.machines.machine import Hardware

AMI_LABEL = "olrunbook.ami"


class AmiRecord(BaseModel, frozen=True, extra="forbid"):
    """One AMI as it is kept."""

    id: str  # AMI id
    name: str
    description: str = ""  # its description
    created: datetime  # when it was made (UTC)
    image: str = ""  # the container image behind it; empty: it is only a record
    root_device: str = "/dev/xvda"  # name of its root device
    tags: dict[str, str] = {}  # its tags as they are now
    snapshot_tags: dict[str, str] = {}  # tags of the snapshot behind it


_ROWS = TypeAdapter(list[AmiRecord])


def read_records(file: Path) -> list[AmiRecord] | None:
    """Return the AMIs kept in a file; None where it cannot be read."""
    try:
        return _ROWS.validate_json(file.read_bytes())
    except FileNotFoundError:
        return []
    except ValueError as error:
        log("the kept AMIs cannot be read:", type(error).__name__)
        return None


class AmiStore:
    """Knows the image of every AMI and keeps those that were made here.

    Args:
        file: Where they are kept.
        repository: Name of their images, without the tag.
        hardware: Has the images.

    """

    def __init__(self, file: Path, repository: str, hardware: Hardware) -> None:
        self._file, self._repository, self._hardware = file, repository, hardware
        self._images: dict[str, str] = {}  # where it is not the usual name
        self._kept: dict[str, Ami] = {}
        self._others: list[AmiRecord] = []  # of the other mode: kept, not used
        self._doomed: set[str] = set()
        self._lock = threading.Lock()

    def image_of(self, ami_id: str) -> str:
        """Return the container image behind an AMI."""
        return self._images.get(ami_id) or f"{self._repository}:{ami_id}"

    def add_base(
        self,
        backend: EC2Backend,
        *,
        name: str,
        owner: str,
        image: str,
        created: datetime,
    ) -> Ami:
        """Add a public AMI of another owner that a container image stands for."""
        # The same name has the same id in every incarnation: templates may name it.
        ami_id = "ami-0" + hashlib.sha256(f"{owner}/{name}".encode()).hexdigest()[:16]
        ami = _make(
            backend,
            ami_id,
            name=name,
            description=f"{name} (rehearsal)",
            owner_id=owner,
            public=True,
            creation_date=created,
            image_location=f"{owner}/{name}",
        )
        self._images[ami_id] = image
        return ami

    def kept(self) -> list[Ami]:
        """Return the AMIs that were made here, oldest first."""
        with self._lock:
            return list(self._kept.values())

    def remember(self, ami: Ami) -> None:
        """Keep an AMI from now on."""
        with self._lock:
            self._kept[ami.id] = ami
        self.save()

    def changed(self, resource_ids: list[str]) -> None:
        """Write the file again if a kept AMI or its snapshot is among these."""
        with self._lock:
            ids = {
                i for ami in self._kept.values() for i in (ami.id, ami.ebs_snapshot.id)
            }
        if ids & set(resource_ids):
            self.save()

    def forget(self, ami_id: str) -> None:
        """Drop a deregistered AMI; its image goes as soon as nothing uses it."""
        with self._lock:
            known = self._kept.pop(ami_id, None) is not None
            if known and self._hardware.containers:
                self._doomed.add(self.image_of(ami_id))
        if known:
            self.save()
        self.sweep()

    def doom_all(self) -> None:
        """Let `sweep` remove the images of all AMIs that were made here."""
        if self._hardware.containers:
            self._doomed |= {self.image_of(ami.id) for ami in self.kept()}

    def sweep(self) -> None:
        """Remove the images of deregistered AMIs that nothing uses any more."""
        for image in list(self._doomed):
            if self._hardware.discard(image):
                self._doomed.discard(image)

    def save(self) -> None:
        """Write the file whole, or leave it as it was."""
        with self._lock:
            records = [self._record(ami) for ami in self._kept.values()]
            rows = _ROWS.dump_json([*self._others, *records], indent=1)
            write_atomic(self._file, rows, 0o600)

    def restore(self, backend: EC2Backend) -> None:
        """Make AMIs of what an earlier incarnation kept."""
        for record in read_records(self._file) or []:
            if bool(record.image) != self._hardware.containers:
                self._others.append(record)
                continue
            if not self._hardware.has(record.image or record.id):
                continue
            ami = _make(
                backend,
                record.id,
                name=record.name,
                description=record.description,
                creation_date=record.created,
                root_device_name=record.root_device,
            )
            if record.image:
                self._images[ami.id] = record.image
            ami.add_tags(record.tags)
            ami.ebs_snapshot.add_tags(record.snapshot_tags)
            self._kept[ami.id] = ami

    def _record(self, ami: Ami) -> AmiRecord:
        return AmiRecord(
            id=ami.id,
            name=ami.name or "",
            description=ami.description or "",
            created=_aware(ami.creation_date),
            image=self.image_of(ami.id) if self._hardware.containers else "",
            root_device=ami.root_device_name,
            tags=_tags(ami, ami.id),
            snapshot_tags=_tags(ami, ami.ebs_snapshot.id),
        )


def _make(backend: EC2Backend, ami_id: str, **given: Any) -> Ami:
    from moto.ec2.models.amis import Ami  # noqa: PLC0415  (only in the daemon)

    usual = {"root_device_type": "ebs", "root_device_name": "/dev/xvda"}
    usual |= {
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "hypervisor": "xen",
    }
    ami = backend.amis[ami_id] = Ami(backend, ami_id, **usual | given)
    return ami


def _tags(ami: Ami, resource_id: str) -> dict[str, str]:
    return dict(ami.ec2_backend.tags.get(resource_id, {}))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
