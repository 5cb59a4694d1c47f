"""A release from what was typed: checked, and nothing started yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from olrunbook.errors import UsageError
from olrunbook.pipeline.release import Release
from olrunbook.pipeline.reporter import Reporter
from olrunbook.project.catalog import Project
from olrunbook.project.imageset import parse_images
from olrunbook.steps.resumption import Parts
from olrunbook.targets import Target

__all__ = ["release"]


def release(
    project: Project,
    app: str,
    target: Target,
    *,
    to: str,
    images: str,
    variables: str,
    notebook: Callable[[str], Path],
    report: Reporter,
    find_url: Callable[[str], str],
    resumes: str = "",
    parts: Parts | None = None,
    warnings: Sequence[str] = (),
) -> Release:
    """Return a release, its parameters checked; nothing is started yet.

    Args:
        project: The project in use.
        app: The app.
        target: Where it is released.
        to: The last stage; empty: all.
        images: The image set; empty: build one.
        variables: Packer variables for the build, `k=v;…`.
        notebook: Returns the path of a notebook.
        report: Whoever shows it.
        find_url: Returns where a stage's load balancer answers; empty: nowhere yet.
        resumes: Id of the release that is taken up again.
        parts: Its runs.
        warnings: Sentences that the record keeps from the start.

    Raises:
        UsageError: A parameter is wrong.

    """
    spec = project.catalog.app(app)
    if spec.stack is None:
        msg = (
            f"{app} has no stack in {project.catalog_file}: there is nothing to release"
        )
        raise UsageError(msg)
    order = project.catalog.stages_of(app)
    last = project.catalog.stage(to, app) if to else order[-1]
    found = parse_images(images, spec.node_types) if images else {}
    return Release(
        project=project,
        app=app,
        target=target,
        stages=order[: order.index(last) + 1],
        images=found,
        variables=variables,
        notebook=notebook,
        report=report,
        find_url=find_url,
        resumes=resumes,
        parts=parts or Parts(),
        warnings=list(warnings),
    )
