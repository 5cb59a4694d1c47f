"""`olrunbook init`: a catalog of a repository that exists, or an empty project."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pulumi_aws
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olrunbook import cli
from olrunbook.adopt.init import propose
from olrunbook.adopt.new import start
from olrunbook.adopt.tree import PulumiProject, survey
from olrunbook.project.catalog import Catalog, load_catalog

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., tuple[int, str, str]]
SHARED = "src/bilder/images"
APPS, INFRA = (
    "src/ol_infrastructure/applications",
    "src/ol_infrastructure/infrastructure",
)
SECURE = "secretsprovider: awskms://alias/some\nconfig:\n  aws:region: eu-west-1\n"
# The shape of a repository with a shared template and one of its own, packages under
# `src`, both ways to name stacks, and programs that look their image up.
TREE = {
    "uv.lock": "version = 1\n",
    "src/bilder/__init__.py": "",
    "src/bridge/__init__.py": "",
    "src/bridge/pulumi/__init__.py": "",  # part of a package, not what programs import
    "src/bridge/secrets/consul/consul.env": "encrypted\n",
    f"{SHARED}/config.pkr.hcl": "packer {\n  required_plugins {\n  }\n}\n",
    f"{SHARED}/variables.pkr.hcl": """
variable "app_name" {
  validation {
    condition = contains(["concourse", "consul"], var.app_name)
  }
}
variable "build_environment" {
  default = "operations-ci"
}
variable "node_type" {
  default = "server"
  validation {
    condition = contains(["web", "worker", "server"], var.node_type)
  }
}
""",
    f"{SHARED}/packer.pkr.hcl": """
source "docker" "other" {
  image = "debian:bookworm"
}
source "amazon-ebs" "third-party" {
  ami_name = "${var.app_name}-${var.node_type}-${local.timestamp}"
}
build {
  sources = ["source.amazon-ebs.third-party"]
}
""",
    f"{SHARED}/tika/tika.pkr.hcl": """
locals {
  app_name = "tika"
}
variable "node_type" {
  default = "server"
}
variable "licence" {
  type = string
}
source "amazon-ebs" "tika" {
  ami_name = "${local.app_name}-${var.node_type}-${formatdate("YYYY", timestamp())}"
}
build {
  sources = ["source.amazon-ebs.tika"]
}
""",
    f"{SHARED}/tika/deploy.py": """
import os
from bilder.components import thing
from bridge.secrets.sops import set_env_secrets
set_env_secrets("consul/consul.env")
VERSION = os.environ.get("TIKA_VERSION", "1")
""",
    f"{SHARED}/concourse/deploy.py": """
import os
from bilder.components import thing
node_type = os.environ.get("NODE_TYPE", "web")
if node_type == "worker":
    pass
""",
    f"{SHARED}/consul/deploy.py": "from bilder.components import thing\n",
    f"{SHARED}/retired/deploy.py": "from bilder.components import thing\n",
    "src/ol_infrastructure/__init__.py": "",
    f"{APPS}/tika/Pulumi.yaml": """
name: ol-infrastructure-tika-server
runtime: python
backend:
  url: s3://some-state/
""",
    f"{APPS}/tika/__main__.py": """
from pulumi import Config
from pulumi_aws import ec2
from ol_infrastructure.lib.scaling import OLAutoScaling
tika_config = Config("tika")
stack_info = parse_stack()
tags = {"Name": f"tika-server-{stack_info.env_name}"}
image = ec2.get_ami(
    filters=[
        ec2.GetAmiFilterArgs(name="name", values=["tika-server-*"]),
    ],
    most_recent=True,
    owners=["self"],
)
OLAutoScaling(asg_name=f"tika-server-{stack_info.env_name}", health_check_path="/v")
""",
    f"{APPS}/concourse/Pulumi.yaml": "name: ol-concourse\nruntime: {name: python}\n",
    f"{APPS}/concourse/__main__.py": """
from pulumi import Config
concourse_config = Config("concourse")
web = concourse_config.get("web_image_id")
worker = concourse_config.require("worker_image_id")
names = ["concourse-web-*", "concourse-worker-*"]
OLAutoScaling(asg_name=f"concourse-web-{stack_info.env_suffix}")
OLAutoScaling(asg_name=f"concourse-worker-{stack_info.env_suffix}-{name}")
""",
    f"{INFRA}/consul/Pulumi.yaml": "name: ol-infrastructure-consul\nruntime: python\n",
    f"{INFRA}/consul/__main__.py": """
image = aws.ec2.get_ami(filters=[], most_recent=True)
tags = {"Name": f"consul-server-{env_name}"}
OLAutoScaling(asg_name=f"consul-server-{env_name}")
""",
    f"{INFRA}/consul/Pulumi.apps.QA.yaml": "config: {}\n",
    f"{INFRA}/consul/Pulumi.apps.Production.yaml": "config: {}\n",
    f"{INFRA}/consul/Pulumi.operations.CI.yaml": "config: {}\n",
    f"{APPS}/charts/Pulumi.yaml": "name: charts\nruntime: nodejs\n",
    ".venv/lib/there/deploy.py": "import pyinfra\n",
}
for _stage in ("Production", "CI", "QA"):
    TREE[f"{APPS}/tika/Pulumi.applications.tika.{_stage}.yaml"] = (
        f"{SECURE}  tika:token:\n    secure: v1:abc\n"
    )
    TREE[f"{APPS}/concourse/Pulumi.{_stage}.yaml"] = (
        f"{SECURE}  concourse:db:\n    password:\n      secure: v1:abc\n"
    )


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the repository's folder, which is the working directory."""
    root = tmp_path / "tree"
    for path, text in TREE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a caller of the command line: its exit code, and what it printed."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([*words])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def made(tree: Path, run: Run) -> Catalog:
    """Return the catalog that was written of the repository."""
    code, said, _ = run("init")
    assert code == 0
    assert said.endswith("Written: ./catalog.toml. Next: olrunbook lint\n")
    return load_catalog(tree / "catalog.toml")


def test_templates_deploys_and_stacks_are_put_together(made: Catalog) -> None:
    """A template of its own and the shared one, both names of stacks, their stages."""
    assert [*made.apps] == ["concourse", "consul-apps", "consul-operations", "tika"]
    tika, consul = made.app("tika"), made.app("consul-apps")
    assert tika.image.model_dump(exclude_defaults=True) == {
        "template": f"{SHARED}/tika/tika.pkr.hcl",
        "only": "amazon-ebs.tika",
        "deploy": f"{SHARED}/tika/deploy.py",
        "name": "tika-{node_type}-*",
    }
    assert tika.stack is not None
    assert tika.stack.model_dump(exclude_defaults=True) == {
        "path": f"{APPS}/tika",
        "project": "ol-infrastructure-tika-server",
        "stack": "applications.tika.{stage}",
        "image_lookup": True,
        "groups": {"server": ["tika-server-tika-{stage_lower}"]},
        "secrets": ["tika:token"],
    }
    assert tika.probe.path == "/v"
    assert made.stages_of("tika") == ["CI", "QA", "Production"]
    assert consul.stages == ["QA", "Production"]
    assert consul.image.template == SHARED
    assert consul.image.only == "amazon-ebs.third-party"
    assert consul.image.variables == {"app_name": "consul"}
    assert consul.stack is not None
    assert consul.stack.group_tags("QA") == [("server", "consul-server-apps-qa")]
    assert made.app("concourse").node_types == ["web", "worker"]


def test_what_the_tools_need_is_found(made: Catalog) -> None:
    """The lock file's own runner, and the folder from which the tree is imported."""
    for tool in (made.tools.packer, made.tools.pyinfra, made.tools.pulumi):
        assert tool.prefix == ["uv", "run", "--frozen", "--no-sync"]
        assert tool.environment == {"PYTHONPATH": "src"}


def test_what_is_unknown_is_a_comment_there_and_a_line_at_the_end(
    tree: Path, run: Run
) -> None:
    """Rows that are not sure are comments; taken for sure, they can be read."""
    _, said, listed = run("init", "--print")
    marks = re.findall(r"^#\? (.*)$", said, re.MULTILINE)
    unknown = json.loads(run("init", "--print", "--json")[1])["unknown"]
    assert [one.partition(": ")[2] for one in unknown] == marks
    assert all(f"  {one}\n" in listed for one in unknown)
    for text in (
        "concourse: groups: the tag Name of each, or name: and how it is called",
        "tika: values of the variables licence",
        "tika: the secrets it decrypts, and what must be in them",
        "retired: no Pulumi project of its name: it is only tested and built",
        "tools.pyinfra: which of these it needs of your shell: TIKA_VERSION",
    ):
        assert text in unknown
    assert '["sops", "--decrypt", "src/bridge/secrets/consul/consul.env"]' in said
    assert (
        'groups = { web = "name:concourse-web-{stage_lower}-auto-scale-group", ' in said
    )
    assert 'secrets = ["concourse:db"]' in said
    assert "aws:region eu-west-1" in said
    assert f"without an image here: {APPS}/charts\n" in said
    sure = re.sub(r"^# (?=\[apps|[a-z_]+ = )", "", said, flags=re.MULTILINE)
    whole = Catalog.model_validate(tomllib.loads(sure))
    assert whole.app("concourse").stack is not None
    assert whole.app("retired").stack is None


def test_a_program_that_looks_up_its_image_is_told_how_it_takes_a_pin(
    tree: Path, run: Run
) -> None:
    """A few lines, which are Python; once for a program."""
    pins = json.loads(run("init", "--print", "--json")[1])["pins"]
    assert [one.partition("/__main__.py")[0] for one in pins] == [
        f"{INFRA}/consul",
        f"{APPS}/tika",
    ]
    assert 'image_config = { server = "tika:image_id" }' in pins[1]
    lines = pins[1].partition("…,\n")[2].partition("    ],\n")[0]
    program, at = TREE[f"{APPS}/tika/__main__.py"], "    ],\n    most_recent"
    ast.parse(program.replace(at, lines + at))
    assert 'if (pinned := tika_config.get("image_id"))' in lines
    assert "[ec2.GetAmiFilterArgs(" in lines
    assert pulumi_aws.ec2.GetAmiFilterArgs


def test_nothing_is_overwritten_and_what_cannot_be_is_a_usage_error(
    tree: Path, run: Run, tmp_path: Path
) -> None:
    """Exit code 2, with what to do; --print writes nothing."""
    assert run("init", "--print")[0] == 0
    assert not (tree / "catalog.toml").exists()
    (tree / "catalog.toml").write_text("mine")
    code, _, said = run("init")
    assert (code, (tree / "catalog.toml").read_text()) == (2, "mine")
    assert "olrunbook init --print" in said
    assert run("init", "--print")[0] == 0
    (tmp_path / "empty").mkdir()
    code, _, said = run("init", str(tmp_path / "empty"))
    assert code == 2
    assert "olrunbook init --new NAME" in said
    assert not [*(tmp_path / "empty").iterdir()]
    for words in (
        ["none"],
        ["uv.lock"],
        [""],
        ["--new", ""],
        ["--new", "x", "--print"],
    ):
        assert run("init", *words)[0] == 2
    assert "init --new hello my" in run("init", "--help")[1]


def test_files_that_are_no_yaml_are_named_and_left_out(tree: Path) -> None:
    """The rest of the tree is found as before."""
    (tree / APPS / "tika/Pulumi.yaml").write_text("name: [\n")
    found = propose(survey(tree))
    assert any(f"{APPS}/tika: Pulumi.yaml is not YAML" in one for one in found.unknown)
    assert "tika" in found.apps


def test_a_name_of_images_that_cannot_be_read_is_marked(tree: Path, run: Run) -> None:
    """It would match other apps' images; `lint` names each mark that is left."""
    file = tree / SHARED / "tika/tika.pkr.hcl"
    file.write_text(file.read_text().replace("local.app_name", "local.app"))
    _, said, _ = run("init")
    text = "name: the app's could not be read in the template's ami_name"
    assert f"tika: {text}" in said
    assert said.count(text) == 1
    catalog = (tree / "catalog.toml").read_text()
    assert f'name = "*-{{node_type}}-*"\n#? {text}' in catalog
    code, said, _ = run("lint", "--json")
    wrongs = [row["wrong"] for row in json.loads(said)["rows"]]
    marks = [one for one in catalog.splitlines() if one.startswith("#?")]
    assert code == 1
    assert [w.partition(": ")[2] for w in wrongs if w.startswith("line ")] == marks


TEXT = st.text("\"'{}[]=:${.\n#ab\\\x7fé ", max_size=30)


@given(st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT))
@settings(max_examples=60, deadline=None)
def test_whatever_is_found_the_catalog_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, ...]
) -> None:
    """Strange names and texts end as comments or as strings, not as broken TOML."""
    root = tmp_path_factory.mktemp("strange")
    ami, default, deploy, program, value = texts
    files = {
        "a/a.pkr.hcl": f'source "amazon-ebs" "a" {{\nami_name = "{ami}"\n}}\n'
        f'variable "v" {{\ndefault = {default}\n}}\nbuild {{\n}}\n',
        "a/deploy.py": f"import os\n{deploy}\nsops 'x.env'\n",
        "s/a/Pulumi.yaml": f"name: a\nruntime: python\nbackend: {json.dumps(value)}\n",
        "s/a/__main__.py": f'c = Config("a")\nc.get("image_id")\n{program}\n'
        f'tags = {{"Name": f"a-{program}-{{env_suffix}}"}}\n',
        "s/a/Pulumi.CI.yaml": f"config: {json.dumps(value)}\n",
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    found = propose(survey(root))
    catalog = Catalog.model_validate(tomllib.loads(found.catalog))
    assert [*found.apps] == ["a"] == [*catalog.apps]


def test_what_a_project_says_may_be_of_any_form() -> None:
    """A runtime with options is one too."""
    for runtime, python in (
        ("python", True),
        ({"name": "python"}, True),
        ("go", False),
    ):
        one = PulumiProject("p", {"runtime": runtime, "backend": "x"}, "", {})
        assert one.python == python
        assert one.backend == one.name == ""


# -- a new project ------------------------------------------------------------------


def test_a_new_project_is_the_example_under_its_own_name(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the example's name is left, and `lint` has nothing to say."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLRUNBOOK_PROJECT", "")
    code, said, _ = run("init", "--new", "greet", "my")
    assert code == 0
    assert "olrunbook --project my release greet\n" in said
    files = [file for file in (tmp_path / "my").rglob("*") if file.is_file()]
    example = [f for f in (ROOT / "examples/hello").rglob("*.*") if f.is_file()]
    own = [f for f in example if not {"outputs", "__pycache__"} & {*f.parts}]
    assert len(files) == len(own) + 1 + ("Caddyfile" not in {f.name for f in own})
    for file in files:
        assert "hello" not in file.read_text()
        assert "hello" not in str(file.relative_to(tmp_path / "my"))
    code, said, _ = run("--project", "my", "lint")
    assert (code, said) == (0, "0 notebooks, 1 app: nothing to do\n")


@pytest.mark.parametrize(
    "name", ["Hello", "a", "a_b", "-ab", "ab-", "thirteenchars", ""]
)
def test_a_name_that_aws_would_not_take_is_refused(
    tmp_path: Path, run: Run, name: str
) -> None:
    """Before anything is written."""
    assert run("init", "--new", name, str(tmp_path / "my"))[0] == 2
    assert not (tmp_path / "my").exists()


def test_a_new_project_overwrites_nothing(tmp_path: Path, run: Run) -> None:
    """One file that is there, and none is written; a .gitignore stays as it is."""
    (tmp_path / ".gitignore").write_text("mine")
    start(tmp_path, "one")
    assert (tmp_path / ".gitignore").read_text() == "mine"
    before = sorted(tmp_path.rglob("*"))
    code, _, said = run("init", "--new", "two", str(tmp_path))
    assert code == 2
    assert "catalog.toml is there already" in said
    assert sorted(tmp_path.rglob("*")) == before
