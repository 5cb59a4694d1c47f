"""The image that instances are made of."""

from __future__ import annotations

from pulumi_aws import ec2

__all__ = ["find_image"]

REVOKED = "revoked"  # the tag of an image that no stage may get any more


def find_image(
    name: str, owner: str, pinned: str | None = None, **filters: str
) -> ec2.GetAmiResult:
    """Return the image that is pinned, else the newest own one that is not revoked.

    Args:
        name: Pattern of the names.
        owner: The account that owns it, or `self`.
        pinned: Id of the image; None: the newest one.
        filters: More filters, with `_` for `-`: `virtualization_type="hvm"`.

    Raises:
        LookupError: Every image of the name is revoked, or there is none.

    """
    wanted = {"name": name, **{key.replace("_", "-"): v for key, v in filters.items()}}
    if pinned:
        return _image(owner, {**wanted, "image-id": pinned})
    listed = [
        ec2.GetAmiIdsFilterArgs(name=key, values=[value])
        for key, value in wanted.items()
    ]
    for found in ec2.get_ami_ids(owners=[owner], filters=listed).ids:
        image = _image(owner, {"image-id": found})
        if REVOKED not in image.tags:
            return image
    msg = f"no image of {owner} is named {name} and not revoked"
    raise LookupError(msg)


def _image(owner: str, filters: dict[str, str]) -> ec2.GetAmiResult:
    return ec2.get_ami(
        owners=[owner],
        most_recent=True,
        filters=[
            ec2.GetAmiFilterArgs(name=key, values=[value])
            for key, value in filters.items()
        ],
    )
