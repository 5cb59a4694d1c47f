"""Small projects with a deploy of the test's own."""

from __future__ import annotations

import textwrap
from pathlib import Path

from olrunbook.project.catalog import Project

CATALOG = """
schema = 1

[targets.rehearsal]
title = "rehearsal"

[stages]
order = ["CI"]

[apps.small]
title = "a small app"
node_types = ["server"]

[apps.small.image]
template = "images/default"
only = "amazon-ebs.third-party"
deploy = "images/small/deploy.py"
name = "small-{node_type}-*"
"""


def small_project(root: Path, deploy: str) -> Project:
    """Write a project whose app `small` has the given deploy file."""
    folder = root / "images" / "small"
    folder.mkdir(parents=True)
    (folder / "deploy.py").write_text(textwrap.dedent(deploy))
    (root / "catalog.toml").write_text(CATALOG)
    return Project(root, root / "catalog.toml")
