"""Kernels that papermill's own engine starts, without a race of two for a port."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

# The same for a script of its own; what is put after it comes from an installation.
OVER_FILES = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from tests.sockets import over_files
over_files()
del sys.path[0]
"""


def over_files() -> None:
    """Have the kernels that this process starts listen on files.

    jupyter_client looks for free ports and lets them go again before the kernel binds
    them: on a busy machine another process has one now and then, and the kernel ends.
    """
    made: Any = KernelManager.__init__

    def init(manager: Any, *words: Any, **named: Any) -> None:
        manager.folder_of_sockets = tempfile.TemporaryDirectory(prefix="olrunbook-km-")
        file = f"{manager.folder_of_sockets.name}/kernel.json"
        made(manager, *words, transport="ipc", connection_file=file, **named)

    KernelManager.__init__ = init  # type: ignore[method-assign]
