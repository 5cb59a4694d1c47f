"""What was shown is in the record: as papermill's own engine has it, and what it loses.

The same cells go through papermill, through our engine, and by hand through a kernel.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from jupyter_client.session import Session

from olrunbook.archive.place import list_runs
from olrunbook.record.outputs import Outputs
from olrunbook.redact import Redactor, new_key
from tests.conftest import ROOT, UNSET
from tests.kernels import Desk, cells_of, only
from tests.sockets import OVER_FILES
from tests.sorts import LATE, SORTS

# papermill, whose stand-in for the Output widget does not answer the kernel: it sends
# on a socket that waits for a reply at the same time, and then papermill waits for ever
# now and then. What it records is the same.
PAPERMILL = f"""
import olrunbook.record.jupyter  # what comes next is quick to import
{OVER_FILES}
from nbclient.output_widget import OutputWidget
from papermill.cli import papermill
OutputWidget.send = lambda *words, **named: None
papermill()
"""
RUN_S = 240
BEGIN = {
    "papermill": "1",
    "headless": "import os, json, datetime",
    "by hand": 'import olrunbook\nrun = olrunbook.begin("image_test", app="tika")',
}
# The kernel's echoes of what the Output widget holds come after the last cell.
LAST = "o6.clear_output()\nwith o6:\n    print('end')\n"
END = {
    "papermill": f"{LAST}1",
    "headless": LAST
    + """at = datetime.datetime.now(datetime.UTC).isoformat()
with open(os.environ["OLRUNBOOK_RUN_DIR"] + "/journal.jsonl", "a") as file:
    done = {"at": at, "kind": "conclude", "headline": "fine"}
    file.write(json.dumps(done) + chr(10))""",
    "by hand": f"{LAST}run.conclude()",
}
SOURCES = [
    (f"{name} {number}", source)
    for name, cells in {**SORTS, **{n: cells for n, (cells, _) in LATE.items()}}.items()
    for number, source in enumerate(cells)
]
SKIPPED = "print('skipped')"
# Names that are others each time: of a model, and of a kernel's temporary folder.
MODEL = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])|(?<=ipykernel_)\d+")
Shown = dict[str, list[dict[str, Any]]]


def notebook_for(way: str, folder: Path) -> Path:
    """Write the notebook of all sorts; an error in a cell is expected."""
    cells = []
    named = [("", BEGIN[way]), *SOURCES, ("", SKIPPED), ("", END[way])]
    for number, (_, source) in enumerate(named):
        cell = nbformat.v4.new_code_cell(source, id=f"cell-{number}")
        skip = ["skip-execution"] if source == SKIPPED else []
        cell.metadata["tags"] = ["raises-exception", *skip]
        cells.append(cell)
    notebook = nbformat.v4.new_notebook(cells=cells)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    path = folder / "sorts.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> dict[str, Any]:
    """Return the executed notebooks, by the way they were executed; all at once."""
    running, projects = {}, {}
    for way in BEGIN:
        folder = projects[way] = tmp_path_factory.mktemp("sorts")
        shutil.copy(ROOT / "catalog.toml", folder)
        if way == "by hand":
            continue
        # papermill would save its whole output after each cell.
        only_at_the_end = ["--no-request-save-on-cell-execute"]
        engine = ["--engine", "olrunbook"] if way == "headless" else only_at_the_end
        out = folder / "out.ipynb"
        command = [
            sys.executable,
            "-c",
            PAPERMILL,
            notebook_for(way, folder),
            out,
            *engine,
        ]
        env = {k: v for k, v in os.environ.items() if k not in UNSET}
        env["OLRUNBOOK_STATE"] = str(folder / "state")
        log = (folder / "log").open("w")
        running[way] = subprocess.Popen(command, cwd=folder, env=env, stderr=log)
    with Desk(projects["by hand"]) as desk:
        for source in [BEGIN["by hand"], *(s for _, s in SOURCES), END["by hand"]]:
            desk.run(source)
        found = {
            "by hand": json.loads((only(desk).folder / "notebook.ipynb").read_text())
        }
        cells_of(only(desk))  # it is valid
    for way, process in running.items():
        process.wait(RUN_S)
        log = (projects[way] / "log").read_text()
        assert (projects[way] / "out.ipynb").is_file(), log
        found[way] = json.loads((projects[way] / "out.ipynb").read_text())
    (place,) = list_runs(projects["headless"] / "outputs")
    assert (place.folder / "run.json").is_file()
    return found


def shown(notebook: dict[str, Any]) -> Shown:
    """Return what each cell shows, by its name, in a form that can be compared."""
    cells = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and not {"papermill-error-cell-tag"} & set(cell["metadata"].get("tags", ()))
        and "".join(cell["source"]) != SKIPPED
    ]
    assert len(cells) == len(SOURCES) + 2
    return {
        name: plain(cell["outputs"])
        for (name, _), cell in zip(SOURCES, cells[1:-1], strict=True)
    }


def plain(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs with texts joined, pieces of a stream as one, models numbered."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        out = dict(output)
        if "text" in out:
            out["text"] = "".join(out["text"])
            if joined and joined[-1].get("name") == out["name"]:
                joined[-1]["text"] += out["text"]
                continue
        if "data" in out:
            out["data"] = {
                mime: "".join(value)
                if isinstance(value, list) and "json" not in mime
                else value
                for mime, value in out["data"].items()
            }
        joined.append(out)
    text, names = json.dumps(joined), {}
    return json.loads(
        MODEL.sub(lambda found: names.setdefault(found[0], f"m{len(names)}"), text)
    )


def widgets(notebook: dict[str, Any]) -> Counter[str]:
    """Return the states of all widgets, the names of models left out."""
    (state,) = notebook["metadata"]["widgets"].values()
    return Counter(
        MODEL.sub(
            "model",
            json.dumps(
                {
                    **model,
                    "state": {
                        key: plain(value) if key == "outputs" else value
                        for key, value in model["state"].items()
                    },
                },
                sort_keys=True,
            ),
        )
        for model in state["state"].values()
    )


@pytest.mark.parametrize("way", ["headless", "by hand"])
@pytest.mark.parametrize("sort", SORTS)
def test_what_papermill_has_is_in_the_record(recorded, sort, way) -> None:
    """Types, texts, data and order are those of papermill's own engine."""
    theirs, mine = shown(recorded["papermill"]), shown(recorded[way])
    for number in range(len(SORTS[sort])):
        name = f"{sort} {number}"
        assert mine[name] == theirs[name]


@pytest.mark.parametrize("way", ["headless", "papermill"])
def test_a_cell_tagged_skip_execution_is_skipped(recorded, way) -> None:
    """By both engines: it shows nothing and has no number."""
    cells = [c for c in recorded[way]["cells"] if "".join(c["source"]) == SKIPPED]
    assert [(cell["execution_count"], cell["outputs"]) for cell in cells] == [
        (None, [])
    ]


@pytest.mark.parametrize("way", ["headless", "by hand"])
def test_widgets_have_the_state_papermill_has(recorded, way) -> None:
    """The state of every widget that was not closed, what an Output holds included."""
    theirs, mine = widgets(recorded["papermill"]), widgets(recorded[way])
    assert mine - theirs == Counter()
    (closed,) = (theirs - mine).elements()
    state = json.loads(closed)
    assert (state["model_name"], state["state"]["value"]) == ("TextModel", "t")


@pytest.mark.parametrize("way", ["headless", "by hand"])
@pytest.mark.parametrize("sort", LATE)
def test_what_comes_late_belongs_to_its_cell(recorded, sort, way) -> None:
    """What a task puts out while the next cell runs stands where the task began."""
    cells, text = LATE[sort]
    mine = shown(recorded[way])
    (out,) = mine[f"{sort} 0"]
    assert text in (out.get("text"), out.get("data", {}).get("text/plain"))
    for number in range(1, len(cells)):
        assert [out["text"] for out in mine[f"{sort} {number}"]] == ["next\n"]


class Heard:
    """The outputs of one cell, fed with messages as a kernel sends them."""

    def __init__(self, logs: Path) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell()])
        self.outputs = Outputs(notebook, logs, Redactor(new_key()))
        self.outputs.sent["r"] = 0

    def hear(self, kind: str, **content: Any) -> None:
        """Take a message."""
        parent = {"msg_id": "r"}
        message: dict[str, Any] = {"parent_header": parent, "content": content}
        self.outputs.take(
            {**message, "msg_type": kind, "header": {"msg_type": kind}}, 0
        )

    def shown(self) -> list[dict[str, Any]]:
        """Return the outputs, which a notebook may have."""
        self.outputs.flush(0, final=True)
        nbformat.validate(self.outputs.nb)
        return [dict(output) for output in self.outputs.nb.cells[0].outputs]


@pytest.fixture
def heard(tmp_path) -> Heard:
    """Return a cell whose logs are in the test's folder."""
    return Heard(tmp_path)


LONG = "ab" * 600_000


@pytest.mark.parametrize(
    ("mime", "value", "log"),
    [
        ("text/plain", LONG, "cell-1-output.txt"),
        ("text/html", LONG, "cell-1-output.html"),
        ("text/latex", [LONG, "end"], "cell-1-output.tex"),
        ("image/svg+xml", LONG, "cell-1-output.svg"),
        ("application/json", {"a": LONG}, "cell-1-output.json"),
        ("application/vnd.own+json", [LONG], "cell-1-output.json"),
        ("application/javascript", LONG, "cell-1-output.javascript"),
        ("image/png", LONG * 20, "cell-1-output.png"),
    ],
)
def test_a_long_display_is_cut_and_whole_in_a_log(
    heard, tmp_path, mime, value, log
) -> None:
    """Whatever its type; the notebook says where all of it is."""
    heard.hear("display_data", data={mime: value}, metadata={})
    (out,) = heard.shown()
    text = json.dumps(out["data"])
    assert len(text) < 50_000
    assert f"all of them: logs/{log}" in text
    whole = (tmp_path / log).read_text()
    assert whole == ("".join(value) if "json" not in mime else json.dumps(value))


def test_a_picture_is_whole(heard, tmp_path) -> None:
    """Half a picture is none: only a very large one gives way to a note."""
    heard.hear("display_data", data={"image/png": LONG}, metadata={})
    assert heard.shown()[0]["data"] == {"image/png": LONG}
    assert list(tmp_path.iterdir()) == []


def test_an_update_of_a_display_is_cut(heard, tmp_path) -> None:
    """As what was displayed first would be."""
    shown = {"metadata": {}, "transient": {"display_id": "d"}}
    heard.hear("display_data", data={"text/plain": "old"}, **shown)
    heard.hear("update_display_data", data={"text/plain": LONG}, **shown)
    (out,) = heard.shown()
    assert len(out["data"]["text/plain"]) < 50_000
    assert (tmp_path / "cell-1-output.txt").read_text() == LONG


def test_a_long_traceback_is_cut(heard, tmp_path) -> None:
    """Its first and last lines are in the notebook, and of its message too."""
    heard.hear("error", ename="E", evalue=LONG, traceback=["first", LONG, "last"])
    (out,) = heard.shown()
    assert len(json.dumps(out)) < 100_000
    (text,) = out["traceback"]
    assert text.startswith("first")
    assert text.endswith("last")
    assert (tmp_path / "cell-1-output.log").read_text() == f"first\n{LONG}\nlast"


@pytest.mark.parametrize(
    ("data", "text"),
    [({"text/plain": 5}, "5"), ({"text/html": {"a": 1}}, '{"a": 1}'), (7, None)],
)
def test_what_no_notebook_may_hold_is_given_a_form_it_may(heard, data, text) -> None:
    """`display({"text/plain": 5}, raw=True)` is no fault of the record."""
    heard.hear("display_data", data=data, metadata=3)
    (out,) = heard.shown()
    assert list(out["data"].values()) == ([text] if text else [])


def test_a_widget_nobody_knows_is_no_fault(heard) -> None:
    """A comm message without what nbclient looks for is passed over."""
    heard.hear("comm_open", comm_id="c", target_name="jupyter.widget", data={})
    heard.hear("comm_msg", comm_id="c", data={"state": None})
    heard.hear("stream", name="stdout", text="on")
    assert [out["text"] for out in heard.shown()] == ["on"]


def test_a_note_stands_below_text_that_comes_in_lines(heard) -> None:
    """A text may be a list of lines; the note about a long form follows them."""
    data = {"text/plain": ["one\n", "two"], "text/latex": LONG}
    heard.hear("display_data", data=data, metadata={})
    (out,) = heard.shown()
    assert out["data"]["text/plain"].startswith("one\ntwo\ntext/latex: ")


def test_an_echo_does_not_bring_back_what_an_output_held(heard) -> None:
    """The kernel repeats what a front end told it, late: also what was cleared."""
    nobody = SimpleNamespace(send=lambda message: None)
    heard.outputs.kc = SimpleNamespace(session=Session(), shell_channel=nobody)
    names = {"_model_module": "@jupyter-widgets/output", "_model_name": "OutputModel"}
    state = {**names, "outputs": [], "msg_id": ""}
    opened = {"target_name": "jupyter.widget", "data": {"state": state}}
    heard.hear("comm_open", comm_id="c", **opened)
    heard.hear("comm_msg", comm_id="c", data={"state": {"msg_id": "r"}})
    heard.hear("stream", name="stdout", text="b\n")
    for late in ([], [{"output_type": "stream", "name": "stdout", "text": "a"}]):
        told = {"method": "echo_update", "state": {"outputs": late}}
        heard.hear("comm_msg", comm_id="c", data=told)
    (out,) = heard.outputs.widget_state["c"]["outputs"]
    assert out["text"] == "b\n"
