"""What a project's stacks name is there in a rehearsal."""

from __future__ import annotations

from pathlib import Path

import pytest

from olrunbook.project.catalog import Project
from olrunbook.rehearsal.named import _named, _plugins
from olrunbook.rehearsal.providers import plugin_version
from olrunbook.targets import Target
from tests.nowhere import nowhere
from tests.scenarios.support import ROOT

TREE = ROOT / "tests" / "adopted" / "tree"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """Return a target that is not there."""
    env = {"PULUMI_HOME": str(tmp_path / "pulumi")}
    return nowhere(Target, tmp_path, state=tmp_path, env=env)


@pytest.fixture
def tree() -> Project:
    """Return the repository that was adopted."""
    return Project(TREE, TREE / "catalog.toml")


def test_buckets_and_keys_are_those_of_the_files(tree) -> None:
    """Each once, whatever the stage; no file names more."""
    assert set(_named(tree)) == {
        ("s3", "harbor-state"),
        ("awskms", "alias/harbor-ci"),
        ("awskms", "alias/harbor-live"),
    }


VERSIONS = """echo '{"aws": "6.63.0", "consul": "7.0.0"}'"""


@pytest.mark.parametrize("says", [VERSIONS, "exit 1", ""])
def test_plugins_have_the_versions_that_their_python_asks_for(
    tree, target, tmp_path, says
) -> None:
    """Beside our own; a Python that cannot be asked changes nothing."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    if says:
        python.write_text(f"#!/bin/sh\n{says}\n")
        python.chmod(0o755)
    ours = [("aws", plugin_version("aws")), ("consul", plugin_version("consul"))]
    for name, version in ours:
        folder = tmp_path / "pulumi" / "plugins" / f"resource-{name}-v{version}"
        folder.mkdir(parents=True)
        (folder / f"pulumi-resource-{name}").write_text(name)
    pulumi = tree.catalog.tools.pulumi.model_copy(update={"prefix": [str(python)]})
    tools = tree.catalog.tools.model_copy(update={"pulumi": pulumi})
    tree.catalog = tree.catalog.model_copy(update={"tools": tools})
    _plugins(tree, target)
    found = {path.name for path in (tmp_path / "pulumi" / "plugins").iterdir()}
    theirs = {"resource-aws-v6.63.0", "resource-consul-v7.0.0"}
    own = {f"resource-{name}-v{version}" for name, version in ours}
    assert found == own | (theirs if says.startswith("echo") else set())
