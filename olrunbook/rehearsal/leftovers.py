"""What a cloud leaves on the machine, found by label, and its removal."""

from __future__ import annotations

import contextlib
import json
import shutil

from pydantic import BaseModel

from olrunbook.adapters.docker.command import docker
from olrunbook.errors import ToolError
from olrunbook.rehearsal.machines.amis import read_records
from olrunbook.rehearsal.places import BLOCK_LABEL, LABEL, Places


class Removed(BaseModel, frozen=True, extra="forbid"):
    """What was taken away."""

    process: int = 0  # id of the background process that was ended; 0: there was none
    containers: list[str] = []  # names of containers
    images: list[str] = []  # AMI images
    kept_images: list[str] = []  # AMI images that stay

    def __str__(self) -> str:
        """Return one line for a person."""
        return f"The rehearsal is down: {self.headline()}."

    def headline(self) -> str:
        """Return what was taken away, in a few words."""
        parts = []
        if self.process:
            parts.append(f"process {self.process} ended")
        if self.containers:
            parts.append(f"{len(self.containers)} containers removed")
        if self.images:
            parts.append(f"{len(self.images)} AMI images removed")
        if self.kept_images:
            parts.append(f"{len(self.kept_images)} AMI images kept for the next time")
        return ", ".join(parts) or "nothing to take down"


def containers(places: Places) -> list[str]:
    """Return the names of this cloud's containers.

    Raises:
        ToolError: docker cannot be asked.

    """
    return _of_containers(places.label, "{{.Names}}").split()


def ami_images(places: Places) -> list[str]:
    """Return the names of this cloud's AMI images.

    Raises:
        ToolError: docker cannot be asked.

    """
    reference = f"reference={places.ami_repository}"
    form = "{{.Repository}}:{{.Tag}}"
    return docker("images", "--filter", reference, "--format", form).split()


def foreign_blocks(places: Places) -> set[int]:
    """Return the blocks on which containers of other checkouts are published.

    Their process may be gone (so its socket is free) while their ports are held.
    """
    blocks = set()
    for line in _of_containers(LABEL, "{{json .Labels}}").splitlines():
        pairs = (pair.partition("=") for pair in json.loads(line).split(","))
        labels = {key: value for key, _, value in pairs}
        if (
            labels.get(LABEL) != places.checkout
            and labels.get(BLOCK_LABEL, "").isdigit()
        ):
            blocks.add(int(labels[BLOCK_LABEL]))
    return blocks


def _of_containers(label: str, form: str) -> str:
    return docker("ps", "--all", "--filter", f"label={label}", "--format", form)


def remove_all(places: Places, *, images: bool) -> Removed:
    """Remove containers and files; the AMIs outlive the cloud but where `images`."""
    names: list[str] = []
    gone: list[str] = []
    kept: list[str] = []
    with contextlib.suppress(ToolError):  # without docker nothing of ours is in it
        if names := containers(places):
            docker("rm", "--force", "--volumes", *names)
        found = ami_images(places)
        records = read_records(places.amis_file)
        readable, known = records is not None, {one.image for one in records or []}
        # An image without its record is nobody's AMI: its state was taken away.
        gone = [image for image in found if images or (readable and image not in known)]
        kept = [image for image in found if image not in gone]
        if gone:
            # By name: removing by id would take every other name of the image, too.
            docker("rmi", *gone)
    if places.root.exists():
        for entry in places.root.iterdir():
            if entry == places.amis_file and not images:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the kept AMIs are in it
            places.root.rmdir()
            places.root.parent.rmdir()
    return Removed(containers=names, images=gone, kept_images=kept)
