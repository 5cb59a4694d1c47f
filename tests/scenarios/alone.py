"""Update a stack by Pulumi alone, in a process of its own: FOLDER STACK PROVIDER."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pulumi.automation import LocalWorkspace
from pulumi.automation._stack import StackInitMode

from olrunbook.workers.pulumi.program import preload, stack_program
from olrunbook.workers.pulumi.work import QuickStack


def main(folder: Path, name: str, provider: str) -> None:
    """Make the stack if there is none, and update it: no preview, no refresh."""
    preload(folder)
    workspace = LocalWorkspace(
        work_dir=str(folder),
        program=stack_program(folder, {}),
        secrets_provider=provider,
    )
    stack = QuickStack(name, workspace, StackInitMode.CREATE_OR_SELECT)
    stack.up(message="by hand", color="never", on_output=print)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)  # threads of gRPC may still be there
