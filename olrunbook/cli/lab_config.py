"""What JupyterLab's server and its kernels get from `olrunbook lab`.

The server masks each notebook before it saves it. It knows the values of its own
environment and what looks like a secret; what a run learned in a kernel (Pulumi's
secrets, a kit's credentials) it does not know: the run's record masks those.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from olrunbook.redact import Redactor, new_key, secrets_of_environment

LAB_VARIABLE = "OLRUNBOOK_LAB"
# On the command line, so that no configuration of the user's takes its place.
ARGUMENTS = ("--ContentsManager.pre_save_hook=olrunbook.cli.lab_config.pre_save",)

_NO_HISTORY = "c.HistoryManager.enabled = False\n"


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
