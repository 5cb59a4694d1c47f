"""A release: the notebooks in their order, one image set through the stages."""

from olrunbook.pipeline.release import Release

__all__ = ["Release"]
