"""The notebook papermill was asked to write: masked, true, whole, and seldom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import nbformat
from papermill import __version__ as papermill_version
from papermill.iorw import LocalHandler, papermill_io
from papermill.parameterize import parameterize_notebook

from olrunbook.archive.place import NOTEBOOK
from olrunbook.engine.notebook_file import UNKNOWN, mark_not_run
from olrunbook.errors import UsageError
from olrunbook.project.params import PAPERMILLS_OWN, tagged
from olrunbook.record.files import write_atomic
from olrunbook.record.model import RunRecord
from olrunbook.redact import Redactor

if TYPE_CHECKING:
    from olrunbook.engine.session import Session


class Output:
    """papermill's output, by its own handlers (S3, standard output, …).

    Its path is as papermill knows it; None: no output is wanted.
    """

    def __init__(self, path: str | None) -> None:
        self.path, self.failed = path, ""
        handler = papermill_io.get_handler("local")
        # papermill's own relative paths start where it was called; we are called inside
        # its --cwd.
        where = handler.cwd(None)
        handler.cwd(where)
        self.base = Path(where or Path.cwd())
        context = click.get_current_context(silent=True)
        command = context.command.callback if context else None
        self.by_command_line = getattr(command, "__module__", "") == "papermill.cli"

    def check(self) -> None:
        """See that the output can be written, before anything runs.

        Raises:
            UsageError: Its folder is missing or cannot be written.

        """
        if (local := self._local()) is None:
            return
        if not local.parent.is_dir():
            msg = f"the output's folder {local.parent} does not exist"
            raise UsageError(msg, "Create it first; nothing ran.")
        if not os.access(local if local.exists() else local.parent, os.W_OK):
            msg = f"the output {local} cannot be written"
            raise UsageError(msg, "Choose another path; nothing ran.")

    def prepare(self, nb: Any, parameters: dict[str, Any]) -> Any:
        """Return the notebook as it runs: with parameters of their declared types."""
        meta = nb.metadata["papermill"]
        given = dict(meta.get("parameters", {}))
        own = {name: given[name] for name in PAPERMILLS_OWN if name in given}
        meta["version"] = papermill_version
        wanted = own | parameters
        # With their types: 1, 1.0 and True are not the same.
        before, after = (
            [(n, type(v), v) for n, v in x.items()] for x in (given, wanted)
        )
        if before == after:
            return nb
        if not parameters and not own:  # of an earlier run, whose cell is gone
            meta["parameters"] = {}
            return nb
        hidden = any(
            cell.metadata.get("jupyter", {}).get("source_hidden")
            for cell in tagged(nb, "injected-parameters")
        )
        ours = {"report_mode": hidden, "engine_name": "olrunbook"}
        made = parameterize_notebook(nb, wanted, **ours)
        for cell in made.cells:
            cell.metadata.setdefault("papermill", {})
        return made

    def begin(self, nb: Any, redactor: Redactor) -> None:
        """Write the output as it is before the first cell: nothing has run.

        Raises:
            OSError: It cannot be written; so do errors of other handlers.

        """
        clean = nbformat.from_dict(redactor.tree(nb))
        clean.metadata["papermill"].update(UNKNOWN)
        clean.metadata["olrunbook"] = {"status": "running"}
        mark_not_run(clean)
        if self.path != "-":
            self._write(clean)

    def finish(self, nb: Any, session: Session, record: RunRecord) -> Any:
        """Write and return the masked notebook as the archive has it."""
        try:
            text = (session.place.folder / NOTEBOOK).read_text()
            done = nbformat.reads(text, as_version=4)
        except (OSError, ValueError):  # the archive's disk is full or gone
            done = nbformat.from_dict(session.redactor.tree(nb))
        bad = record.status != "succeeded"
        done.metadata["papermill"]["exception"] = True if bad else None
        done.metadata["olrunbook"] = {
            **done.metadata.get("olrunbook", {}),
            "status": record.status,
            "cause": record.cause,
        }
        # papermill itself writes what a library's caller gets back without an error.
        if bad or self.by_command_line:
            try:
                self._write(done)
            except Exception as error:  # noqa: BLE001  (each handler has its own)
                self.failed = f"{self.path}: {error}"
        return done

    def _local(self) -> Path | None:
        """Return where a local file is written; None: it is none."""
        if self.path and isinstance(papermill_io.get_handler(self.path), LocalHandler):
            return (self.base / self.path).resolve()
        return None

    def _write(self, nb: Any) -> None:
        text = nbformat.writes(nb)
        local = self._local()
        if local and (local.is_file() or not local.exists()):
            mode = local.stat().st_mode & 0o777 if local.exists() else 0o644
            write_atomic(local, text, mode)
        else:  # also /dev/stdout: a device is written, never replaced
            papermill_io.write(text, self.path)
