"""A person's shell in a project, and questions to a deployed stage."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olrunbook.archive.place import RunPlace, list_runs, read_record
from olrunbook.project.imageset import format_images
from olrunbook.record.model import RunRecord
from olrunbook.targets import Target

ROOT = Path(__file__).resolve().parents[2]
OLRUNBOOK = str(Path(sys.executable).parent / "olrunbook")
# S323: the rehearsal's balancers sign their certificates themselves.
UNVERIFIED = ssl._create_unverified_context()  # noqa: S323


@dataclass
class Desk:
    """A person's shell in a project, with a state folder and an archive of its own."""

    root: Path
    state: Path
    archive: Path
    more: dict[str, str] = field(default_factory=dict)  # of its environment
    name: str = "rehearsal"  # its target

    @property
    def env(self) -> dict[str, str]:
        """The environment of its commands."""
        return {
            **os.environ,
            "OLRUNBOOK_STATE": str(self.state),
            "OLRUNBOOK_ARCHIVE": str(self.archive),
            **self.more,
        }

    def run(
        self, *words: str, timeout_s: float = 900, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `olrunbook …` to its end."""
        return subprocess.run(
            [OLRUNBOOK, *words],
            cwd=self.root,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `olrunbook …` and return it."""
        return subprocess.Popen(
            [OLRUNBOOK, *words],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def places(self, notebook: str, room: str | None = None) -> list[RunPlace]:
        """Return the runs of a notebook, newest first."""
        places = list_runs(self.archive, room=room)
        return [place for place in places if place.notebook == notebook]

    def record(self, notebook: str, room: str | None = None, at: int = 0) -> RunRecord:
        """Return the record of a run of a notebook, the newest by default."""
        record = read_record(self.places(notebook, room)[at])
        assert record is not None
        return record

    def result(
        self, notebook: str, step: str, room: str | None = None
    ) -> dict[str, Any]:
        """Return the result of a step of the newest run of a notebook."""
        steps = {s.name: s for s in self.record(notebook, room).steps}
        assert steps[step].result is not None, steps[step]
        return steps[step].result

    def bake(self, variables: str) -> str:
        """Bake an image, untested; return the set as `--images` takes it."""
        done = self.run("run", "image_build", "--variables", variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return format_images(self.record("image_build").images)

    def copy_image(self, name: str) -> str:
        """Copy the AMI of the newest release that has one; return its id."""
        records = (read_record(place) for place in self.places("release"))
        sets = (record.images for record in records if record and record.images)
        image = next(iter(next(sets).values()))
        made = (
            Target.model_validate(self.target())
            .client("ec2")
            .copy_image(SourceImageId=image, SourceRegion="us-east-1", Name=name)
        )
        found: str = made["ImageId"]
        return found

    def target(self) -> dict[str, Any]:
        """Return the target file of the rehearsal that is up."""
        (path,) = self.state.glob("*/rehearsal/target.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def ask(
    url: str, method: str = "GET", body: str = "", **headers: str
) -> tuple[int, str]:
    """Return status and text of an answer; TLS of the rehearsal is not verified."""
    # S310: the address is that of a stage the test itself deployed.
    request = urllib.request.Request(  # noqa: S310
        url,
        method=method,
        data=body.encode() or None,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.urlopen(  # noqa: S310
            request, timeout=20, context=UNVERIFIED
        ) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
