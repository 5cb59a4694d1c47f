"""What a notebook gets from `begin`: a run whose methods are the steps."""

from __future__ import annotations

from olrunbook.run.start import begin
from olrunbook.run.status import status
from olrunbook.run.steps import Run

__all__ = ["Run", "begin", "status"]
