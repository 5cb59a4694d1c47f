"""Steps that a resumed run keeps: the stored result of the run that it takes up."""

from __future__ import annotations

import os
from pathlib import Path

from olrunbook.archive.place import RESUMES_VARIABLE, place_of, read_record
from olrunbook.errors import StepError
from olrunbook.steps.results import Result
from olrunbook.steps.step import Step


class KeptSteps:
    """The steps of an earlier run that need not run again.

    Args:
        folder: The earlier run's directory; empty: there is none.

    """

    def __init__(self, folder: str) -> None:
        place = place_of(Path(folder)) if folder else None
        record = read_record(place) if place else None
        self.run_id = record.run_id if record else ""
        steps = record.steps if record else []
        self._steps = {s.name: s for s in steps if s.status in ("done", "kept")}

    @classmethod
    def of_environment(cls) -> KeptSteps:
        """Return what the engine says is kept; nothing where it says nothing."""
        return cls(os.environ.pop(RESUMES_VARIABLE, ""))

    def result(self, step: Step) -> Result | None:
        """Return the stored result of a step, or None where it has to run.

        Raises:
            StepError: It is stored in a form that this version does not know.

        """
        before = self._steps.get(step.name) if step.kept else None
        if before is None or before.result_schema != step.result.schema_name:
            return None
        try:
            return step.result.model_validate(before.result)
        except ValueError as error:
            msg = f"the stored result of {step.name} cannot be read: {error}"
            raise StepError(msg, "Run the notebook again, without resume.") from None
