"""The head of a run: who, where, what, which images, what serves now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from olrunbook.adapters.context import Commit, Context
from olrunbook.display.view import View, table
from olrunbook.project.imageset import format_images
from olrunbook.record.provenance import operator
from olrunbook.steps.serving import serving_now
from olrunbook.targets import Target

BANNER = "REHEARSAL: nothing outside this machine is touched"
COMMIT = 12
FILES_NAMED = 5


def header_view(
    context: Context,
    *,
    notebook: str,
    images: Mapping[str, str],
    images_from: str,
    folder: Path,
    headless: bool,
    warning: str = "",
    rollback: str = "",
) -> View:
    """Return the head of a run.

    `images_from` says where the image set comes from, `warning` what the reader must
    know about secrets, `rollback` what it goes back to, and from what.
    """
    place = context.place
    # The record's page lists those of the cloud, once.
    cloud = f"{len(place.stand_ins)} in this cloud: see the record" if place else ""
    stand_ins = [cloud if place and place.stand_ins else "", *context.app.stand_ins]
    rows = [
        ("run", context.run_id + ("" if headless else ", interactive")),
        ("who", _who(context)),
        ("where", _where(context)),
        ("identity", _identity(place)),
        ("from", _from(context.commit)),
        ("images", f"{format_images(dict(images))} ({images_from})" if images else ""),
        ("rollback", rollback),
        ("serves now", serving_now(context) if place and context.stage else ""),
        ("record", str(folder)),
        ("secrets", warning),
        ("stand-ins", "\n".join(filter(None, stand_ins))),
    ]
    return View(
        " · ".join(filter(None, (notebook, context.app_name, context.stage))),
        banner=_banner(place),
        alarm=place is not None and place.kind == "aws",
        tables=[table("", ("", ""), [row for row in rows if row[1]])],
    )


def _banner(place: Target | None) -> str:
    if place is None or place.kind == "rehearsal":
        return BANNER if place else ""
    return f"AWS ACCOUNT {_account(place)}, {place.region}: what is done here is real"


def _identity(place: Target | None) -> str:
    if place and any(sign in place.identity_arn for sign in "*?["):
        return f"not known yet; wanted {place.identity_arn}"
    return place.identity_arn if place else ""


def _account(place: Target) -> str:
    return f"{place.account} ({place.alias})" if place.alias else place.account


def _who(context: Context) -> str:
    known = operator(context.project.root)
    return ", ".join(f"{fact.value} ({fact.source})" for fact in known.values())


def _where(context: Context) -> str:
    place = context.place
    if place is None:
        return "a container on this machine"
    cloud = f", cloud {place.cloud_id}" if place.kind == "rehearsal" else ""
    return f"{place.name}, account {_account(place)}, {place.region}{cloud}"


def _from(commit: Commit) -> str:
    if not commit.sha and not commit.dirty:
        return "no git checkout"
    head = f"commit {commit.sha[:COMMIT]}" if commit.sha else "no git checkout"
    return f"{head}, {commit.difference(FILES_NAMED)}"
