"""`olrunbook revoke SET`: no stage gets these images any more."""

from __future__ import annotations

import re
from functools import partial

import click

from olrunbook.cli.common import plain, project
from olrunbook.cli.gates import masked, worded
from olrunbook.errors import UsageError

PART = re.compile(r"(?:([A-Za-z][\w-]*)=)?(ami-[0-9a-f]{8,17})")


@click.command(
    epilog="""\b
Examples:
  olrunbook revoke server=ami-0df7e95b351bd8408 --reason "leaks memory, ticket 7"

\b
Exit codes: 0 revoked, 1 AWS did not do it, 2 usage, 4 refused."""
)
@click.argument("images", metavar="SET")
@click.option("--reason", default="", help="Why; the images' tag keeps it.")
@click.option(
    "--target", default="rehearsal", show_default=True, help="Whose images they are."
)
def revoke(images: str, *, reason: str, target: str) -> None:
    """Revoke the images of SET, `node_type=ami-…` or ids: no stage gets them any more.

    Each is tagged `revoked` with time, person and reason. Deploys of it are refused,
    look-ups of our stacks and rollbacks pass it over. What runs goes on running.
    """
    from olrunbook.record.provenance import operator, person  # noqa: PLC0415
    from olrunbook.steps.images.revoke import revoke as step  # noqa: PLC0415
    from olrunbook.targets import load_target  # noqa: PLC0415

    found, ids = project(), dict[str, str]()
    for part in re.split(r"[,\s]+", images.strip()):
        if not (fits := PART.fullmatch(part)):
            msg = f"{part!r} is not of the form node_type=ami-0123456789abcdef0"
            raise UsageError(msg)
        ids[fits[2]] = fits[1] or ""
    reason = worded(reason)
    place = partial(load_target, target, found)
    who = masked(found, person(operator(found.root)), target)
    for line in step(found.catalog, place, ids, masked(found, reason, target), who):
        click.echo(plain(line))
