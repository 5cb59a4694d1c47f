"""Look at a checkout's cloud from outside; nothing is changed."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from olrunbook.errors import ToolError
from olrunbook.rehearsal.api.headers import KEY_HEADER, OWN_PREFIX
from olrunbook.rehearsal.leftovers import ami_images, containers
from olrunbook.rehearsal.places import Places
from olrunbook.rehearsal.record import DaemonRecord, read_record
from olrunbook.rehearsal.settings import Settings
from olrunbook.rehearsal.survey import Survey
from olrunbook.rehearsal.target_file import read_target
from olrunbook.targets import Target

SURVEY_S = 10
OUTLIVES = (
    "AMIs and their tags outlive the process; "
    "instances, stacks, secrets and everything else end with it"
)


class Status(BaseModel, frozen=True, extra="forbid"):
    """What is up."""

    up: bool  # whether the cloud serves
    cloud_id: str = ""  # id of this incarnation; empty: it is not up
    endpoint: str = ""  # URL of the AWS API
    pid: int = 0  # its background process
    since: datetime | None = None  # when it was started (UTC)
    settings: Settings | None = None  # how it behaves
    survey: Survey | None = None  # what lives in it
    stand_ins: list[str] = []  # what is not the real service
    # what an earlier one left, by name; the next up or down removes it
    leftovers: list[str] = []
    kept_images: list[str] = []  # images of AMIs that outlive it
    notes: list[str] = []  # what a reader should know

    def __str__(self) -> str:
        """Return it as lines for a person; the first says whether it is up."""
        return "\n".join(_up_lines(self) if self.up else _down_lines(self))


def status(project_root: Path, *, docker: bool = True) -> Status:
    """Look at the checkout's cloud; nothing is changed.

    With `docker` also at what an earlier one left there, and at kept images.
    """
    places = Places.of(project_root)
    record, target = read_record(places.daemon_file), read_target(places.target_file)
    process = record.process() if record else None
    try:
        mine, kept = (containers(places), ami_images(places)) if docker else ([], [])
    except ToolError:
        mine, kept = [], []
    if record is None or process is None or target is None:
        left = [*mine, *([f"process {process.pid}"] if process else [])]
        return Status(up=False, leftovers=left, kept_images=kept)
    survey = survey_of(record, target)
    notes = [*record.settings.describe(), OUTLIVES]
    if survey is None:
        notes.append("it does not answer; reset it: olrunbook rehearsal reset")
    return Status(
        up=survey is not None,
        cloud_id=record.cloud_id,
        endpoint=record.endpoint,
        pid=record.pid,
        since=record.started_at,
        settings=record.settings,
        survey=survey,
        stand_ins=target.stand_ins,
        kept_images=kept,
        notes=notes,
    )


def survey_of(record: DaemonRecord, target: Target) -> Survey | None:
    """Return what lives in a cloud; None: it does not answer who has its keys."""
    request = urllib.request.Request(  # noqa: S310  (our own endpoint)
        f"{record.endpoint}{OWN_PREFIX}status",
        headers={KEY_HEADER: target.access_key.get_secret_value()},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SURVEY_S) as answer:
            return Survey.model_validate_json(answer.read())
    except (OSError, ValueError):
        return None


def _up_lines(found: Status) -> Iterator[str]:
    since = f"{found.since:%Y-%m-%d %H:%M:%S} UTC" if found.since else "?"
    yield f"The rehearsal is up: {found.endpoint}, cloud {found.cloud_id}"
    memory = f", {found.survey.memory_mib} MiB" if found.survey else ""
    yield f"  process    {found.pid}, since {since}{memory}"
    for what, rows in _tables(found.survey):
        yield from _labelled(what, rows)
    for what, lines in (("behaviour", found.notes), ("stand-ins", found.stand_ins)):
        yield from _labelled(what, lines)
    yield "  stop it    olrunbook rehearsal down"


def _labelled(what: str, rows: list[str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f"  {'' if number else what:<10} {row}"


def _down_lines(found: Status) -> Iterator[str]:
    if found.pid:
        yield f"The rehearsal does not answer: process {found.pid}, {found.endpoint}"
    else:
        yield "The rehearsal is not up."
    if found.leftovers:
        yield f"  left by an earlier rehearsal: {', '.join(found.leftovers)}"
        yield "  (the next `olrunbook rehearsal up` or `down` removes it)"
    if found.kept_images:
        yield f"  {len(found.kept_images)} AMI images are kept for the next time"
        yield "  (`olrunbook rehearsal down --images` removes them)"
    yield "  start it: olrunbook rehearsal up"


def _tables(survey: Survey | None) -> Iterator[tuple[str, list[str]]]:
    if survey is None:
        return
    yield (
        "groups",
        [
            f"{group.name}  {group.in_service} of {group.desired} in service"
            + (f", refresh {group.refresh}" if group.refresh else "")
            for group in survey.groups
        ],
    )
    yield (
        "instances",
        [
            f"{one.id}  {one.state:<13} {one.ami}  {one.address}  {one.group}".rstrip()
            for one in survey.instances
        ],
    )
    yield (
        "balancers",
        [
            f"{one.name}  {one.address}  ports {one.ports or 'none'}"
            for one in survey.balancers
        ],
    )
    yield "AMIs", [f"{one.id}  {one.name}  {one.state}" for one in survey.amis]
