"""What is typed or set and is empty or broken is told before anything is started."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from olrunbook.archive.place import list_runs
from olrunbook.cli import main


@pytest.fixture
def call(project, capsys):
    """Return a function that calls olrunbook: exit code and what was said."""

    def call(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return call


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--head", ""),
        ("--project", "", "runs"),
        ("release", "tika", "--to", ""),
        ("release", "tika", "--images", ""),
        ("runs", "--stage", ""),
        ("prune", "--older-than", ""),
    ],
)
def test_an_empty_value_is_not_an_option_left_out(call, words) -> None:
    """`--to "$STAGE"` without a STAGE must not be a release through all stages."""
    code, said = call(*words)
    assert code == 2
    assert "it is empty" in said


@pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf"])
def test_a_grace_that_is_no_number_starts_nothing(
    call, project, make_notebook, monkeypatch, value
) -> None:
    """The variable is named, and no run is left open; nor does a release begin."""
    monkeypatch.setenv("OLRUNBOOK_GRACE_S", value)
    for words in (("run", make_notebook("print(1)")), ("release", "tika")):
        code, said = call(*words)
        assert code == 2
        assert f"OLRUNBOOK_GRACE_S is {value!r}" in said
    assert not list(list_runs(project.outputs))


@pytest.mark.parametrize("words", [("runs",), ("--project", "there", "runs")])
def test_a_removed_working_folder_is_told(call, tmp_path, monkeypatch, words) -> None:
    """The message says what is the matter, and what to do."""
    folder: Path = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shutil.rmtree(folder)
    code, said = call(*words)
    assert code == 2
    assert "the folder you are in was removed" in said
    assert "cd " in said
