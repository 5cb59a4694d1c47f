"""Update a stack by Pulumi alone, in a process: FOLDER STACK PROVIDER VERSION."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from pulumi.automation import StackAlreadyExistsError
from pulumi.automation._stack import StackInitMode

from olrunbook.workers.pulumi.cli import SafeCommand
from olrunbook.workers.pulumi.program import preload, stack_program
from olrunbook.workers.pulumi.work import QuickStack, QuickWorkspace


def main(folder: Path, name: str, provider: str, version: str) -> None:
    """Make the stack if there is none, and update it: no preview, no refresh."""
    preload(folder)
    with tempfile.TemporaryDirectory() as scratch:
        workspace = QuickWorkspace(
            work_dir=str(folder),
            program=stack_program(folder, {}),
            pulumi_command=SafeCommand(Path(scratch), version),
            secrets_provider=provider,
        )
        with suppress(StackAlreadyExistsError):
            workspace.create_stack(name)
        stack = QuickStack(name, workspace, StackInitMode.SELECT)
        stack.up(message="by hand", color="never", on_output=print)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)  # threads of gRPC may still be there
