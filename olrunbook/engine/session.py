"""One headless run: directory, kernel and record, from the first line to the seal."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from olrunbook.archive.place import NOTEBOOK, RESUMES_VARIABLE, RunPlace, new_place
from olrunbook.archive.seal import finish
from olrunbook.archive.supervised import end_left, settle, supervised
from olrunbook.engine.endings import Ending, RunEndedError
from olrunbook.engine.kernel import Kernel
from olrunbook.engine.notebook_file import NotebookFile, mark_not_run
from olrunbook.engine.stopping import StoppedError, Stopper, Watch, deaf, raising
from olrunbook.pages.run import prepare
from olrunbook.processes.grace import GRACE_VARIABLE, grace_s
from olrunbook.processes.left import VARIABLE
from olrunbook.project.catalog import Project, find_project
from olrunbook.project.params import (
    PAPERMILLS_OWN,
    check,
    declared,
    defaults,
    filed,
    injected,
    read_notebook,
    require_python,
    tagged,
)
from olrunbook.record.files import sha256_file
from olrunbook.record.heartbeat import Heartbeat, process_facts
from olrunbook.record.journal import Journal, Typed, typed_of
from olrunbook.record.model import RunRecord
from olrunbook.record.provenance import opening
from olrunbook.redact import (
    KEY_VARIABLE,
    Redactor,
    new_key,
    secrets_of_environment,
)

# How long tools may go on before they are left to their supervisors: a person at the
# screen can wait for Packer's clean-up; CI kills ten seconds after SIGTERM.
PERSON_S, CI_S = 240.0, 6.0


class Session:
    """One headless run of a notebook.

    Args:
        project: The project in use.
        path: The notebook.
        parameters: Values as typed or given; checked here before anything is written.
        place: The run's directory; None: a new one.
        release: Id of the release this run belongs to.
        resumes: The run that this one takes up again: its finished build and change
            steps are kept.
        warnings: Sentences that the record keeps from the start.
        typed: What was typed about gates and rules.
        env: More environment for the kernel.
        source: The notebook where it is no local file (papermill reads from S3, from
            standard input, …); None: the file is read.
        cwd: The kernel's working directory; None: the project's folder.
        on_progress: Called with a line whenever there is news.

    Raises:
        UsageError: A parameter or OLRUNBOOK_GRACE_S is wrong, or the notebook cannot be
            read or is not in Python.

    """

    def __init__(
        self,
        project: Project,
        path: Path,
        parameters: Mapping[str, Any],
        *,
        place: RunPlace | None = None,
        release: str = "",
        resumes: RunPlace | None = None,
        warnings: Sequence[str] = (),
        typed: Typed | None = None,
        env: Mapping[str, str] | None = None,
        source: dict[str, Any] | None = None,
        cwd: Path | None = None,
        on_progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        at_terminal = sys.stdin and sys.stdin.isatty()
        self.patience_s = grace_s(PERSON_S if at_terminal else CI_S)
        self.path = path
        remote = source is not None
        name = _archive_name(path)
        content = source or read_notebook(path)
        require_python(content, path.name)
        self.declared = declared(content, project.catalog)
        self.parameters = check(dict(parameters), self.declared, path.stem or name)
        values = defaults(self.declared) | self.parameters
        where = filed(content, self.declared, values)
        # A cell that papermill injected once would say something else: it is replaced.
        again = tagged(content, "injected-parameters")
        self.injected = values if again else self.parameters
        self.place = place or new_place(project.outputs, notebook=name, **where)
        self.heartbeat = Heartbeat(self.place.folder).start()
        key = new_key()
        secrets = secrets_of_environment(os.environ, project.catalog.secrets)
        self.redactor = Redactor(key, secrets)
        self.journal = Journal(self.place.folder, self.redactor)
        typed = typed or Typed()
        # A gate that was asked for stays one, and so does what was overridden.
        before = typed_of(resumes.folder) if resumes else Typed()
        self.journal.add(
            "run",
            gates=typed.gates or before.gates,
            approve_all=typed.approve_all,
            overrides={**before.overrides, **typed.overrides},
            run_id=self.place.run_id,
            notebook=name,
            source_sha256="" if remote else sha256_file(path),
            lacks=["the hash of the source: it was not a local file"] if remote else [],
            stage=where["stage"],
            parameters=values,
            release=release,
            resumes=resumes.run_id if resumes else "",
            executed_by="olrunbook",
            **opening(project.root, project.outputs),
        )
        strange = [
            f"parameter {unknown} is not in the parameters cell"
            for unknown in self.parameters
            if unknown not in self.declared
        ]
        for text in (*warnings, *strange):
            self.journal.add("warning", text=text)
        self.on_progress = on_progress
        self.limits = project.catalog.limits
        self.kernel = Kernel(
            cwd or project.root,
            {
                **project.named,
                "OLRUNBOOK_ARCHIVE": str(project.outputs),
                "OLRUNBOOK_RUN_DIR": str(self.place.folder),
                GRACE_VARIABLE: str(self.patience_s),
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                KEY_VARIABLE: key,
                VARIABLE: self.place.run_id,
                # A shell does not say what is kept.
                RESUMES_VARIABLE: str(resumes.folder) if resumes else "",
                **(env or {}),
            },
        )
        # For whoever finds the run dead.
        process = process_facts(self.kernel.process.pid)
        self.journal.add("kernel", process=process, folder=str(self.kernel.folder))
        self.record: RunRecord | None = None

    @classmethod
    def for_papermill(
        cls, nb: Any, *, base: Path, cwd: Path, on_progress: Callable[[str], None]
    ) -> Session:
        """Return a session for a notebook that papermill's own command line gave us.

        Parameters are injected. papermill was called in `base`, where its relative
        paths start; `cwd` is its `--cwd`, the kernel's working directory.

        Raises:
            UsageError: As for the class; nothing was written.

        """
        meta = nb.metadata["papermill"]
        given = injected(nb, meta.get("parameters", {}))
        name = str(meta["input_path"])
        local = base / name
        return cls(
            find_project(here=base),
            local if local.is_file() else Path(name.partition("?")[0]),
            {n: value for n, value in given.items() if n not in PAPERMILLS_OWN},
            source=None if local.is_file() else nb,
            cwd=cwd,
            on_progress=on_progress,
        )

    def execute(self, nb: Any) -> Any:
        """Run the notebook's cells, seal the record, return the masked notebook.

        Raises:
            RunEndedError: It did not run to a good end.

        """
        # Heavy, and imported while the kernel boots.
        from nbformat import from_dict  # noqa: PLC0415

        from olrunbook.engine.execution import Execution  # noqa: PLC0415

        prepare()
        stopper = Stopper(
            kernel=self.kernel,
            watch=Watch(self.limits, time.monotonic()),
            on_progress=self.on_progress,
            on_warning=lambda text: self.journal.add("warning", text=text),
            grace_s=self.patience_s + 1.5,
        )
        execution = Execution(
            nb,
            NotebookFile(self.place.folder / NOTEBOOK, self.redactor),
            self.place.logs,
            self.redactor,
            stopper,
            self.heartbeat,
        )
        with deaf():  # but for the cells: the execution hears
            record = self.close(execution.run(), execution.save_late)
        if record.status != "succeeded":
            raise RunEndedError(record)
        # What is on the disk is masked and true; only its form is another.
        return from_dict(json.loads((self.place.folder / NOTEBOOK).read_bytes()))

    def close(
        self, ending: Ending | None, save: Callable[[], None] = lambda: None
    ) -> RunRecord:
        """Write the closing line and seal the record; the second call does nothing.

        No ending: it ended well. `save` writes the notebook if it was not possible
        before.
        """
        if self.record is None:
            if self.kernel.process.poll() is None:
                self.kernel.stop(0.5)
            # Only after a dead kernel nobody has waited for the tools.
            dead = ending is not None and ending.status == "kernel-died"
            wait_s = self.patience_s if dead else 0.5
            finishing = settle(self.place, wait_s) if ending else []
            left = end_left(self.place)
            self.heartbeat.stop()
            end = {
                "status": ending.status if ending else "succeeded",
                "cause": ending.cause if ending else "",
                "masked": self.redactor.masked,
                **({"exit_code": ending.exit_code} if ending else {}),
                **({"finishing": finishing} if finishing else {}),
                **({"left": left} if left else {}),
            }
            self.record = finish(self.place, self.journal, end, save)
            if not self.record.finishing or not supervised(self.place):
                self.kernel.clean()  # a tool that still finishes works in it
        return self.record

    def save_unrun(self) -> None:
        """Write the notebook of a run that ended before its first cell.

        Raises:
            OSError: It could not be written.

        """
        notebook = read_notebook(self.path)
        mark_not_run(notebook)
        file = NotebookFile(self.place.folder / NOTEBOOK, self.redactor)
        file.save(notebook, None, force=True)


def run_notebook(session: Session) -> RunRecord:
    """Execute a session's notebook through papermill and return its record.

    Its kernel boots while papermill is imported.
    """
    import logging  # noqa: PLC0415

    try:
        with raising():
            from olrunbook.record.jupyter import later  # noqa: PLC0415  (quick so)

            logging.getLogger("papermill").setLevel(logging.ERROR)
            with later("papermill.s3", "requests"):  # our notebooks are files
                from papermill.execute import execute_notebook  # noqa: PLC0415

            execute_notebook(
                str(session.path),
                None,
                session.injected,
                engine_name="olrunbook",
                progress_bar=False,
                session=session,
            )
    except RunEndedError as error:
        return error.record
    except StoppedError as stopped:
        cause = f"{stopped} before the first cell"
        with deaf():
            ending = Ending("interrupted", cause, code=stopped.exit_code)
            return session.close(ending, session.save_unrun)
    except Exception as error:
        if session.record is None:
            name = type(error).__name__
            session.close(Ending("failed", f"olrunbook: {name}: {error}", "failed"))
            raise
        # papermill raises for an expected error (tag raises-exception) after our engine
        # has judged the run.
    assert session.record is not None
    return session.record


def _archive_name(path: Path) -> str:
    """Return a notebook's name as it stands in the archive's directory names."""
    plain = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"notebook_{plain}".rstrip("_")
