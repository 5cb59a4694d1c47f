"""An image set, `{node type: AMI id}`: what travels from the build to every stage."""

from __future__ import annotations

import re

from olrunbook.errors import UsageError

LAST_GOOD = "last-good"  # instead of a set: the newest one that served well before

_PART = re.compile(r"([A-Za-z][\w-]*)=(ami-[0-9a-f]{8,17})")


def parse_images(text: str, node_types: list[str]) -> dict[str, str]:
    """Return the image set a text like `web=ami-…,worker=ami-…` names.

    Several images are separated by commas or blanks; each of the app's node types must
    be named exactly once.

    Raises:
        UsageError: A part is not `node_type=ami-…`, or the node types do not agree.

    """
    images: dict[str, str] = {}
    for part in re.split(r"[,\s]+", text.strip()):
        found = _PART.fullmatch(part)
        if not found:
            msg = f"images: {part!r} is not of the form node_type=ami-0123456789abcdef0"
            raise UsageError(msg)
        node, ami = found.groups()
        if node in images:
            msg = f"images: {node!r} is named twice"
            raise UsageError(msg)
        images[node] = ami
    if set(images) != set(node_types):
        msg = f"images name {sorted(images)}, the app has {sorted(node_types)}"
        raise UsageError(msg)
    return {node: images[node] for node in node_types}


def format_images(images: dict[str, str]) -> str:
    """Return the text `parse_images` reads."""
    return ",".join(f"{node}={ami}" for node, ami in images.items())
