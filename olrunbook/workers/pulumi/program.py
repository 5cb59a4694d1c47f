"""Run a stack's own `__main__.py` as the inline program of the Automation API."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import runpy
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Resource type, name and property (no case, no underscores) to a value in clear.
Captured = dict[tuple[str, str, str], str]


# Each takes long to import, and is imported when a program first touches it.
HEAVY = ("acm", "autoscaling", "ec2", "iam", "lb", "route53")


def preload(folder: Path) -> None:
    """Begin to import what the program will import, while the CLI does other things."""
    if b"pulumi_aws" not in folder.joinpath("__main__.py").read_bytes():
        return

    def work() -> None:
        for name in HEAVY:
            try:
                importlib.import_module(f"pulumi_aws.{name}")
            except ImportError:
                return  # the program says it better

    threading.Thread(target=work, daemon=True).start()


def stack_program(folder: Path, captured: Captured) -> Callable[[], None]:
    """Return a program that runs the folder's `__main__.py` as `pulumi up` would.

    `captured` receives the values of the texts that resources are given, so that a
    change of a secret one can be shown as a change of its mask.
    """

    def program() -> None:
        _capture_into(captured)
        # Neither is put back: applies of outputs run after this function has returned,
        # and this process runs one program in its life.
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    return program


def secret_texts() -> set[str]:
    """Return a set that fills with the texts of a program's secret outputs.

    Wherever they come from (a setting, Vault, another resource): what is made of one
    is secret too.
    """
    import pulumi  # noqa: PLC0415  (heavy: only in the worker)

    found: set[str] = set()
    looks: set[asyncio.Future[None]] = set()
    # Every output comes by here as it is made; older SDKs have only `__init__`.
    name = "_track" if hasattr(pulumi.Output, "_track") else "__init__"
    made = getattr(pulumi.Output, name)

    async def look(output: Any) -> None:
        with contextlib.suppress(Exception):  # the program says it better
            value = await output.future() if await output.is_secret() else None
            found.update([value] if isinstance(value, str) else [])

    def noted(output: Any, *args: Any, **more: Any) -> None:
        made(output, *args, **more)
        looks.add(task := asyncio.ensure_future(look(output)))
        task.add_done_callback(looks.discard)

    setattr(pulumi.Output, name, noted)
    return found


def _capture_into(captured: Captured) -> None:
    """Note every text property of every resource of the stack that runs now."""
    import pulumi  # noqa: PLC0415  (heavy: only in the worker)

    def note(args: Any) -> None:
        for name, value in (args.props or {}).items():
            if isinstance(value, pulumi.Output):
                key = (args.type_, args.name, name.replace("_", "").lower())

                def keep(text: Any, key: tuple[str, str, str] = key) -> None:
                    if isinstance(text, str):
                        captured[key] = text

                value.apply(keep)

    pulumi.runtime.register_stack_transformation(note)
