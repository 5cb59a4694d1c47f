"""`olrunbook lab`: the notebooks in JupyterLab."""

from __future__ import annotations

import os
import sys

import click

from olrunbook.cli.common import ensure_cloud, project
from olrunbook.cli.lab_config import ARGUMENTS, environment
from olrunbook.errors import UsageError
from olrunbook.project.where import cache_dir, shipped


@click.command()
@click.option("--port", default=8888, show_default=True, help="Port on 127.0.0.1.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def lab(*, port: int, no_browser: bool) -> None:
    """Open the notebooks in JupyterLab on 127.0.0.1, with the rehearsal up, if any.

    The notebooks it saves are masked, and its kernels keep no history of what you type.
    """
    found = project()
    folder = found.root / "notebooks"
    if not folder.is_dir():
        msg = f"{found.root} has no folder notebooks/"
        hint = f"Copy the shipped ones: cp -r {shipped() / 'notebooks'} {found.root}"
        raise UsageError(msg, hint)
    if "rehearsal" in found.catalog.targets:
        ensure_cloud(found, "rehearsal")
    env = environment(cache_dir() / "lab", {**os.environ, **found.named})
    argv = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={found.root}",
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--LabApp.default_url=/lab/tree/notebooks",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=",
        *ARGUMENTS,
        *(["--no-browser"] if no_browser else []),
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]
    os.execve(sys.executable, argv, env)
