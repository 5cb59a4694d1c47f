"""How Packer is called for an app: its environment, variables, and the same command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from olrunbook.adapters.context import Context
from olrunbook.adapters.packer import Packer, build_arguments, plugin_folder
from olrunbook.errors import UsageError
from olrunbook.steps.images.workspace import Workspace


def packer_of(ctx: Context, place: Workspace, log: str) -> Packer:
    """Return Packer for a run: the target's environment, and nothing written elsewhere.

    ToolError where it or its plugin is missing.
    """
    call = ctx.tool("packer")
    path, folder = ctx.logs / log, ctx.target.state / "packer-plugins"
    plugins = plugin_folder(call, folder, path, ctx.redactor)
    own = {
        **place.environment(call.env),
        "PACKER_PLUGIN_PATH": str(plugins),
        "PACKER_CONFIG_DIR": str(place.temporary),
        "CHECKPOINT_DISABLE": "1",
    }
    if ctx.target.endpoint:  # a stand-in's machines are ready in seconds, not minutes
        own.setdefault("AWS_POLL_DELAY_SECONDS", "1")
    cwd = place.folder(call.folder)
    words = call.argv(cwd, call.program("packer"))
    return Packer(words, own, call.begins(cwd), path, ctx.redactor)


def variables_of(
    ctx: Context, place: Workspace, node: str, given: Mapping[str, str]
) -> dict[str, str]:
    """Return the values of the variables this template declares.

    What it does not declare goes into its map `settings`, where it has one.
    """
    asked = {**ctx.app.image.variables, **given}
    known = {
        "app_name": ctx.app_name,
        "node_type": node,
        "run_id": ctx.run_id,
        "commit": commit_text(ctx),
        "images_folder": str(place.deploy.parent.parent),
        **asked,
    }
    values = {key: value for key, value in known.items() if key in place.declared}
    rest = {key: value for key, value in asked.items() if key not in place.declared}
    return {**values, **({"settings": json.dumps(rest)} if rest else {})}


def check_declared(ctx: Context, place: Workspace, given: Mapping[str, str]) -> None:
    """Raise UsageError if a variable was given that the template has no place for."""
    unknown = sorted({*ctx.app.image.variables, *given} - place.declared)
    if unknown and "settings" not in place.declared:
        msg = f"{ctx.app.image.template} declares no variable {', '.join(unknown)}"
        raise UsageError(msg, f"It declares: {', '.join(sorted(place.declared))}.")


def shown_arguments(
    ctx: Context, place: Workspace, node: str, given: Mapping[str, str]
) -> str:
    """Return the arguments a person would type after `packer build`, in the project."""
    image = ctx.app.image
    ours = {"run_id", "commit", "images_folder"}
    values = {
        key: value
        for key, value in variables_of(ctx, place, node, given).items()
        if key not in ours
    }
    template = shown_template(ctx)
    if template != image.template and "images_folder" in place.declared:
        # The template is the shipped one; the app's own folder is here.
        values["images_folder"] = str(PurePosixPath(image.deploy).parent.parent)
    arguments = build_arguments(template, only=image.only, variables=values)
    return shlex.join(arguments[1:])


def shown_template(ctx: Context) -> str:
    """Return the template as a person in the project would name it."""
    found = ctx.project.path(ctx.app.image.template)
    inside = found.is_relative_to(ctx.project.root)
    return ctx.app.image.template if inside else str(found)


def commit_text(ctx: Context) -> str:
    """Return the commit, marked where files differ from it."""
    return ctx.commit.sha + ("-dirty" if ctx.commit.dirty else "")
