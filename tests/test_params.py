"""Parameters: declared once, typed, and a text stays the text that was typed."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from click.shell_completion import ShellComplete

from olrunbook.archive.place import list_runs, read_record
from olrunbook.cli import cli, main
from olrunbook.errors import ToolError, UsageError
from olrunbook.project.catalog import load_catalog
from olrunbook.project.params import (
    check,
    declared,
    defaults,
    filed,
    from_text,
    injected,
    read_notebook,
)

CELL = """# parameters
from olrunbook import App, Stage, Target
app: App = "tika"  # the app
stage: Stage = "CI"
images: str = ""  # the image set
count: int = 1
ratio: float = 0.5
fast: bool = False
on_error: Literal["cleanup", "abort"] = "cleanup"
target: Target = "rehearsal"
"""


@pytest.fixture
def parameters(make_notebook, project):
    """Return the declarations of the sample notebook."""
    return declared(read_notebook(make_notebook(CELL, "print(app)")), project.catalog)


def test_a_declaration_gives_type_choices_default_and_help(parameters) -> None:
    """The cell is the only place where a parameter is described."""
    assert list(parameters)[:3] == ["app", "stage", "images"]
    assert parameters["app"].choices == ("tika", "concourse")
    assert parameters["stage"].choices == ("CI", "QA", "Production")
    assert parameters["images"].help == "the image set"
    assert parameters["on_error"].choices == ("cleanup", "abort")


@pytest.mark.parametrize(
    "text",
    [
        "012345678901",
        "7e12345",
        "1_000",
        "no",
        "null",
        "None",
        "1.0",
        "1e400",
        '"true"',
        "-3",
        "",
    ],
)
def test_a_text_stays_the_text_that_was_typed(parameters, text) -> None:
    """Account numbers and short hashes are not numbers."""
    assert check({"images": text}, parameters, "nb") == {"images": text}


@pytest.mark.parametrize("value", [12345678901, float("inf"), 1000, False, None])
def test_a_text_that_was_converted_on_its_way_is_refused(parameters, value) -> None:
    """Papermill's -p converts before any engine sees it: say so, advise -r."""
    with pytest.raises(UsageError, match="converted") as caught:
        check({"images": value}, parameters, "nb")
    assert "-r" in caught.value.hint


def test_typed_values_are_converted(parameters) -> None:
    """Numbers and truth values are read from a command line's texts."""
    given = {"count": "3", "ratio": "0.25", "fast": "yes"}
    assert check(given, parameters, "nb") == {"count": 3, "ratio": 0.25, "fast": True}


@pytest.mark.parametrize(
    ("given", "says", "hint"),
    [
        ({"stgae": "CI"}, "no parameter 'stgae'", "stage"),
        ({"stage": "Prod"}, "unknown", "Production"),
        ({"stage": "ci"}, "unknown", "CI"),
        ({"count": "1_000"}, "not int", ""),
        ({"count": "many"}, "not int", ""),
        ({"fast": "maybe"}, "true or false", ""),
        ({"on_error": "ask"}, "cleanup, abort", ""),
        ({"target": "aws"}, "rehearsal", ""),
    ],
)
def test_a_wrong_value_is_refused_with_a_suggestion(
    parameters, given, says, hint
) -> None:
    """Unknown names, types and choices are usage errors before anything starts."""
    with pytest.raises(UsageError, match=says) as caught:
        check(given, parameters, "nb")
    assert hint in caught.value.hint


def test_a_declaration_that_cannot_be_read_is_refused(make_notebook, project) -> None:
    """A notebook whose parameters cell is no Python does not start."""
    with pytest.raises(UsageError):
        declared(read_notebook(make_notebook("# parameters\nx: =")), project.catalog)


ANY = """# parameters
%matplotlib inline
!pip list
files = !ls
home = %pwd
msg = None
names: list[str] = ["a"]  # some names
more: "dict" = {"a": [1]}
when: str = datetime.now().isoformat()
start = f()
plain = 3
"""


def test_only_declared_types_are_checked(make_notebook, project) -> None:
    """Magics, other types, computed defaults, none at all: as papermill takes them."""
    found = declared(read_notebook(make_notebook(ANY)), project.catalog)
    assert list(found) == ["msg", "names", "more", "when", "start", "plain"]
    assert {n for n, p in found.items() if p.kind} == {"when"}
    assert found["names"].help == "some names"
    assert defaults(found) == {
        "msg": None,
        "names": ["a"],
        "more": {"a": [1]},
        "plain": 3,
    }
    given = {
        "msg": [1, {"a": None}],
        "names": "x",
        "more": 5,
        "plain": "x",
        "when": "n",
    }
    assert check(given, found, "nb") == given
    with pytest.raises(UsageError, match="converted"):
        check({"when": 5}, found, "nb")


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-1.5", -1.5), ("True", True), ("None", None), ("x", "x"), ("", "")],
)
def test_a_text_of_no_declared_type_is_read_as_papermill_reads_it(text, value) -> None:
    """`-p n 5` is a number there too."""
    found = from_text(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("kind", ["App", "Stage", "Target", "ImageSet", "Literal['a']"])
def test_a_default_that_is_checked_before_a_run_is_written_out(
    make_notebook, project, kind
) -> None:
    """It cannot be computed: nobody could say before the run where it is filed."""
    path = make_notebook(f"# parameters\nx: {kind} = str(f())")
    with pytest.raises(UsageError, match="'x': its default must be written out"):
        declared(read_notebook(path), project.catalog)


FILED = [
    (CELL, {}, ("rehearsal", "tika", "CI")),
    (CELL, {"stage": "QA"}, ("rehearsal", "tika", "QA")),
    ("x = 1", {}, ("none", "none", "")),
    ("target = '/a b'; app = 'no app'", {}, ("none", "none", "")),
    ("run = olrunbook.begin('x', app='tika')", {}, ("rehearsal", "tika", "")),
    (
        "# parameters\nservice: App = 'tika'\nwhere: TargetName = 'rehearsal'",
        {},
        ("rehearsal", "tika", ""),
    ),
    ("# parameters\napp: str = 'tika'", {"app": "other"}, ("none", "none", "")),
]


@pytest.mark.parametrize(("source", "given", "where"), FILED)
def test_a_run_is_filed_where_its_notebook_says(
    make_notebook, project, source, given, where
) -> None:
    """By what `begin` names, else by the types of its parameters, never by a name."""
    notebook = read_notebook(make_notebook(source))
    found = declared(notebook, project.catalog)
    got = filed(notebook, found, defaults(found) | given)
    assert (got["target"], got["app"], got["stage"]) == where


def test_what_begin_names_is_followed_to_a_parameter(make_notebook, project) -> None:
    """`begin(…, app=service)` with a parameter `service` of any type."""
    path = make_notebook(
        "# parameters\nservice = 'tika'\nat = 'CI'",
        "import olrunbook\nrun = olrunbook.begin('x', app=service, stage=at)",
    )
    notebook = read_notebook(path)
    found = declared(notebook, project.catalog)
    got = filed(notebook, found, defaults(found) | {"at": "QA"})
    assert (got["target"], got["app"], got["stage"]) == ("rehearsal", "tika", "QA")


def test_a_file_that_is_no_notebook_is_refused(tmp_path) -> None:
    """Missing, broken and foreign files are told apart."""
    with pytest.raises(UsageError, match="No such file"):
        read_notebook(tmp_path / "none.ipynb")
    (tmp_path / "x.ipynb").write_text("{")
    with pytest.raises(UsageError, match="not a notebook"):
        read_notebook(tmp_path / "x.ipynb")
    (tmp_path / "y.ipynb").write_text("[]")
    with pytest.raises(UsageError, match="no cells"):
        read_notebook(tmp_path / "y.ipynb")


def test_a_default_of_another_project_is_no_value_of_this_one(
    make_notebook, project
) -> None:
    """A shipped notebook's default app gives way to the only one, else one is asked."""
    text = project.catalog_file.read_text().partition("[apps.concourse]")[0]
    one = text.replace("apps.tika", "apps.other")
    project.catalog_file.write_text(one)
    notebook = read_notebook(make_notebook(CELL))
    found = declared(notebook, load_catalog(project.catalog_file))
    assert check({}, found, "nb") == {"app": "other"}
    entry = text[text.index("[apps.tika") :].replace("apps.tika", "apps.more")
    project.catalog_file.write_text(f"{one}\n{entry}")
    found = declared(notebook, load_catalog(project.catalog_file))
    with pytest.raises(UsageError, match="the default of nb"):
        check({}, found, "nb")
    assert check({"app": "other"}, found, "nb") == {"app": "other"}


SETS = """# parameters
app: App = "tika"
images: ImageSet = ""
"""


def test_an_image_set_is_checked_before_the_run(make_notebook, project) -> None:
    """Its form, and that it names the app's node types; empty: the set built last."""
    found = declared(read_notebook(make_notebook(SETS)), project.catalog)
    for good in ("", "last-good", "server=ami-0a17000000000000a"):
        assert check({"images": good}, found, "nb") == {"images": good}
    with pytest.raises(UsageError, match="not of the form node_type=ami-"):
        check({"images": "server=latest"}, found, "nb")
    with pytest.raises(UsageError, match="the app has"):
        check({"images": "web=ami-0a17000000000000a"}, found, "nb")


def test_a_notebook_of_an_old_format_is_named_with_how_to_convert_it(tmp_path) -> None:
    """It is a notebook, of a version that papermill does not run either."""
    path = tmp_path / "old one.ipynb"
    path.write_text('{"nbformat": 3, "worksheets": [{"cells": []}]}')
    with pytest.raises(UsageError, match="nbformat 3, wanted is 4") as caught:
        read_notebook(path)
    assert caught.value.hint.endswith(f"--to notebook --inplace '{path}'")
    path.write_text('{"nbformat": 4}')
    with pytest.raises(UsageError, match="is not a notebook: it has no cells"):
        read_notebook(path)


@pytest.mark.parametrize(
    "words",
    [
        ("rollback", "tika", "CI"),
        ("run", "refresh"),
        ("run", "rollout"),
        ("run", "deploy", "--images", "server=ami-0a17000000000000a"),
    ],
)
def test_what_has_a_stage_starts_no_rehearsal(
    project, capsys, monkeypatch, words
) -> None:
    """Nothing is in one that is down; what to type is said. What has none starts it."""
    asked = "olrunbook.toolchain.ensure"
    monkeypatch.setattr(asked, Mock(side_effect=ToolError("it is started")))
    with pytest.raises(SystemExit, match=r"\A4\Z"):
        main(list(words))
    assert "olrunbook rehearsal up, or with a release: make release" in (
        capsys.readouterr().err
    )
    assert not list(list_runs(project.outputs))
    with pytest.raises(SystemExit, match=r"\A1\Z"):
        main(["run", "image_build"])
    assert "it is started" in capsys.readouterr().err


HEALTHY = """# parameters
least: MinHealthy = ""
most: MaxHealthy = "110"
"""


@pytest.mark.parametrize(
    "given",
    [
        *({"least": text} for text in ("-1", "101", "half", "٩٠", "90.0", "9" * 5000)),
        *({"most": text} for text in ("99", "201", "²00", "nan")),
        {"least": "9"},  # with the default of the other
        {"least": "90", "most": "191"},
    ],
)
def test_a_percentage_that_aws_does_not_take_opens_no_run(
    given, make_notebook, project, capsys
) -> None:
    """It is a wrong value, exit code 2: no run directory, no record."""
    path = make_notebook(HEALTHY, "print(least)")
    words = [word for name, text in given.items() for word in (f"--{name}", text)]
    with pytest.raises(SystemExit, match=r"\A2\Z"):
        main(["run", str(path), *words])
    err = capsys.readouterr().err
    assert "is no percentage from" in err or "AWS allows 100 between" in err
    assert not list(list_runs(project.outputs))


def test_a_percentage_that_aws_takes_stays_as_it_was_typed(
    make_notebook, project
) -> None:
    """Blank, with a percent sign, at the edges."""
    found = declared(read_notebook(make_notebook(HEALTHY)), project.catalog)
    for least, most in (("10", "110"), ("0", "100"), (" 100 %", "200"), ("", "200%")):
        given = {"least": least, "most": most}
        assert check(given, found, "nb") == given


MORE = """# parameters
from typing import Literal, Optional
replicas: Literal[1, 2, -1] = 1
mixed: Literal["1", 2, None] = None
words: Literal["1_000", "no"] = "no"
name: str | None = None
limit: int | None = None  # seconds
wait: Optional[float] = 2
old: "bool" = True
"""


@pytest.fixture
def more(make_notebook, project):
    """Return the declarations of a notebook with the rarer types."""
    return declared(read_notebook(make_notebook(MORE)), project.catalog)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"replicas": "2"}, 2),
        ({"replicas": "-1"}, -1),
        ({"replicas": 2}, 2),
        ({"mixed": "1"}, "1"),
        ({"mixed": "2"}, 2),
        ({"mixed": None}, None),
        ({"words": "1_000"}, "1_000"),
        ({"limit": "-7"}, -7),
        ({"limit": "none"}, None),
        ({"limit": None}, None),
        ({"wait": "1e3"}, 1000.0),
        ({"wait": 1}, 1.0),
        ({"old": "NO"}, False),
        ({"old": 0}, False),  # papermill's -p old 0
        ({"name": "none"}, "none"),
    ],
)
def test_a_value_comes_in_its_declared_type(more, given, value) -> None:
    """Text or value, the notebook gets the type it declares."""
    (found,) = check(given, more, "nb").values()
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"replicas": True}, "unknown"),  # equal to 1 and not the same
        ({"replicas": 1.0}, "unknown"),
        ({"replicas": "3"}, "choose from: 1, 2, -1"),
        ({"words": 1000}, "converted"),
        ({"words": False}, "converted"),
        ({"name": None}, "leave it out"),
        ({"name": 5}, "int 5"),
        ({"limit": True}, "not int"),
        ({"limit": 1.0}, "not int"),
        ({"limit": "1.0"}, "not int"),
        ({"limit": " 1"}, "not int"),
        ({"limit": "9" * 5000}, "not int"),
        ({"wait": "inf"}, "not float"),
        ({"wait": "1e400"}, "finite"),
        ({"wait": float("nan")}, "finite"),
        ({"wait": float("-inf")}, "finite"),
        ({"wait": False}, "not float"),
        ({"wait": "1_0.5"}, "not float"),
        ({"old": 2}, "true or false"),
        ({"old": None}, "true or false"),
        ({"name": {"a": 1}}, "one value of type str, not a dict"),
        ({"replicas": [1]}, "not a list"),
    ],
)
def test_a_value_of_another_type_is_refused(more, given, says) -> None:
    """Nothing is bent into shape: what cannot be the declared type is said."""
    with pytest.raises(UsageError, match=says):
        check(given, more, "nb")


def test_a_parameter_without_a_default_must_be_given(make_notebook, project) -> None:
    """The kernel would fail late and less clearly."""
    found = declared(
        read_notebook(make_notebook("# parameters\nx: int")), project.catalog
    )
    with pytest.raises(UsageError, match="needs a value for x"):
        check({}, found, "nb")
    assert check({"x": "5"}, found, "nb") == {"x": 5}


@pytest.mark.parametrize("source", ["x: int = '1'", "x: str = 5", "x: float = True"])
def test_a_default_of_another_type_is_refused(make_notebook, project, source) -> None:
    """The declaration itself must be true."""
    with pytest.raises(UsageError, match="its default"):
        declared(
            read_notebook(make_notebook("# parameters\n" + source)), project.catalog
        )


def test_no_value_leads_out_of_the_archive(make_notebook, project) -> None:
    """A name that becomes a folder is a plain word, wherever it comes from."""
    notebook = read_notebook(make_notebook("begin('x', app=app)"))
    for app in ("../../x", "a/b", ".", "a b"):
        with pytest.raises(UsageError, match="folder of the archive"):
            filed(notebook, {}, {"app": app})


def test_a_notebook_that_declares_no_type_takes_any_name(
    make_notebook, project
) -> None:
    """As with papermill, which puts a cell of them in front; the record names them."""
    found = declared(read_notebook(make_notebook("print(1)")), project.catalog)
    assert check({}, found, "nb") == {}
    assert check({"x": [1]}, found, "nb") == {"x": [1]}


def test_what_the_injected_cell_assigns_is_what_runs() -> None:
    """The old metadata counts only where the cell is, and less than the cell."""
    tags = {"tags": ["injected-parameters"]}
    cell = {"metadata": tags, "source": "a = 1\nb = float('inf')\n"}
    recorded = {"a": 2, "b": float("inf")}
    assert injected({"cells": [cell]}, recorded) == {"a": 1, "b": float("inf")}
    assert injected({"cells": []}, recorded) == {}


def complete(*words: str) -> list[str]:
    """Return what tab offers after `olrunbook …`; the last word is unfinished."""
    found = ShellComplete(cli, {}, "olrunbook", "_OLRUNBOOK_COMPLETE")
    return [i.value for i in found.get_completions(list(words[:-1]), words[-1])]


def test_tab_completes_names_and_choices(project) -> None:
    """One declaration is what completion offers too."""
    assert "image_build" in complete("run", "im")
    assert complete("run", "deploy", "--sta") == ["--stage"]
    assert complete("run", "deploy", "--stage", "") == ["CI", "QA", "Production"]
    assert complete("run", "deploy", "--stage", "P") == ["Production"]
    assert complete("run", "image_build", "--on-error", "a") == ["abort"]
    assert complete("run", "deploy", "-p", "") == ["app", "stage", "images", "target"]
    assert complete("run", "deploy", "-p", "app", "tika", "-p", "ta") == ["target"]
    assert complete("run", "deploy", "-p", "stage", "Q") == ["QA"]
    assert complete("run", "deploy", "-p", "images", "") == []
    assert complete("status", "ti") == ["tika"]  # though nothing ran yet
    assert complete("doctor", "tika", "") == ["CI", "QA", "Production"]
    assert complete("runs", "ti") == []


def test_help_shows_what_the_cell_declares(project, capsys) -> None:
    """Types, choices, defaults and comments come from the notebook."""
    with pytest.raises(SystemExit) as ended:
        main(["run", "image_build", "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--on-error [cleanup|abort] abort: keep the machine, to look at it" in said
    assert "[default: cleanup]" in said
    assert "--node-type STR only this node type; empty: all of the app" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stage", "Prod"], "Did you mean Production?"),
        (["--stgae", "CI"], "--stage"),
        (["-p", "stgae", "CI"], "Did you mean stage?"),
        (["--stage", "CI", "-p", "stage", "QA"], "given twice"),
    ],
)
def test_the_command_line_refuses_with_code_2(project, capsys, words, says) -> None:
    """Nothing runs and nothing is written."""
    with pytest.raises(SystemExit) as ended:
        main(["run", "deploy", *words])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert not project.outputs.exists()


def test_a_notebook_of_another_folder_is_run_by_its_path(
    project, make_notebook, capfd
) -> None:
    """Any notebook will do; its record is in the archive of the project in use."""
    source = """
import os, json, datetime
at = datetime.datetime.now(datetime.UTC).isoformat()
with open(os.environ["OLRUNBOOK_RUN_DIR"] + "/journal.jsonl", "a") as f:
    line = {"at": at, "kind": "conclude", "headline": repr([sha, json_, given])}
    f.write(json.dumps(line))
"""
    cell = '# parameters\nsha: str = ""\njson_: int = 1\ngiven: str = "x"\n'
    path = make_notebook(cell, source, name="My Check-2")
    with pytest.raises(SystemExit) as ended:
        main(
            ["run", str(path), "--sha", "7e12345", "--json_", "-2", "-p", "given", "no"]
        )
    said = capfd.readouterr()
    assert ended.value.code == 0, said
    place = next(list_runs(project.outputs))
    assert place.notebook == "my_check_2"
    record = read_record(place)
    assert record is not None
    assert record.parameters == {"sha": "7e12345", "json_": -2, "given": "no"}
    assert record.headline == "['7e12345', -2, 'no']"
