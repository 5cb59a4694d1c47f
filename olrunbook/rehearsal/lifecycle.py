"""Start, find, look at and end a checkout's cloud: what the command line calls."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from olrunbook.adapters.docker import base_image
from olrunbook.adapters.docker.command import docker
from olrunbook.errors import ToolError, UsageError
from olrunbook.events import Event
from olrunbook.project.catalog import Project, find_project
from olrunbook.project.where import CATALOG, shipped
from olrunbook.rehearsal import preflight, providers
from olrunbook.rehearsal.api.identity_name import new_key, rehearsal_identity
from olrunbook.rehearsal.launching import end_daemon, launch
from olrunbook.rehearsal.leftovers import Removed, foreign_blocks, remove_all
from olrunbook.rehearsal.leftovers import containers as containers_of
from olrunbook.rehearsal.locking import hold
from olrunbook.rehearsal.order import Order
from olrunbook.rehearsal.places import Places, candidate_blocks
from olrunbook.rehearsal.record import read_record
from olrunbook.rehearsal.settings import Settings
from olrunbook.rehearsal.status import Status, status, survey_of
from olrunbook.rehearsal.target_file import (
    check_identity,
    make_target,
    read_target,
    write_target,
)
from olrunbook.targets import Target

__all__ = ["Status", "down", "status", "up"]

Emit = Callable[[Event], None]


def up(
    project_root: Path,
    *,
    containers: bool = True,
    aws_order: bool = False,
    settings: Settings | None = None,
    emit: Emit = lambda event: None,
) -> Target:
    """Return the checkout's cloud, and start it first where it is not up.

    Args:
        project_root: The project in use.
        containers: Instances are containers; False: only records, for fast tests.
        aws_order: An instance is InService before its health check counts, as on AWS.
        settings: All settings; the two flags then count for nothing.
        emit: Where progress goes.

    Raises:
        OlrunbookError: It cannot be started; the hint says what can be done.
        UsageError: It is up, with other settings.

    """
    wanted = settings or Settings(
        containers=containers,
        aws_order=aws_order,
        bridge=containers and bool(os.environ.get(preflight.BRIDGE_VARIABLE)),
    )
    preflight.check_platform()
    places = Places.of(project_root)
    waits = partial(_say, emit, "another command is starting or ending it")
    with hold(places.lock_file, looks=True, waiting=waits):
        if found := _running(places, wanted):
            return found
    with hold(places.lock_file, waiting=waits):
        if found := _running(places, wanted):  # somebody started it meanwhile
            return found
        return _start(places, project_root, wanted, emit)


def down(
    project_root: Path, *, images: bool = False, emit: Emit = lambda event: None
) -> Removed:
    """Take the checkout's cloud down: process, containers, addresses, keys, files.

    With `images` also the AMIs, which otherwise stay for the next time.
    """
    places = Places.of(project_root)
    if not places.root.exists() and not images and not places.root.parent.exists():
        return remove_all(places, images=False)  # by label, whatever the folder says
    with hold(
        places.lock_file, waiting=lambda: _say(emit, "another command is at work on it")
    ):
        removed = _take_down(places, images=images, emit=emit)
    with suppress(OSError):  # others' rehearsals are in it
        places.root.parent.rmdir()
    return removed


# -- parts of up and down ------------------------------------------------------


def _running(places: Places, wanted: Settings) -> Target | None:
    """Return the target of a cloud that is up and answers."""
    record, target = read_record(places.daemon_file), read_target(places.target_file)
    if record is None or record.process() is None or target is None:
        return None
    if target.cloud_id != record.cloud_id:
        return None
    if record.settings != wanted:
        has, wants = "; ".join(record.settings.describe()), "; ".join(wanted.describe())
        msg = f"the rehearsal is up with other settings: {has}; wanted: {wants}"
        raise UsageError(msg, "Stop it first: olrunbook rehearsal down")
    return target if survey_of(record, target) else None


def _start(places: Places, project_root: Path, wanted: Settings, emit: Emit) -> Target:
    began = time.monotonic()
    if wanted.containers:
        preflight.check_docker()
        preflight.check_ports(bridge=wanted.bridge)
    preflight.check_disk(places.root)
    left = _take_down(places, images=False, emit=emit)
    if left.process or left.containers:
        _say(emit, f"cleaned up after an earlier rehearsal: {left.headline()}")
    images, taken = dict[str, Any](), set[int]()
    if wanted.containers:
        project = _project(project_root)
        base = base_image.ensure("base", project=project, emit=emit)
        created = docker("image", "inspect", "--format", "{{.Created}}", base)
        balancer = base_image.ensure("balancer", project=project, emit=emit)
        images = {"base": base, "base_created": created, "balancer": balancer}
        taken = foreign_blocks(places)
    access_key, secret_key = new_key("AKIA")
    order = Order(
        cloud_id=f"cloud-{secrets.token_hex(6)}",
        settings=wanted,
        identity_arn=rehearsal_identity(),
        access_key=access_key,
        vault_token=f"hvs.{secrets.token_urlsafe(18)}",
        consul_token=secrets.token_hex(16),
        **images,
    )
    places.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    places.root.chmod(0o700)
    _say(emit, "starting the AWS API, Vault and Consul stand-ins")
    blocks = [block for block in candidate_blocks(project_root) if block not in taken]
    try:
        record = launch(places, order, blocks)
        environment = providers.install(places.pulumi_home, places.providers_socket)
        target = make_target(places, order, record, secret_key, environment)
        write_target(places, target)
        check_identity(target)
    except BaseException:
        _take_down(places, images=False, emit=emit)
        raise
    took = time.monotonic() - began
    text = f"ready in {took:.1f} s: {record.endpoint}"
    data = {
        "endpoint": record.endpoint,
        "cloud_id": order.cloud_id,
        "seconds": round(took, 1),
    }
    emit(Event("rehearsal", "end", text, data))
    return target


def _take_down(places: Places, *, images: bool, emit: Emit) -> Removed:
    record = read_record(places.daemon_file)
    if record is None or record.process() is None:
        return remove_all(places, images=images)
    _say(emit, f"ending process {record.pid} and what it runs")
    before = list[str]()
    with suppress(ToolError):
        before = containers_of(places)
    ended = record.pid if end_daemon(record) else 0
    rest = remove_all(places, images=images)
    names = sorted({*before, *rest.containers})
    return rest.model_copy(update={"process": ended, "containers": names})


def _project(root: Path) -> Project:
    """Return the project at a folder; its catalog may be the shipped one."""
    if (root / CATALOG).is_file():
        return find_project(root)
    return Project(root.absolute(), shipped() / CATALOG)


def _say(emit: Emit, text: str) -> None:
    emit(Event("rehearsal", "progress", text))
