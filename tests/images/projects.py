"""Small projects with a deploy of the test's own."""

from __future__ import annotations

import json
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
node_types = NODE_TYPES

[apps.small.image]
template = "images/default"
only = "amazon-ebs.third-party"
deploy = "images/small/deploy.py"
name = "small-{node_type}-*"
"""


def small_project(root: Path, deploy: str, *node_types: str) -> Project:
    """Write a project whose app `small` has the given deploy file and node types."""
    folder = root / "images" / "small"
    folder.mkdir(parents=True)
    (folder / "deploy.py").write_text(textwrap.dedent(deploy))
    types = json.dumps(node_types or ["server"])
    (root / "catalog.toml").write_text(CATALOG.replace("NODE_TYPES", types))
    return Project(root, root / "catalog.toml")
