"""A kernel of one's own, driven as a front end does it: cell by cell."""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat
import pytest
from jupyter_client.manager import KernelManager

from olrunbook.archive.dead import close_dead
from olrunbook.archive.place import RunPlace, list_runs, read_record
from olrunbook.record.model import RunRecord
from tests.conftest import ROOT, UNSET
from tests.sockets import OVER_FILES

BEGIN = 'import olrunbook\nrun = olrunbook.begin("image_test", app="tika")'

# papermill's command without the 2 s that jsonschema's grammar takes of each start; as
# it is installed it runs in test_engine.py, test_byhand.py and test_wheel.py.
QUICK = f"""
import olrunbook.record.jupyter
{OVER_FILES}
from papermill.cli import papermill
papermill(prog_name="papermill")
"""

READY_S = 120
CELL_S = 120


class Desk:
    """A kernel in a project's folder.

    Args:
        project: The project's folder; its archive is `outputs` in it.
        env: More environment for the kernel.

    """

    def __init__(self, project: Path, env: dict[str, str] | None = None) -> None:
        self.project = project
        # Sockets are files, as in the engine: no race of two kernels for a port.
        self.sockets = tempfile.TemporaryDirectory(prefix="olrunbook-desk-")
        self.manager = KernelManager(
            transport="ipc", connection_file=f"{self.sockets.name}/kernel.json"
        )
        spec = self.manager.kernel_spec
        assert spec is not None
        spec.argv[0] = sys.executable
        everything = {**os.environ, "IPYTHONDIR": str(project / ".ipython")}
        self.manager.start_kernel(cwd=str(project), env={**everything, **(env or {})})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=READY_S)

    def __enter__(self) -> Self:
        """Return the desk."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the kernel, if it is there."""
        self.client.stop_channels()
        if self.manager.is_alive():
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.sockets.cleanup()
        close_dead(self.project / "outputs")  # what the next command would do

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return int(self.manager.provisioner.process.pid)

    def send(self, source: str, cell: str = "") -> str:
        """Send a cell and return the id of the request, without waiting."""
        content = {
            "code": source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        message = self.client.session.msg("execute_request", content)
        if cell:
            message["metadata"]["cellId"] = cell
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def wait(self, sent: str) -> str:
        """Wait until a cell has ended and is idle; return `ok` or `error`."""
        end = time.monotonic() + CELL_S
        status = ""
        while not status:
            reply = self.client.get_shell_msg(timeout=end - time.monotonic())
            if reply["parent_header"].get("msg_id") == sent:
                status = reply["content"]["status"]
        while True:
            try:
                heard = self.client.get_iopub_msg(timeout=end - time.monotonic())
            except queue.Empty:
                msg = "the kernel did not become idle"
                raise AssertionError(msg) from None
            if (
                heard["parent_header"].get("msg_id") == sent
                and heard["content"].get("execution_state") == "idle"
            ):
                return status

    def run(self, source: str, cell: str = "") -> str:
        """Run a cell to its end; return `ok` or `error`."""
        return self.wait(self.send(source, cell))

    def shut_down(self) -> None:
        """Shut the kernel down as a front end does it."""
        self.manager.shutdown_wait_time = READY_S  # on a busy machine 5 s may not do
        self.manager.shutdown_kernel()

    def places(self) -> list[RunPlace]:
        """Return the runs in the archive, oldest first."""
        return list(list_runs(self.project / "outputs"))[::-1]


@contextmanager
def desk_in(folder: Path) -> Iterator[Desk]:
    """Have a kernel for several tests, each with a run of its own in it.

    Args:
        folder: An empty one, for the project and the kernel's state.

    """
    shutil.copy(ROOT / "catalog.toml", folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in UNSET:
            patch.delenv(name, raising=False)
        desk = Desk(folder, {"OLRUNBOOK_STATE": str(folder / "state")})
    with desk:
        yield desk


def only(desk: Desk) -> RunPlace:
    """Return the one run there is."""
    (place,) = desk.places()
    return place


def record_of(place: RunPlace) -> RunRecord:
    """Return a run's record; it is sealed."""
    record = read_record(place)
    assert record is not None
    return record


def cells_of(place: RunPlace) -> list[dict[str, Any]]:
    """Return the code cells of a run's notebook, which is valid."""
    notebook = json.loads((place.folder / "notebook.ipynb").read_bytes())
    nbformat.validate(notebook)  # type: ignore[no-untyped-call]
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def ours(cell: dict[str, Any]) -> dict[str, Any]:
    """Return what we say of a cell."""
    found: dict[str, Any] = cell["metadata"]["olrunbook"]
    return found


def journal_text(place: RunPlace) -> str:
    """Return the journal as it lies on the disk."""
    return (place.folder / "journal.jsonl").read_text()
