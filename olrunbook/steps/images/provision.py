"""Test an app's provisioning in a container of this machine, before anything is baked.

The kit starts the container itself, systemd as PID 1, and pyinfra targets it. A second
run shows what changes every time; then the container boots again and the service must
answer. Nothing but docker is needed: no account, no target.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from olrunbook.adapters import pyinfra
from olrunbook.adapters.context import Context
from olrunbook.adapters.docker import base_image
from olrunbook.adapters.docker.command import environment
from olrunbook.adapters.docker.container import LABEL, Box, container, sweep
from olrunbook.errors import StepError, ToolError
from olrunbook.events import Event, handed
from olrunbook.steps.images.results import (
    CheckSeen,
    ImageTestResult,
    Operation,
    TestedImage,
)
from olrunbook.steps.images.service import service_checks
from olrunbook.steps.images.watch import Watch, explain
from olrunbook.steps.images.workspace import (
    Workspace,
    artifacts_of,
    node_types,
    workspace,
)
from olrunbook.steps.results import Step
from olrunbook.targets import state_dir

NOT_TESTED = (
    "booting: a container uses this machine's kernel and has no disks of its own",
    "systemd's sandboxing of services: a container may not set it up",
    "access: pyinfra runs as root through docker, Packer as admin over SSH and sudo",
    "what an instance gets from its account: user data, role, Vault, Consul, DNS",
)
STAND_IN = "a stand-in, because it could not be fetched"
NO_SYSTEMD = "services: the base image has no systemd"


def image_test(ctx: Context, base: str = "", node_type: str = "") -> ImageTestResult:
    """Provision a container with the app's deploy, twice, and ask its service.

    It returns what was seen also when an operation failed: `require` says whether that
    is good. `base` is the image to start from, one that is on this machine; empty: the
    catalog's, else the kit's own base image.

    Raises:
        ToolError: docker, the base image or an artifact is not to be had.
        InterruptedRunError: It was interrupted; the container is removed.

    """
    nodes = node_types(ctx, node_type)
    place = workspace(ctx)
    artifacts = artifacts_of(ctx, place, ctx.app.image.variables)
    image = base or ctx.app.image.base
    image = image or base_image.ensure("base", project=ctx.project, emit=ctx.emit)
    checkout = state_dir(ctx.project.root).name
    for name in sweep(f"{LABEL}={checkout}"):
        ctx.emit(Event("docker", "warning", f"removed {name}, left by a killed test"))
    tests = [_test(ctx, place, image, node, checkout) for node in nodes]
    without = [] if all(test.systemd for test in tests) else [NO_SYSTEMD]
    stood = [one for one in artifacts if one.source == "stand-in"]
    return ImageTestResult(
        tests=tests,
        idempotent=ctx.app.image.idempotent,
        artifacts=artifacts,
        not_tested=[
            *without,
            *NOT_TESTED,
            *(f"{one.name} {one.version}: {STAND_IN}" for one in stood),
        ],
    )


def require(result: ImageTestResult) -> None:
    """Raise StepError if the test failed, with what failed and a hint where known."""
    if result.ok:
        return
    for test in result.tests:
        if failed := test.failed:
            output = "".join(f"\n  {row}" for row in failed.output[-12:])
            msg = f"{result.headline()}{output}"
            raise StepError(msg, test.hint)
        if not test.ok:
            raise StepError(result.headline(), test.hint)
    changed = ", ".join(name for test in result.tests for name in test.again)
    msg = f"a second run changed {changed}, but the catalog calls the deploy idempotent"
    raise StepError(msg, "Fix the deploy, or set `idempotent = false` in the catalog.")


def _test(
    ctx: Context, place: Workspace, image: str, node: str, checkout: str
) -> TestedImage:
    began = time.monotonic()
    name = f"olrunbook-test-{ctx.app_name}-{node}-{ctx.run_id[-12:]}"
    if len(ctx.app.node_types) > 1:
        emit = ctx.emit
        ctx = replace(ctx, emit=lambda event: emit(event.under(node)))
    with container(name, image, {LABEL: checkout}, ctx.sleep) as box:
        first, second = _deploy(ctx, place, box, node, "first"), Watch()
        if first.good:
            second = _deploy(ctx, place, box, node, "second")
        good = first.good and second.good
        checks, units = _services(ctx, box, node) if good and box.systemd else ([], [])
    return TestedImage(
        node_type=node,
        base=image,
        systemd=box.systemd,
        operations=first.operations(),
        again=[op.name for op in second.operations() if op.state == "changed"],
        repeated=good,
        checks=checks,
        services=units,
        error=_error(first)
        or (f"second run: {error}" if (error := _error(second)) else ""),
        hint="" if good else explain(second if first.good else first),
        seconds=round(time.monotonic() - began, 1),
        by_hand=_by_hand(ctx, box, node),
    )


def _deploy(ctx: Context, place: Workspace, box: Box, node: str, which: str) -> Watch:
    """Run the deploy once; the events go on as they come."""
    watch = Watch()
    if which != "first":
        ctx.emit(Event("pyinfra", "phase", f"{which} run"))
    variables = {key.upper(): value for key, value in ctx.app.image.variables.items()}
    call = ctx.tool("pyinfra", _environment(ctx))
    env = {**place.environment(call.env), **variables, "NODE_TYPE": node}
    names: list[str] = []

    def take(event: Event) -> None:
        watch.see(event)
        names.extend(event.data.get("operations", ()))
        ctx.emit(event)

    events = pyinfra.deploy(
        f"@docker/{box.name}",
        place.deploy,
        call=call._replace(env=env),
        log=ctx.logs / f"pyinfra-{node}-{which}.log",
        redactor=ctx.redactor,
        folder=place.folder(call.folder) if call.folder else None,
    )
    handed(events, take)
    for name in names:
        watch.seen.setdefault(name, Operation(name=name, state="not reached"))
    return watch


def _environment(ctx: Context) -> dict[str, str]:
    """Return what a deploy is given: as in a build, and where docker is.

    Its home is a private one: what it finds in the person's would be in no catalog.
    """
    own = {"HOME": str(ctx.work / "home")}
    if ctx.place:
        own = ctx.place.environment()
    Path(own["HOME"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    found = environment()
    found.setdefault("DOCKER_CONFIG", str(Path.home() / ".docker"))
    return {**found, **own}


def _error(watch: Watch) -> str:
    """Return what went wrong outside of an operation; empty: nothing."""
    if watch.failed():
        return ""
    if watch.errors:
        return watch.errors[0]
    return f"pyinfra ended with code {watch.code}" if watch.code else ""


def _services(ctx: Context, box: Box, node: str) -> tuple[list[CheckSeen], list[str]]:
    """Boot the container again, so that enabled services start, and ask them."""
    ctx.emit(Event("docker", "phase", "booting again: enabled units must start"))
    box.restart(ctx.sleep)
    answers = ctx.app.probe.node_type in ("", node)
    checks = service_checks(ctx, box) if answers else []
    units = box.failed_units()
    for unit in units:
        ctx.emit(Event("docker", "error", f"{unit} failed: {_why(box, unit)}"))
    return checks, units


def _why(box: Box, unit: str) -> str:
    try:
        return box.run("journalctl", "--unit", unit, "--lines", "1", "--output", "cat")
    except ToolError as error:
        return str(error)


def _by_hand(ctx: Context, box: Box, node: str) -> list[str]:
    deploy = Path(ctx.app.image.deploy)
    name = f"{ctx.app_name}-test"
    typed = ctx.tool("pyinfra", _environment(ctx)).typed("pyinfra")
    pyinfra_ = f"NODE_TYPE={node} {typed} -y @docker/{name} {deploy.name}"
    init = "/sbin/init" if box.systemd else "tail -f /dev/null"
    return [
        f"docker run -d --name {name} {' '.join(box.arguments)} {box.image} {init}",
        f"cd {deploy.parent} && {pyinfra_}",
        f"docker rm -f {name}",
    ]


STEP = Step("image_test", ImageTestResult, require, changes=True, kept=True)
