"""No bytes in an archive make a command that reads it end with a stack."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from olrunbook.archive.place import list_runs, new_place
from olrunbook.archive.seal import seal
from olrunbook.cli import cli
from olrunbook.errors import OlrunbookError
from olrunbook.record.journal import Journal
from olrunbook.record.shapes import notebook_at
from olrunbook.redact import Redactor, new_key
from tests.archives import Small, damaged

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "a",
            "execution_count": 1,
            "metadata": {
                "olrunbook": {"status": "done"},
                "papermill": {"status": "completed"},
                "tags": ["x"],
            },
            "source": "run.up(plan)",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["a\n"]},
                {
                    "output_type": "display_data",
                    "data": {"text/plain": "x", "text/html": "<b>x</b>"},
                    "metadata": {},
                },
                {
                    "output_type": "error",
                    "ename": "E",
                    "evalue": "v",
                    "traceback": ["t"],
                },
            ],
        },
        {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "# head"},
    ],
    "metadata": {"olrunbook": {"status": "succeeded"}, "papermill": {}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
GONE = {"host": "", "boot": "b", "pid": 4_000_000, "start": "1"}


def write(outputs: Path, *, sealed: bool, by_hand: bool = False) -> None:
    """Write one run; one that is not sealed has died."""
    names = {"target": "rehearsal", "app": "tika", "notebook": "deploy"}
    place = new_place(outputs, stage="CI", **names)
    journal = Journal(place.folder, Redactor(new_key()))
    known = {"value": "ann", "source": "the process"}
    process = {**GONE, "host": os.uname().nodename}
    journal.add(
        "run",
        stage="CI",
        process=process,
        operator={"user": known, "host": known},
        images={"server": "ami-0df7e95b351bd8408"},
        parameters={"stage": "CI"},
        executed_by="kernel" if by_hand else "olrunbook",
    )
    journal.add("kernel", process=process, folder="/nowhere/olrunbook-kernel-x")
    journal.add("begin", process=process, images={"server": "ami-1"})
    journal.add("step", event="started", name="up")
    result = {"changes": [{"name": "x", "op": "same"}], "by_hand": "pulumi up"}
    ended = {"seconds": 9.0, "headline": "17 created", "result": result}
    journal.add("step", event="ended", name="up", status="done", **ended)
    part = {"run_id": "r", "notebook": "deploy", "stage": "CI", "status": "done"}
    journal.add("part", **part, seconds=1.0, record="x")
    journal.add("warning", text="silent")
    if by_hand:
        facts = {"n": 1, "execution_count": 1, "cell_id": "c", "source": "1/0"}
        journal.add("cell", event="started", **facts)
        out = {"output_type": "stream", "name": "stdout", "text": "a\n"}
        journal.add("cell", event="output", n=1, outputs=[{"at": 0, "output": out}])
        journal.add("cell", event="output", n=1, outputs=[{"at": 0, "append": "b"}])
        journal.add("cell", event="ended", n=1, status="failed", cause="E")
    else:
        (place.folder / "notebook.ipynb").write_text(json.dumps(NOTEBOOK))
    sign = {"at": "2026-11-23T15:09:44.000+00:00", "where": "cell 1", "elapsed_s": 1.0}
    if sealed:
        journal.add("conclude", headline="17 created")
        journal.add("end", status="succeeded", cause="")
        seal(place)
    else:
        text = json.dumps({**sign, "silent_s": 1.0, "process": process})
        (place.folder / "heartbeat.json").write_text(text)


def three(outputs: Path) -> None:
    """Write a closed run, a dead one, and a dead one by hand."""
    write(outputs, sealed=True)
    write(outputs, sealed=False)
    write(outputs, sealed=False, by_hand=True)


SMALL = Small(three)


def spoil(path: Path, draw) -> None:
    """Change a file by its structure, cut it off, or put a directory in its place."""
    how = draw(st.sampled_from(["form", "form", "form", "form", "cut", "folder"]))
    raw = path.read_bytes()
    if how == "cut":
        path.write_bytes(raw[: draw(st.integers(0, len(raw)))])
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif path.suffix == ".jsonl":
        lines = raw.decode().splitlines()
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = json.dumps(damaged(json.loads(lines[at]), draw))
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text(json.dumps(damaged(json.loads(raw), draw)))


FILES = ("run.json", "journal.jsonl", "notebook.ipynb", "heartbeat.json")


@settings(max_examples=100)
@given(st.data())
def test_no_damage_ends_a_reader_with_a_stack(data) -> None:
    """`runs`, `show`, `compare`, `open`, `resume`, `prune`, `verify` say what is wrong.

    An error of ours is an answer; any other exception would be a stack.
    """
    with SMALL.copy() as outputs, pytest.MonkeyPatch.context() as patch:
        folder = outputs.parent
        shutil.copy(ROOT / "catalog.toml", folder)
        patch.setenv("OLRUNBOOK_CACHE", f"{folder}/cache")
        patch.setenv("OLRUNBOOK_STATE", f"{folder}/state")
        patch.chdir(folder)
        places = sorted(list_runs(outputs), key=lambda place: place.run_id)
        place = data.draw(st.sampled_from(range(3)), label="run")
        names = [n for n in FILES if (places[place].folder / n).is_file()]
        room = places[0].folder.parent
        paths = [places[place].folder / n for n in names]
        paths += [room / "chain.jsonl", room / "chain.head"]
        spoil(data.draw(st.sampled_from(paths), label="file"), data.draw)
        first, second = places[place].run_id, places[(place + 1) % 3].run_id
        for words in (
            ["runs"],
            ["runs", "--json"],
            ["show", first],
            ["show", first, "--markdown"],
            ["show", first, "--json"],
            ["compare", first, second],
            ["open", first, "--print"],
            ["verify", "--all"],
            ["resume", first],
            ["prune", first, "--reason", "x", "--yes"],
        ):
            said = CliRunner().invoke(cli, words, standalone_mode=False)
            ours = isinstance(said.exception, OlrunbookError | SystemExit)
            if said.exception and not ours:
                raise said.exception


def test_an_output_of_no_form_loses_no_other(tmp_path) -> None:
    """A number where a text must be: not shown, named, and the rest is there."""
    outputs = [*NOTEBOOK["cells"][0]["outputs"], {"output_type": "stream", "text": 5}]
    cell = {**NOTEBOOK["cells"][0], "outputs": outputs}
    path = tmp_path / "notebook.ipynb"
    path.write_text(json.dumps({**NOTEBOOK, "cells": [cell]}))
    (read,) = notebook_at(path)["cells"]
    assert read["outputs"][:-1] == outputs[:-1]
    assert "not of a notebook's form" in read["outputs"][-1]["text"]
    assert read["source"] == cell["source"]
