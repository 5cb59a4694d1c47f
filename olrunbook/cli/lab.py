"""`olrunbook lab`: the notebooks in JupyterLab, and what its server and kernels get.

The server masks each notebook before it saves it. It knows the values of its own
environment and what looks like a secret; what a run learned in a kernel (Pulumi's
secrets, a kit's credentials) it does not know: the run's record masks those.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click

from olrunbook.cli.common import ensure_cloud, project
from olrunbook.errors import UsageError
from olrunbook.project.where import cache_dir, shipped
from olrunbook.redact import Redactor, new_key, secrets_of_environment

LAB_VARIABLE = "OLRUNBOOK_LAB"
# On the command line, so that no configuration of the user's takes its place.
ARGUMENTS = ("--ContentsManager.pre_save_hook=olrunbook.cli.lab.pre_save",)

_NO_HISTORY = "c.HistoryManager.enabled = False\n"


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


def environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the server's environment; its kernels keep no history of their input.

    Args:
        folder: Where the kernels' profile is written; it may be there already.
        environ: The environment of the command.

    """
    profile = folder / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True, mode=0o700)
    (profile / "ipython_config.py").write_text(_NO_HISTORY, encoding="utf-8")
    return {**environ, LAB_VARIABLE: "1", "IPYTHONDIR": str(profile.parent)}


def masking_hook(redactor: Redactor) -> Callable[..., None]:
    """Return a hook of the contents manager that masks what is saved."""

    def hook(*, model: dict[str, Any], path: str = "", **_: Any) -> None:
        content = model.get("content")
        if content is None or model.get("format") == "base64":
            return
        if model.get("type") == "notebook" or str(path).endswith(".ipynb"):
            try:
                model["content"] = redactor.tree(content)
            except Exception as error:
                from tornado.web import HTTPError  # noqa: PLC0415  (the server's)

                # Any other error would be logged, and the secret saved.
                msg = f"not saved, because it could not be masked: {error}"
                raise HTTPError(500, msg) from error

    return hook


@cache
def _hook() -> Callable[..., None]:
    return masking_hook(Redactor(new_key(), secrets_of_environment(os.environ)))


def pre_save(**saved: Any) -> None:
    """Mask what the server saves; its redactor is made at the first save."""
    _hook()(**saved)
