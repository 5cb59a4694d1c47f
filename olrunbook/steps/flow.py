"""The flow of a release as data: its notebooks in order, and what each hands on."""

from __future__ import annotations

from typing import NamedTuple

RELEASE = "release"  # the notebook of the release itself, over those of the flow


class Row(NamedTuple):
    """One notebook of the flow; app, target and stage it is always handed."""

    notebook: str
    each_stage: bool = False  # in every stage; else once, where no image set is given
    takes: str = ""  # its parameter that is handed to it
    # what its record gives for a later one: its image set where that is `images`, else
    # its run id
    gives: str = ""


FLOW = (
    Row("image_test"),
    Row("image_build", takes="variables", gives="images"),
    Row("deploy", each_stage=True, takes="images", gives="deploy_run"),
    Row("rollout", each_stage=True, takes="deploy_run"),  # with it a stage is reached
)
