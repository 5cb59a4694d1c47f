"""A release: the notebooks in their order, one image set through the stages."""

from olrunbook.pipeline.release import Release
from olrunbook.pipeline.reporter import Reporter

__all__ = ["Release", "Reporter"]
