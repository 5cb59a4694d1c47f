"""Steps that a resumed run keeps: the stored result of the run that it takes up."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from olrunbook.archive.place import RESUMES_VARIABLE, place_of, read_record
from olrunbook.errors import StepError
from olrunbook.record.model import StepRecord
from olrunbook.steps.results import Result
from olrunbook.steps.resumption import KEEPABLE

__all__ = ["KeptSteps"]

RESULTS = {
    "olrunbook/deploy/1": ("olrunbook.steps.results", "DeployResult"),
    "olrunbook/image-build/1": ("olrunbook.steps.images.results", "ImageBuildResult"),
    "olrunbook/image-test/1": ("olrunbook.steps.images.results", "ImageTestResult"),
}


class KeptSteps:
    """The steps of an earlier run that need not run again.

    Args:
        folder: The earlier run's directory; empty: there is none.

    """

    def __init__(self, folder: str) -> None:
        self.run_id = ""
        self._steps: dict[str, StepRecord] = {}
        place = place_of(Path(folder)) if folder else None
        record = read_record(place) if place else None
        if record is None:
            return
        self.run_id = record.run_id
        self._steps = {
            step.name: step
            for step in record.steps
            if step.name in KEEPABLE
            and step.status in ("done", "kept")
            and step.result_schema in RESULTS
        }

    @classmethod
    def of_environment(cls) -> KeptSteps:
        """Return what the engine says is kept; nothing where it says nothing."""
        return cls(os.environ.pop(RESUMES_VARIABLE, ""))

    def result(self, name: str) -> Result | None:
        """Return the stored result of a step, or None where it has to run.

        Raises:
            StepError: It is stored in a form that this version does not know.

        """
        step = self._steps.get(name)
        if step is None:
            return None
        module, kind = RESULTS[step.result_schema]
        model: type[Result] = getattr(import_module(module), kind)
        try:
            return model.model_validate(step.result)
        except ValueError as error:
            msg = f"the stored result of {name} cannot be read: {error}"
            raise StepError(msg, "Run the notebook anew, without resume.") from None
