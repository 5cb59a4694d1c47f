"""Revoke images: no stage gets them any more. The tag of the image is the record."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from olrunbook.adapters.aws.answers import asked
from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.aws.seen import REVOKED
from olrunbook.errors import OlrunbookError, RefusedError, UsageError
from olrunbook.project.catalog import App, Catalog
from olrunbook.targets import Target, onto

LONGEST = 256  # characters of a tag's value


def revoke(
    catalog: Catalog,
    place: Callable[[str], Target],
    images: Mapping[str, str],
    reason: str,
    who: str,
) -> list[str]:
    """Tag images as revoked; return what was done and who serves them, a line each.

    `place` returns the target as it is used for a stage (empty: for builds). `images`
    are their ids, each with the node type it was given as (empty: with none).

    Raises:
        UsageError: The reason does not fit into a tag.
        RefusedError: The identity is not the target's; an image is not there, is of no
            app of the catalog, or all are revoked already. Nothing was changed.
        ToolError: The account does not answer.

    """
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"at {at} by {who}: {reason}"
    if (over := len(text) - LONGEST) > 0:
        msg = f"--reason has {len(reason)} characters; {len(reason) - over} fit the tag"
        raise UsageError(msg, "Say it shorter; nothing was changed.")
    target = place("")
    account = Account(target)
    if wrong := account.wrong_identity():
        raise RefusedError(wrong, "Credentials of another account are in use.")
    seen = account.images(list(images))
    for image in seen.values():
        if not image.state:
            msg = f"{image.id} does not exist"
            raise RefusedError(msg)
        node = images[image.id]
        if not list(_apps(catalog, image.name, node)):
            what = f"no {node} of an app" if node else "of no app"
            msg = f"{image.id} is {image.name}, {what} in the catalog"
            raise RefusedError(msg)
    new = [image for image in seen.values() if not image.revoked]
    if not new:
        msg = "; ".join(f"{one.id} was revoked {one.revoked}" for one in seen.values())
        raise RefusedError(msg, "There is nothing more to do.")
    with asked("to tag the images"):
        target.client("ec2").create_tags(
            Resources=[image.id for image in new],
            Tags=[{"Key": REVOKED, "Value": text}],
        )
    lines = [f"Revoked {image.id}, {image.name}: {text}" for image in new]
    of = {name: app for image in new for name, app in _apps(catalog, image.name)}
    for name, app in of.items():
        lines += _served(place, catalog, name, app, {image.id for image in new})
    return lines


def _apps(catalog: Catalog, image: str, of: str = "") -> Iterator[tuple[str, App]]:
    """Yield the apps that an image is of, by its name; perhaps of one node type."""
    for name, app in catalog.apps.items():
        nodes = [node for node in app.node_types if of in ("", node)]
        patterns = (app.image.name.format(node_type=node) for node in nodes)
        if any(fnmatch.fnmatchcase(image, pattern) for pattern in patterns):
            yield name, app


def _served(
    place: Callable[[str], Target], catalog: Catalog, name: str, app: App, ids: set[str]
) -> Iterator[str]:
    """Yield the stages that run some of these images, with the way back."""
    for stage in catalog.stages_of(name) if app.stack else ():
        try:
            target = place(stage)
            groups = Account(target).groups(app, stage)
        except OlrunbookError as error:  # the images are revoked nevertheless
            yield f"{name} {stage}: not known what it runs: {error}"
            continue
        runs = ids & {one.image for group in groups for one in group.instances}
        if runs:
            text = f"{stage} runs {', '.join(sorted(runs))}"
            where = f"{name} {stage}{onto(target.name)}"
            yield f"{text}: olrunbook rollback {where}"
