"""What a release tells whoever shows it."""

from __future__ import annotations

from typing import Protocol

from olrunbook.record.model import RunRecord

__all__ = ["Reporter"]


class Reporter(Protocol):
    """Whoever shows a release as it happens."""

    def kept(self, step: str, stage: str, record: RunRecord) -> None:
        """Tell that a run of the release that is taken up is kept."""

    def started(self, step: str, stage: str) -> None:
        """Tell that a run began."""

    def progress(self, text: str) -> None:
        """Tell the news of the run that goes on."""

    def ended(self, step: str, stage: str, record: RunRecord, seconds: float) -> None:
        """Tell how a run ended."""
