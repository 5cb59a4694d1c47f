"""`olrunbook lint`: what is missing in apps and notebooks, and what to type."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olrunbook import cli
from olrunbook.adopt.lint import Report, lint
from olrunbook.project.catalog import find_project
from olrunbook.project.params import declared, filed, read_notebook
from olrunbook.run import Run as RunClass
from tests.test_tree import ROOT

Run = Callable[..., tuple[int, str, str]]

CATALOG = """
schema = 1

[targets.rehearsal]
title = "rehearsal"

[stages]
order = ["CI", "QA"]

[apps.good]
title = "an app without a fault"
node_types = ["web"]

[apps.good.image]
template = "images/default"
only = "amazon-ebs.third-party"
deploy = "images/good/deploy.py"
name = "good-{node_type}-*"

[apps.good.stack]
path = "stacks/good"
project = "good"
stack = "good.{stage}"
image_config = { web = "good:image_id" }
groups = { web = "good-web-{stage_lower}" }
secrets = ["good:token"]

[[apps.good.checks]]
name = "it answers"
path = "/"
"""
PULUMI = {
    "Pulumi.yaml": "name: good\nruntime: python\n",
    "__main__.py": 'image = config.get("image_id")\nraise SystemExit(1)\n',
    "Pulumi.good.CI.yaml": "secretsprovider: passphrase\nconfig: {}\n",
    "Pulumi.good.QA.yaml": "secretsprovider: passphrase\n",
}
BEGIN = 'import olrunbook\nrun = olrunbook.begin("sample", app="good")'
PARAMETERS = "# parameters\nfrom olrunbook import App, Stage\napp: App = 'good'"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with one app, in which nothing is wrong."""
    root = tmp_path / "tree"
    stack = root / "stacks" / "good"
    for folder in (stack, root / "images" / "good", root / "notebooks"):
        folder.mkdir(parents=True)
    (root / "catalog.toml").write_text(CATALOG)
    (root / "images/good/deploy.py").write_text("raise SystemExit(1)\n")
    for name, text in PULUMI.items():
        (stack / name).write_text(text)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def notebook(tree: Path, make_notebook: Callable[..., Path]) -> Callable[..., Path]:
    """Return a maker of notebooks in the tree's folder."""

    def make(*sources: str, name: str = "sample", **more: Any) -> Path:
        made = make_notebook(*sources, name=name, **more)
        return Path(shutil.move(made, tree / "notebooks" / made.name))

    return make


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a caller of the command: its exit code, and what it printed."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["lint", *words])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def found(*words: str) -> list[tuple[str, str, str]]:
    """Return place, level and fault of each finding in the project we are in."""
    project = find_project()
    paths = sorted(project.root.glob("notebooks/*.ipynb"))
    rows = lint(project, words or project.catalog.apps, paths, RunClass).rows
    assert all(row.hint for row in rows)
    return [
        (f"{row.where} {row.cell}" if row.cell else row.where, row.level, row.wrong)
        for row in rows
    ]


def change(path: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts of a file."""
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.mark.parametrize("project", [".", "examples/hello"])
def test_what_is_shipped_lacks_nothing(
    project: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This repository and its example are as they ask others to be."""
    monkeypatch.chdir(ROOT / project)
    code, said, _ = run()
    assert (code, said) == (0, f"{find_project_counts()}: nothing to do\n")


def find_project_counts() -> str:
    """Return how the project we are in is counted."""
    apps, root = len(find_project().catalog.apps), find_project().root
    notebooks = len([*root.glob("notebooks/*.ipynb")])
    return f"{notebooks} notebooks, {apps} app{'s' * (apps > 1)}"


def test_one_line_where_all_is_well(run: Run, notebook: Callable[..., Path]) -> None:
    """Any notebook is welcome; nothing of the project is run."""
    notebook(PARAMETERS, BEGIN, "await run.gate(run.preview())", "run.conclude()")
    notebook("%matplotlib inline\nprint(1)\n!ls", "%%bash\nfor f in *; do", name="own")
    assert run() == (0, "2 notebooks, 1 app: nothing to do\n", "")
    assert run("good")[1] == "0 notebooks, 1 app: nothing to do\n"
    assert run("notebooks/own.ipynb")[1] == "1 notebook, 0 apps: nothing to do\n"


def test_each_fault_of_an_app_is_named_once(tree: Path) -> None:
    """Template, deploy, stack, settings, checks and groups; no more than that."""
    stack = tree / "stacks" / "good"
    change(
        tree / "catalog.toml",
        ("amazon-ebs.third-party", "amazon-ebs.none"),
        ("images/good/deploy.py", "images/good/deploy.sh"),
        ("good-web-{stage_lower}", "good-web"),
        ('project = "good"', 'project = "other"'),
    )
    text = (tree / "catalog.toml").read_text()
    (tree / "catalog.toml").write_text(text.partition("[[apps")[0])
    (tree / "images/good/deploy.sh").write_text("")
    (stack / "__main__.py").write_text("pass\n")
    (stack / "Pulumi.good.QA.yaml").unlink()
    config = "config:\n  good:image_id: ami-1\n  good:token: plain\n"
    (stack / "Pulumi.good.CI.yaml").write_text(config)
    at, ci = "stacks/good", "Pulumi.good.CI.yaml"
    assert found() == [
        ("good", "error", "only: images/default has no source amazon-ebs.none"),
        ("good", "error", "deploy: images/good/deploy.sh is no .py file"),
        ("good", "warning", "no checks: a rollout asks the service nothing"),
        ("good", "error", "groups: good-web is of more than one stage"),
        (
            "good",
            "error",
            f"stack: {at}/Pulumi.yaml names project 'good', but the catalog 'other'",
        ),
        (
            "good",
            "warning",
            f"stack: no .py file of {at} names the setting good:image_id",
        ),
        (
            "good CI",
            "warning",
            f"stack: {ci} names no secretsprovider",
        ),
        (
            "good CI",
            "warning",
            f"stack: {ci} pins good:image_id; a deploy names its images itself",
        ),
        (
            "good CI",
            "error",
            f"stack: the secret good:token stands in {ci} as it is",
        ),
        ("good QA", "error", "stack: stacks/good lacks Pulumi.good.QA.yaml"),
    ]


def test_what_is_not_there_or_of_the_wrong_kind_is_named(tree: Path) -> None:
    """A file for a folder, a name that cannot be filled in, settings that are none."""
    change(
        tree / "catalog.toml",
        ("images/default", "catalog.toml"),
        ("images/good/deploy.py", "images/gone/deploy.py"),
        ("stacks/good", "stacks/gone"),
    )
    wrongs = [wrong for _, _, wrong in found()]
    assert wrongs[0] == (
        "template: catalog.toml is neither a folder nor a *.pkr.hcl file"
    )
    assert wrongs[1].startswith("deploy: images/gone/deploy.py is neither in")
    assert wrongs[2].startswith("stack: stacks/gone is neither in")
    assert len(wrongs) == 3
    change(tree / "catalog.toml", ("stacks/gone", "stacks/good"), ("{stage}", "{env}"))
    assert [wrong for _, _, wrong in found()][2:] == [
        "stack: a name in the catalog cannot be filled in: 'env'"
    ]
    change(tree / "catalog.toml", ("{env}", "{stage}"))
    (tree / "stacks/good/Pulumi.good.CI.yaml").write_text("secretsprovider: [\n")
    config = "secretsprovider: passphrase\nconfig: [1]\n"
    (tree / "stacks/good/Pulumi.good.QA.yaml").write_text(config)
    (tree / "stacks/good/__main__.py").unlink()
    lacks, ci, qa = [wrong for _, _, wrong in found()][2:]
    assert lacks == "stack: stacks/good lacks __main__.py"
    assert ci.startswith("stack: Pulumi.good.CI.yaml is not YAML")
    assert qa == "stack: config in Pulumi.good.QA.yaml is not a mapping"


def test_a_backend_that_cannot_be_read_is_named(tree: Path) -> None:
    """Unless the catalog names another; no backend is none that is wrong."""
    file = tree / "stacks/good/Pulumi.yaml"
    change(file, ("name: good", "name: good\nbackend:\n  url: gs://ours"))
    wrong = "stack: Pulumi's backend is gs://ours: wanted s3://… or file://…"
    assert found() == [("good", "error", wrong)]
    with (tree / "catalog.toml").open("a") as catalog:
        catalog.write('[tools.pulumi.environment]\nPULUMI_BACKEND_URL = "$OURS"\n')
    assert found() == []


def test_the_default_template_needs_the_app_s_folder(tree: Path) -> None:
    """It is the rule of the build, told before it."""
    (tree / "images/good").rename(tree / "images/other")
    change(tree / "catalog.toml", ("images/good", "images/other"))
    wrong = "deploy: images/other/deploy.py is not good/deploy.py"
    assert found() == [("good", "error", wrong)]


def test_a_file_of_rules_that_is_no_python_is_named(tree: Path) -> None:
    """No deploy would go on with it; rules are read here, and not run."""
    (tree / "rules").mkdir()
    (tree / "rules/late.py").write_text("def (")
    (tree / "rules/ours.py").write_text("raise SystemExit(1)")
    [(where, level, wrong)] = found()
    assert (where, level) == ("rules/late.py", "error")
    assert wrong.startswith("SyntaxError: ")


def test_checks_that_cannot_be_told_apart_are_named(tree: Path) -> None:
    """The record names a check by its name alone."""
    with (tree / "catalog.toml").open("a") as file:
        file.write('[[apps.good.checks]]\nname = "it answers"\npath = "/other"\n')
    assert {wrong for _, _, wrong in found()} == {
        "checks: the name 'it answers' does not tell which one it is"
    }


def test_each_fault_of_a_notebook_is_named_with_its_cell(
    notebook: Callable[..., Path],
) -> None:
    """Types, steps, await, secret, outputs and the end; no more than that."""
    key = "AKIA" + "Z7" * 8
    path = notebook(
        "# parameters\nfrom olrunbook import App\napp: Ap = 'good'\nn: int = 1",
        BEGIN,
        f"%time run.preflight('deploy')\nkey = '{key}'\nrun.preveiw()",
        "run.gate(run.preview())",
        "x = = 1",
    )
    body = json.loads(path.read_text())
    shown = {"output_type": "stream", "name": "stdout", "text": "1"}
    body["cells"][3] |= {"outputs": [shown], "execution_count": 1}
    path.write_text(json.dumps(body))
    at = "notebooks/sample.ipynb"
    rows = found()
    assert rows == [
        (f"{at} 3", "error", "what looks like a secret, in line 2"),
        (f"{at} 5", "warning", rows[1][2]),
        (at, "error", "it has outputs, in cell 4"),
        (f"{at} 1", "warning", "app: no type Ap, so it is not checked"),
        (
            f"{at} 2",
            "error",
            "begin without conclude, so that no run of it will have succeeded",
        ),
        (f"{at} 3", "error", "run.preveiw: a run has no such step"),
        (f"{at} 4", "error", "run.gate without await does nothing"),
    ]
    assert rows[1][2].startswith("it is no Python: invalid syntax")


def test_what_to_do_can_be_typed(notebook: Callable[..., Path], run: Run) -> None:
    """The nearest name, the whole command, and never the secret itself."""
    key = "AKIA" + "Z7" * 8
    notebook(PARAMETERS, BEGIN, f"k = '{key}'\nrun.preveiw()\nrun.conclude()")
    code, said, _ = run()
    assert code == 1
    assert said.startswith("✗ failed  1 notebook, 1 app: 2 errors\n")
    assert "notebooks/sample.ipynb cell 3: Did you mean preview?" in said
    assert key not in said


def test_what_to_type_holds_where_one_is(
    tree: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that is elsewhere; no settings of another stage are to be copied."""
    (tree / "stacks/good/Pulumi.good.QA.yaml").unlink()
    monkeypatch.chdir(tree.parent)
    monkeypatch.setenv("OLRUNBOOK_PROJECT", "tree")
    code, said, _ = run()
    at = "tree/stacks/good"
    assert code == 1
    new = f"pulumi stack init -s good.QA -C {at} --secrets-provider awskms://alias/…"
    assert f"good QA: Make the stack: {new}" in said
    assert "cp " not in said


@pytest.mark.parametrize(
    ("catalog", "there", "said"),
    [
        ("applications.good.{stage}", "CI", 'set stack = "{stage}"'),
        ("applications.good.{stage}", "good.ci", 'set stack = "good.{stage_lower}"'),
        ("{stage}", "good.CI", 'set stack = "good.{stage}"'),
        ("data.{stage}", "bigdata.CI", "Make the stack: pulumi stack init -s data.CI "),
        ("{stage}", "good.Production", "Make the stack: pulumi stack init -s CI "),
    ],
)
def test_a_stage_s_stack_of_another_name_is_named(
    tree: Path, run: Run, catalog: str, there: str, said: str
) -> None:
    """Where it is the same stack; else what makes one is said."""
    change(tree / "catalog.toml", ("good.{stage}", catalog))
    for stage in ("CI", "QA"):
        (tree / f"stacks/good/Pulumi.good.{stage}.yaml").unlink()
    (tree / f"stacks/good/Pulumi.{there}.yaml").write_text("config: {}\n")
    rows = Report.model_validate_json(run("--json")[1]).rows
    (hint,) = (row.hint for row in rows if row.where == "good CI")
    assert hint.startswith(said)


def test_what_init_left_open_in_the_catalog_is_to_be_done(tree: Path, run: Run) -> None:
    """Each line with its number; a notebook that is named alone has none."""
    with (tree / "catalog.toml").open("a") as file:
        file.write("\n# Of init; `#?` marks it.\n#? groups: the tag Name of each\n")
    (line,) = (n for n, text in enumerate(lines(tree), 1) if text.startswith("#?"))
    wrong = f"line {line}: #? groups: the tag Name of each"
    assert found("good") == [("catalog.toml", "error", wrong)]
    assert run()[0] == 1


def lines(tree: Path) -> list[str]:
    """Return the lines of the catalog."""
    return (tree / "catalog.toml").read_text().splitlines()


def test_a_secret_that_is_none_can_be_said_to_be_none(
    notebook: Callable[..., Path],
) -> None:
    """The words are those of detect-secrets; text cells are looked at, too."""
    path = notebook(f"k = 'AKIA{'Z7' * 8}'  # pragma: allowlist secret")
    assert found() == []
    body = json.loads(path.read_text())
    text = f"Use\n\npass{'word'} = 'k{'8Zq' * 5}'"
    body["cells"] = [{"cell_type": "markdown", "id": "a", "metadata": {}}]
    body["cells"][0]["source"] = text.splitlines(keepends=True)
    path.write_text(json.dumps(body))
    wrong = "what looks like a secret, in line 3"
    assert found() == [("notebooks/sample.ipynb 1", "error", wrong)]


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        ("app: App = make()", "its default must be written out"),
        ("n: int = 'x'", "its default 'x' is not of type int"),
        ("stage: Stage = 'Moon'", "stage 'Moon' is unknown"),
        ("n: int = (", "the parameters cell cannot be read"),
    ],
)
def test_a_parameters_cell_that_a_run_would_refuse_is_one_error(
    cell: str, wrong: str, notebook: Callable[..., Path]
) -> None:
    """What `olrunbook run` would say is said before."""
    notebook(f"# parameters\n{cell}", "print(1)")
    ((where, level, said),) = found()
    assert (where, level) == ("notebooks/sample.ipynb 1", "error")
    assert wrong in said


def test_begin_without_a_parameters_cell_is_a_warning(
    notebook: Callable[..., Path], run: Run
) -> None:
    """It runs; and a warning alone is no failure."""
    notebook(BEGIN, "run.conclude()")
    code, said, _ = run()
    assert code == 0
    assert said.startswith("▲ warning  1 notebook, 1 app: 1 warning\n")
    assert "no cell is tagged parameters" in said


def test_conclude_without_begin_is_an_error(notebook: Callable[..., Path]) -> None:
    """But only where the name is set nowhere: other things conclude, too."""
    notebook("run.conclude()")
    where = "notebooks/sample.ipynb 1"
    assert found() == [(where, "error", "conclude without begin")]
    notebook("run = debate()", "run.conclude()")
    assert found() == []
    notebook("from mine import *", "run.conclude()")
    assert found() == []


@pytest.mark.parametrize(
    "cells",
    [
        ("from olrunbook import begin\nr = begin('x', app=app)\nr.conclude()",),
        (BEGIN, "def end(it): it.conclude()", "end(run)"),
        (BEGIN, "finish(run)"),
        (BEGIN, "run.images['web'], run.run_id, run.rollback", "run.conclude()"),
        (BEGIN, "ask = run.gate(plan)", "await ask", "run.conclude()"),
        (BEGIN, "await asyncio.wait_for(run.gate(plan), 9)", "run.conclude()"),
        (BEGIN, "run.conclude()", "run = other()", "run.own()"),
        (BEGIN, "a = (7\n  % 4)\nrun.conclude()"),
    ],
)
def test_what_works_is_no_finding(
    cells: tuple[str, ...], notebook: Callable[..., Path]
) -> None:
    """Where it cannot be seen that something is wrong, nothing is said."""
    notebook(PARAMETERS, *cells)
    assert found() == []


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "notebooks/sample.ipynb is not a notebook: Expecting value"),
        (b"\xff\xfe\x00", "is not a notebook: "),
        (b"[" * 100_000, "is not a notebook: "),
        (b"[]", "notebooks/sample.ipynb is not a notebook: it has no cells"),
        (b'{"nbformat": 3, "worksheets": []}', "of nbformat 3, wanted is 4"),
        (b'{"cells": [], "nbformat": 5, "nbformat_minor": 0}', "['nbformat'] 5 is"),
        (b'{"cells": [1], "nbformat": 4, "metadata": {}}', "no notebook of nbformat 4"),
        (
            b"""{"cells": [], "nbformat": 4, "nbformat_minor": 4, "metadata":
            {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}}""",
            "notebooks/sample.ipynb is a notebook in R",
        ),
    ],
)
def test_what_is_no_notebook_is_one_error(
    content: bytes, wrong: str, tree: Path, run: Run
) -> None:
    """It is named, and the rest is looked at."""
    (tree / "notebooks/sample.ipynb").write_bytes(content)
    code, said, _ = run("--json")
    report = Report.model_validate_json(said)
    assert (code, report.notebooks, report.apps) == (1, 1, 1)
    (row,) = report.rows
    assert row.level == "error"
    assert wrong in row.wrong


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cell_type", "source", "metadata", "tags", "outputs", "id", "name"]
            ),
            inner | st.sampled_from(["code", "markdown", "run.gate()", "x: App = 1"]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=60)
@given(cells=st.lists(CELLS, max_size=3), meta=CELLS, minor=st.integers(-1, 6))
def test_no_content_makes_it_fail(
    tmp_path_factory: pytest.TempPathFactory, cells: Any, meta: Any, minor: int
) -> None:
    """Whatever is in the file, it ends with findings."""
    root = tmp_path_factory.mktemp("any")
    path = root / "any.ipynb"
    body = {"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": minor}
    path.write_text(json.dumps(body))
    report = lint(find_project(ROOT), [], [path], RunClass)
    assert {row.where for row in report.rows} <= {str(path)}


def test_wrong_usage_is_told(run: Run, tree: Path) -> None:
    """An app or a file that is not there, and a catalog that cannot be read."""
    code, _, said = run("goof")
    assert code == 2
    assert "Did you mean good?" in said
    code, _, said = run("notebooks/none.ipynb")
    assert code == 2
    assert "there is no file" in said
    assert run("--yaml")[0] == run("")[0] == 2
    (tree / "catalog.toml").write_text("schema = 1\n")
    assert run()[0] == 2


def test_apps_can_be_completed(tree: Path) -> None:
    """Tab offers the catalog's apps."""
    command = cli.cli.get_command(None, "lint")
    words = command.params[0]
    offered = words.shell_complete(command.make_context("lint", []), "g")
    assert [item.value for item in offered] == ["good"]


def test_begin_is_found_in_a_cell_with_magics(
    notebook: Callable[..., Path], tree: Path
) -> None:
    """Where its runs are filed does not hang on them; `%` may be Python, too."""
    cell = "# parameters\nn: int = (7\n  % 4)  # so many"
    read = read_notebook(notebook(cell, f"%matplotlib inline\n{BEGIN}"))
    parameters = declared(read, find_project(tree).catalog)
    assert parameters["n"].help == "so many"
    assert filed(read, parameters, {})["app"] == "good"
