"""Update a stack by Pulumi alone: no preview, no refresh, no record."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from olrunbook import toolchain
from olrunbook.adapters.context import Commit, Context
from olrunbook.adapters.pulumi.settings import keep_settings, prepare
from olrunbook.adapters.tool_version import tool_version
from olrunbook.project.catalog import find_project
from olrunbook.redact import Redactor, new_key
from tests.scenarios.support import Desk
from tests.scenarios.world import target_of

ALONE = Path(__file__).with_name("alone.py")


def update(desk: Desk, name: str, stage: str, images: Mapping[str, str]) -> None:
    """Update an app's stack as somebody without the kit does; make it if needed.

    Args:
        desk: The scenario's desk.
        name: The app.
        stage: The stage.
        images: Node type to the id of its image.

    """
    project, target = find_project(desk.root), target_of(desk)
    path = toolchain.ensure(["pulumi"]).environment()["PATH"]
    with tempfile.TemporaryDirectory() as folder:
        run = Context(
            project=project,
            place=target.model_copy(update={"path": path.split(os.pathsep)}),
            app_name=name,
            app=project.catalog.app(name),
            stage=stage,
            run_id="outside",
            commit=Commit("0" * 40),
            logs=Path(folder),
            work=Path(folder),
            redactor=Redactor(new_key(), target.secret_values()),
        )
        made = prepare(run, images)
        version = tool_version("pulumi", {"PATH": path}).version
        words = [made.stack, made.secrets_provider, version]
        done = subprocess.run(
            [sys.executable, "-P", ALONE, made.folder, *words],
            env=run.target.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        keep_settings(made)
        assert done.returncode == 0, done.stdout
