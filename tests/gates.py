"""A project whose deploy changes nothing but a file, and asks at its gate first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from olrunbook.archive import chain, verifier
from olrunbook.archive.place import list_runs, read_record
from olrunbook.engine.session import Session, run_notebook
from olrunbook.project.catalog import Project, find_project
from olrunbook.record.model import RunRecord

AMI = "ami-0a17000000000000a"
IMAGES = f"server={AMI}"
PARAMETERS = """
from olrunbook import App, ImageSet, Stage, TargetName

app: App = "tika"  # the app
stage: Stage = "CI"  # the stage
images: ImageSet = ""  # the images
deploy_run: str = ""  # the deploy
target: TargetName = "rehearsal"  # where
"""
FAKE = """
from datetime import UTC, datetime
from olrunbook.project.catalog import find_project
from olrunbook.steps.approval.digest import digest, part_digests
from olrunbook.steps.deploy import update
from olrunbook.steps.deploy.findings import findings, rules_of
from olrunbook.steps.deploy.plan import PreviewResult
from olrunbook.steps.results import DeployResult, PropertyChange, ResourceChange

root = find_project().root
kept = dict(project="p", stack="s", version=1, counts={"update": 1}, by_hand="x")

def preview(ctx, images, overrides, rollback=None):
    size = (root / "size").read_text()
    change = PropertyChange(path="maxSize", kind="update", old="1", new=size)
    group = dict(op="update", type="aws:autoscaling/group:Group", name="g", urn="u")
    parts = part_digests({"changes": size, "images": images})
    plan = PreviewResult(
        **kept, state="s", token=ctx.run_id, images=images, groups=[],
        changes=[ResourceChange(**group, changes=[change])] if size != "1" else [],
        stage=ctx.stage,
        outlook=["All instances are replaced."], digest=digest(parts), parts=parts,
        sizes={"g": (1, 1, int(size))}, bounds=ctx.app.sizes, rollback=rollback,
    )
    said = findings(plan, rules_of(root), overrides)
    return plan.model_copy(update={"findings": said})

def up(ctx, plan):
    with (root / "changed").open("a") as out:
        out.write(ctx.run_id + "\\n")
    at = datetime.now(UTC)
    return DeployResult(
        **kept, images=plan.images, changes=[], outputs={}, before=[], groups=[],
        url="", started_at=at, ended_at=at,
    )

update.preview, update.up = preview, up
"""
BEGIN = """
import olrunbook
where = dict(app=app, stage=stage, target=target)
run = olrunbook.begin("deploy", images=images or None, **where)
"""
CELLS = (
    "plan = run.preview()\nplan",
    "await run.gate(plan)",
    "run.up(plan)",
    "run.conclude()",
)


def write_notebook(
    path: Path, *cells: str, head: tuple[str, ...] = (FAKE, BEGIN)
) -> Path:
    """Write a notebook of the project: parameters, the fakes, begin, these cells."""
    body: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 5}
    sources = [PARAMETERS.lstrip(), *head, *cells]
    body["cells"] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {} if number else {"tags": ["parameters"]},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**body, "metadata": {"kernelspec": kernel}}))
    return path


class Stand:
    """A project with such a deploy.

    Args:
        project: An empty one.
        target: Lines of the catalog for its target.

    """

    def __init__(self, project: Project, target: str = "") -> None:
        head = "[targets.rehearsal]\n"
        text = project.catalog_file.read_text()
        project.catalog_file.write_text(text.replace(head, head + target + "\n"))
        self.project = find_project(project.root)
        self.root = project.root
        self.path = write_notebook(self.root / "notebooks" / "deploy.ipynb", *CELLS)
        self.size("2")

    def size(self, text: str) -> None:
        """Set what the preview would change the group's size to."""
        (self.root / "size").write_text(text)

    def run(self, stage: str = "CI", **more: Any) -> RunRecord:
        """Run the deploy headless."""
        values = {"stage": stage, "images": IMAGES}
        return run_notebook(Session(self.project, self.path, values, **more))

    @property
    def changed(self) -> list[str]:
        """The runs that changed something."""
        file = self.root / "changed"
        return file.read_text().split() if file.exists() else []

    def last(self, room: str = "CI") -> RunRecord:
        """Return the newest record of a stage."""
        record = read_record(next(list_runs(self.project.outputs, room=room)))
        assert record is not None
        return record

    def entries(self, room: str = "CI") -> list[dict[str, Any]]:
        """Return the entries of a stage's chain."""
        return chain.entries(self.project.outputs / "rehearsal" / "tika" / room)

    def verify(self) -> None:
        """Check the archive."""
        report = verifier.verify(str(self.project.outputs))
        assert report["good"], verifier.lines(report)
