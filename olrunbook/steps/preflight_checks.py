"""The checks of a preflight, by name. Each looks and changes nothing."""

from __future__ import annotations

import fnmatch
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from olrunbook.adapters.aws.reads import Account, images_exist, require_identity
from olrunbook.adapters.aws.seen import short
from olrunbook.adapters.before import run_before
from olrunbook.adapters.context import Context
from olrunbook.adapters.docker.command import docker
from olrunbook.adapters.pulumi.settings import OURS, led_elsewhere, stack_spec
from olrunbook.adapters.pulumi.stack import by_hand
from olrunbook.adapters.tool_version import provider_versions, tool_version
from olrunbook.errors import OlrunbookError, RefusedError
from olrunbook.processes.system import NOT_DONE, is_linux, since
from olrunbook.project.stack import BY_NAME, called
from olrunbook.project.tools import ToolName
from olrunbook.project.versions import VERSIONS, parse
from olrunbook.record.files import short as short_run
from olrunbook.steps.asked import Asked, Seen, Status
from olrunbook.steps.board import last_change
from olrunbook.steps.deploy.rules import left_behind
from olrunbook.steps.lock import holder
from olrunbook.steps.order import require_stage_before

FREE_GB = 3.0
GB = 1e9
FILES_NAMED = 3
HOLDER = re.compile(r"@(\S+) \(pid (\d+)\)")  # of a stack's lock


def _target(asked: Asked) -> Seen:
    target = asked.ctx.target
    wanted = "it answers, and as its own identity"
    try:
        require_identity(asked.ctx)
    except OlrunbookError as error:
        again = "Reset it: olrunbook rehearsal reset"
        hint = error.hint or (again if target.kind == "rehearsal" else target.renew)
        return Seen("failed", str(error), wanted, hint)
    cloud = f"cloud {target.cloud_id}"
    if target.kind == "aws":
        cloud = f"account {target.account}, {target.region}"
    found = f"{target.name}, {cloud}, as {target.identified().identity_arn}"
    return Seen("ok", found, wanted)


def _tool(name: ToolName) -> Callable[[Asked], Seen]:
    wanted = VERSIONS[name].wanted

    def check(asked: Asked) -> Seen:
        place = asked.ctx.place
        if place is None:  # its PATH is the one that runs use
            text = "not looked for: the target says where"
            return Seen("warning", text, wanted, "olrunbook tools")
        call = asked.ctx.tool(name)
        # A deploy runs in their Python, whatever command is on the PATH
        prefix = (*call.python, "-P", "-m") if name == "pyinfra" else call.prefix
        found = tool_version(name, call.env, prefix, call.root)
        hint = "olrunbook tools shows where each tool comes from."
        if not found.path and place.kind == "aws" and not (call.prefix or place.path):
            text = "not on the PATH; the first run on this target finds or builds it"
            return Seen("warning", text, wanted, "olrunbook tools")
        if call.prefix:
            hint = f"tools.{name} in the catalog: `prefix` is what it is called by."
        if not found.path:
            missing = f"{call.prefix[0]}: not found" if call.prefix else "not found"
            return Seen("failed", missing, wanted, hint)
        text = f"{found.version or 'version unknown'}, {found.path}"
        return _fits(name, found.version, text, hint)

    return check


def _before(*names: ToolName) -> Callable[[Asked], Seen]:
    def check(asked: Asked) -> Seen:
        ctx = asked.ctx
        wanted = "each ends with 0, and its output holds what it must"
        tools = ctx.app.tools.over(ctx.project.catalog.tools)
        calls = [(names[0], one) for one in ctx.app.before]
        calls += [(name, one) for name in names for one in tools.of(name).before]
        for name, one in calls:
            ran = (name, *one.run, one.holds)
            if ran not in asked.ran:
                asked.ran[ran] = run_before(ctx, name, one)
            if wrong := asked.ran[ran]:
                text = f"{shlex.join(one.run)} {wrong}"
                hint = "Run it by hand; what it says is secret."
                return Seen("failed", text, wanted, hint)
        said = f"{len(calls)} ended well" if calls else "none in the catalog"
        return Seen("ok", said, wanted)

    return check


def _docker(_: Asked) -> Seen:
    version = docker("version", "--format", "{{.Server.Version}}", timeout_s=30)
    hint = "Debian's docker.io will do, and so will Docker's own packages."
    return _fits("docker", version, f"engine {version} answers", hint)


def _python(_: Asked) -> Seen:
    version = platform.python_version()
    found = f"{version}, {sys.executable}, {platform.system()} {platform.machine()}"
    seen = _fits("python", version, found, "Install a newer Python, then: make setup")
    if is_linux() or seen.status == "failed":
        return seen
    found += f". Not done on this system: {'; '.join(NOT_DONE)}"
    return Seen("warning", found, seen.wanted, "docs/machines.md says more.")


def _fits(name: str, version: str, found: str, hint: str) -> Seen:
    versions = VERSIONS[name]
    status: Status = "ok" if versions.fit(version) else "failed"
    return Seen(status, found, versions.wanted, "" if status == "ok" else hint)


def _disk(asked: Asked) -> Seen:
    """Look where docker keeps its images; elsewhere than here it cannot be seen."""
    root = Path(docker("info", "--format", "{{.DockerRootDir}}", timeout_s=30))
    place = root if os.access(root, os.X_OK) else asked.ctx.work
    free = shutil.disk_usage(place).free / GB
    wanted, found = f">= {FREE_GB:g} GB", f"{free:.1f} GB free in {place}"
    hint = "`docker system df` shows what docker holds."
    return Seen("ok" if free >= FREE_GB else "failed", found, wanted, hint)


def _file(pick: Callable[[Context], str]) -> Callable[[Asked], Seen]:
    def check(asked: Asked) -> Seen:
        relative = pick(asked.ctx)
        path = asked.ctx.project.path(relative)
        here = path.is_relative_to(asked.ctx.project.root)
        found = relative if here else f"{relative}, as shipped"
        return Seen("ok", found, "a file of the project or shipped")

    return check


def _stack(asked: Asked) -> Seen:
    spec = stack_spec(asked.ctx)
    folder, name = asked.ctx.project.path(spec.path), spec.stack_name(asked.ctx.stage)
    files = spec.files(asked.ctx.stage)
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        text = f"{spec.path} lacks {', '.join(missing)}"
        return Seen("failed", text, ", ".join(files))
    if wrong := led_elsewhere(asked.ctx):
        return Seen("failed", wrong, "a stack of the target's account", OURS)
    return Seen("ok", f"{name} in {spec.path}", ", ".join(files))


def _images(asked: Asked) -> Seen:
    spec, back = asked.ctx.app.image, asked.rollback
    found, wrong, odd = list[str](), list[str](), list[str]()
    for node, image in images_exist(asked.ctx, asked.images).items():
        pattern = spec.name.format(node_type=node)
        if not image.state:
            wrong.append(f"{node}: {image.id} does not exist")
        elif image.state != "available":
            wrong.append(f"{node}: {image.id} is {image.state}")
        elif image.revoked and not (back and back.revoked):
            wrong.append(f"{node}: {image.id} was revoked {image.revoked}")
        elif fnmatch.fnmatchcase(image.name, pattern):
            words = f", revoked {image.revoked}" if image.revoked else ""
            found.append(f"{node}={image.id}, {image.name}{words}")
        else:  # going back: the pattern was changed since
            text = f"{node}: {image.id} is {image.name}, not {pattern}"
            (odd if back else wrong).append(text)
    wanted = f"available images of {asked.ctx.app_name}"
    if wrong or not found + odd:
        which = f"-p app {asked.ctx.app_name}{asked.ctx.onto}"
        hint = f"Build one: olrunbook run image_build {which}"
        text = "; ".join(wrong) or "no image set"
        return Seen("failed", text, wanted, hint)
    return Seen("warning" if odd else "ok", "; ".join(odd + found), wanted)


def _stage_order(asked: Asked) -> Seen:
    order = asked.ctx.project.catalog.stages_of(asked.ctx.app_name)
    wanted = f"{' → '.join(order)}, the same images in each"
    try:
        relied = require_stage_before(asked.ctx, asked.images, asked.rollback)
    except RefusedError as error:
        return Seen("failed", str(error), wanted, error.hint)
    return Seen("ok", relied.text, wanted)


def _no_refresh(asked: Asked) -> Seen:
    wanted = "none in progress: an update cancels it"
    account = Account(asked.ctx.target)
    for group, refreshes in account.observe(asked.ctx.app, asked.ctx.stage):
        for refresh in refreshes:
            if refresh.active:
                what = f"refresh {short(refresh.id)} of {group.name}"
                found = f"{what} is {refresh.status}, {refresh.percent} %"
                if asked.rollback:
                    return Seen("warning", f"{found}: the way back", wanted)
                hint = f"Wait until it ends: olrunbook run rollout {asked.ctx.which}"
                return Seen("failed", found, wanted, hint)
    return Seen("ok", "none", wanted)


def _group(asked: Asked) -> Seen:
    groups = Account(asked.ctx.target).groups(asked.ctx.app, asked.ctx.stage)
    missing = [group.tag_name for group in groups if not group.name]
    wanted = "every Auto Scaling group of the catalog"
    if missing:
        found = f"no group is {called(missing[0])}"
        hint = f"Deploy first: olrunbook run deploy {asked.ctx.which}"
        return Seen("failed", found, wanted, hint)
    names = [f"{g.name}, {len(g.instances)} of {g.desired} instances" for g in groups]
    return Seen("ok", "; ".join(names), wanted)


def _instances(asked: Asked) -> Seen:
    """Say whether a group runs what its launch template has, or is on its way."""
    account, ctx = Account(asked.ctx.target), asked.ctx
    wanted = "every instance on the image of its launch template"
    again = f"olrunbook run refresh {ctx.which}"
    for group, refreshes in account.observe(ctx.app, ctx.stage):
        if group.name and group.instances:
            images = {group.node_type: account.template(group.name).image}
            if text := left_behind(group, refreshes, images):
                return Seen("warning", text, wanted, f"To replace them: {again}")
    return Seen("ok", "they are, or are being replaced", wanted)


def _checkout(asked: Asked) -> Seen:
    """Say whether what runs is what is committed.

    A rehearsal, and the first stage elsewhere, may try what is not. Nothing but its
    gate stands between people and the way back.
    """
    ctx, commit = asked.ctx, asked.ctx.commit
    wanted = "all files committed, so that the commit says what ran"
    if not commit.sha:
        return Seen("warning", "no git checkout", wanted)
    found = f"{commit.sha[:12]}, {commit.difference(FILES_NAMED)}"
    if not commit.dirty:
        return Seen("ok", found, wanted)
    kind = ctx.place.kind if ctx.place else "rehearsal"
    first = not ctx.stage or not ctx.project.catalog.before(ctx.stage, ctx.app_name)
    may = kind == "rehearsal" or first or asked.rollback
    return Seen("warning" if may else "failed", found, wanted, "git status; git commit")


def _app_lock(asked: Asked) -> Seen:
    wanted = "nobody changes the app"
    if held := holder(asked.ctx.project.root, asked.ctx.app_name):
        hint = f"Wait until it ends: olrunbook status{asked.ctx.onto}"
        return Seen("warning", held, wanted, hint)
    return Seen("ok", "free", wanted)


def _last_run(asked: Asked) -> Seen:
    """Say whether the last run that changed the stage, or was to, was cut off."""
    ctx, wanted = asked.ctx, "no run of the stage was cut off"
    name = ctx.place.name if ctx.place else ctx.project.catalog.target("")
    last = last_change(ctx.project.outputs, name, ctx.app_name, ctx.stage)
    if last is None:
        return Seen("ok", "none is on record", wanted)
    run = short_run(last.run_id)
    if last.status in ("succeeded", "failed", "refused"):
        return Seen("ok", f"{last.notebook} {run} {last.status}", wanted)
    hint = f"Go on with it: olrunbook resume {run}"
    return Seen("warning", f"{last.notebook} {run} {last.status}", wanted, hint)


def _stack_lock(asked: Asked) -> Seen:
    wanted = "no update holds the stack"
    if locks := "; ".join(asked.backend.locks):
        here = HOLDER.search(locks)
        gone = here and here[1] == platform.node() and not since(int(here[2]))
        hint = "That process is gone: " if gone else "Wait; if that process is gone: "
        hint += f"olrunbook tools{asked.ctx.onto} {by_hand(asked.ctx, 'cancel --yes')}"
        return Seen("failed", locks, wanted, hint)
    return Seen("ok", "free", wanted)


def _pending(asked: Asked) -> Seen:
    wanted = "every operation of the last update was finished"
    if pending := asked.backend.pending:
        hint = "Look in AWS whether they were made, then: "
        verb = "refresh --yes --clear-pending-creates"
        hint += f"olrunbook tools{asked.ctx.onto} {by_hand(asked.ctx, verb)}"
        return Seen("failed", "; ".join(pending), wanted, hint)
    return Seen("ok", "none pending", wanted)


def _orphans(asked: Asked) -> Seen:
    """Look for resources with the stack's tag Name that its state does not know."""
    ctx, spec = asked.ctx, stack_spec(asked.ctx)
    words = sorted(word for _, word in spec.group_tags(ctx.stage))
    names = [word for word in words if not word.startswith(BY_NAME)]
    if not names:
        return Seen("ok", "not looked for: its groups have no tag Name", "no orphans")
    known = asked.backend.ids
    found = Account(ctx.target).tagged(names)
    strange = {name: kind for name, kind in found.items() if name not in known}
    lost = [f"{kind} {name.rpartition(':')[2]}" for name, kind in strange.items()]
    wanted = f"all that is tagged Name={', '.join(names)} is in the stack's state"
    if lost:
        hint = "Nobody else's? Then remove it in AWS, or take it in: pulumi import"
        return Seen("warning", ", ".join(lost), wanted, hint)
    return Seen("ok", f"{len(found)} tagged, all in the state", wanted)


def _state_versions(asked: Asked) -> Seen:
    """Refuse to write with older tools a state that newer ones have written.

    An older engine may drop what it does not know; an older provider takes what the
    newer one has written for a change. A rehearsal's state is its own, and nothing but
    its gate stands between people and the way back.
    """
    wrote = dict(asked.backend.tools)
    call = asked.ctx.tool("pulumi")
    here = provider_versions(call, wrote) if len(wrote) > 1 else {}
    here["pulumi"] = tool_version("pulumi", call.env, call.prefix, call.root).version
    newer, known = [], []
    for name, version in sorted(wrote.items()):
        if not (mine := here.get(name)):
            known.append(f"{name} {version}, not compared: not found here")
        elif (parse(version) or ()) > (parse(mine) or ()):
            newer.append(f"{name} {version}, here it is {mine}")
        else:
            known.append(f"{name} {version}")
    wanted = "no newer tools than those here have written the state"
    if not newer:
        return Seen("ok", "; ".join(known) or "nothing has written it yet", wanted)
    hint = "Take at least these. `olrunbook tools` shows where pulumi comes from; a "
    hint += "provider is as new as its package (pulumi-aws) where the program runs."
    mild = asked.ctx.target.kind == "rehearsal" or asked.rollback
    found = f"the state was written by {'; '.join(newer)}"
    return Seen("warning" if mild else "failed", found, wanted, hint)


class Check(NamedTuple):
    """One check, and where it is made."""

    look: Callable[[Asked], Seen]  # looks, and changes nothing
    needs: str = ""  # what is to be done: each is preceded by its checks, in this order
    # it is made once for a machine, for each app, or for each stage
    each: Literal["machine", "app", "stage"] = "stage"
    advice: bool = False  # what an update would meet; for the doctor no failure


CHECKS: dict[str, Check] = {
    "target": Check(_target, "image_build deploy rollout refresh", "machine"),
    # After an update that was cut off; before anything else.
    "app lock": Check(_app_lock, "deploy refresh", "app"),
    "last run": Check(_last_run),
    "stack lock": Check(_stack_lock, "deploy"),
    "pending operations": Check(_pending, "deploy"),
    "possible orphans": Check(_orphans, "deploy"),
    "state versions": Check(_state_versions, "deploy"),
    "python": Check(
        _python, "image_test image_build deploy rollout refresh", "machine"
    ),
    "packer": Check(_tool("packer"), "image_build", "machine"),
    "pyinfra": Check(_tool("pyinfra"), "image_build", "machine"),
    "pulumi": Check(_tool("pulumi"), "deploy", "machine"),
    "template": Check(_file(lambda ctx: ctx.app.image.template), "image_build", "app"),
    "deploy file": Check(
        _file(lambda ctx: ctx.app.image.deploy), "image_test image_build", "app"
    ),
    "commands before a test": Check(_before("pyinfra"), "image_test", "app"),
    "commands before images": Check(_before("packer", "pyinfra"), "image_build", "app"),
    "commands before a deploy": Check(_before("pulumi"), "deploy"),
    "docker": Check(_docker, "image_test image_build", "machine"),
    "free disk": Check(_disk, "image_test image_build", "machine"),
    "stack": Check(_stack, "deploy"),
    "images": Check(_images, "deploy", "app", advice=True),
    "stage order": Check(_stage_order, "deploy", advice=True),
    "instance refresh": Check(_no_refresh, "deploy", advice=True),
    "group": Check(_group, "rollout refresh", advice=True),
    "instances": Check(_instances),
    "checkout": Check(_checkout, "image_test image_build deploy"),
}
