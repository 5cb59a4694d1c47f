"""Parameters: declared once, typed, and a text stays the text that was typed."""

from __future__ import annotations

import pytest

from olrunbook.catalog import load_catalog
from olrunbook.errors import UsageError
from olrunbook.params import check, declared, read_notebook

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
    assert parameters["app"].choices == ("tika",)
    assert parameters["stage"].choices == ("CI", "QA", "Production")
    assert parameters["images"].help == "the image set"
    assert parameters["on_error"].choices == ("cleanup", "abort")


@pytest.mark.parametrize(
    "text", ["012345678901", "7e12345", "1_000", "no", "null", "1.0", ""]
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


@pytest.mark.parametrize(
    "source",
    ["# parameters\nx: dict = {}", "# parameters\nx: str = f()", "# parameters\nx: ="],
)
def test_a_declaration_that_cannot_be_read_is_refused(
    make_notebook, project, source
) -> None:
    """A notebook whose parameters nobody can check does not start."""
    with pytest.raises(UsageError):
        declared(read_notebook(make_notebook(source)), project.catalog)


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
    """A shipped notebook's default app that this catalog lacks is told, not tried."""
    text = project.catalog_file.read_text().replace("apps.tika", "apps.other")
    project.catalog_file.write_text(text)
    catalog = load_catalog(project.catalog_file)
    found = declared(read_notebook(make_notebook(CELL)), catalog)
    with pytest.raises(UsageError, match="the default of nb"):
        check({}, found, "nb")
    assert check({"app": "other"}, found, "nb") == {"app": "other"}
