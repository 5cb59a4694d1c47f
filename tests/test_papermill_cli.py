"""papermill's own command line on our notebooks: parameters, outputs, endings."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys

import boto3
import pytest

from olrunbook.archive.place import list_runs, read_record
from tests.kernels import QUICK

PAPERMILL = (sys.executable, "-c", QUICK)
CELL = """# parameters
from typing import Literal
from olrunbook import App

app: App = "tika"  # the app
sha: str = ""  # a commit
count: int = 1  # how many
ratio: float = 0.5
fast: bool = False
size: Literal[1, 2] = 1
"""
JOURNAL = """
import os, json, datetime
def note(kind, **more):
    at = datetime.datetime.now(datetime.UTC).isoformat()
    with open(os.environ["OLRUNBOOK_RUN_DIR"] + "/journal.jsonl", "a") as f:
        f.write(json.dumps({"at": at, "kind": kind, **more}) + "\\n")
"""
SHOW = "print([sha, count, ratio, fast, size], os.getcwd())"
DONE = 'note("conclude", headline="fine")'


@pytest.fixture
def papermill(project):
    """Return a function that runs papermill's command with our engine."""

    def run(*words, engine="olrunbook", cwd=None, env=None):
        return subprocess.run(
            [*PAPERMILL, *words, *(["--engine", engine] if engine else [])],
            cwd=cwd or project.root,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def cells_of(body) -> list:
    """Return the code cells of an executed notebook."""
    return [cell for cell in body["cells"] if cell["cell_type"] == "code"]


def shown(body) -> str:
    """Return what its cells printed."""
    outputs = [out for cell in cells_of(body) for out in cell["outputs"]]
    return "".join("".join(out.get("text", "")) for out in outputs)


def statuses(body) -> list[tuple[str, str]]:
    """Return papermill's and our status of each cell."""
    metas = [cell["metadata"] for cell in cells_of(body)]
    return [(m["papermill"]["status"], m["olrunbook"]["status"]) for m in metas]


def test_parameters_come_as_declared_by_every_option(
    papermill, project, make_notebook, tmp_path
) -> None:
    """-p, -r, -y, -b and -f end in the declared types, in kernel, record and output."""
    path = make_notebook(CELL, JOURNAL, SHOW, DONE)
    values = tmp_path / "values.yaml"
    values.write_text("ratio: 1\n")
    encoded = base64.b64encode(b"fast: true").decode()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out = project.root / "out.ipynb"
    words = ["-p", "count", "-3", "-r", "sha", "012345678901", "-y", "size: 2"]
    done = papermill(
        os.path.relpath(path, project.root),
        "out.ipynb",
        *words,
        *("-f", values, "-b", encoded, "--cwd", elsewhere, "--inject-paths"),
    )
    assert done.returncode == 0, done.stderr
    body = json.loads(out.read_text())
    wanted = ["012345678901", -3, 1.0, True, 2]
    assert shown(body) == f"{wanted} {elsewhere}\n"
    record = read_record(next(list_runs(project.outputs)))
    assert record is not None
    assert (record.status, record.app) == ("succeeded", "tika")
    assert [record.parameters[n] for n in ("sha", "count", "ratio", "fast")] == wanted[
        :4
    ]
    meta = body["metadata"]["papermill"]
    assert meta["parameters"]["ratio"] == 1.0
    assert isinstance(meta["parameters"]["ratio"], float)
    assert meta["output_path"] == meta["parameters"]["PAPERMILL_OUTPUT_PATH"]
    assert meta["input_path"] == os.path.relpath(path, project.root)
    assert meta["exception"] is None
    assert meta["start_time"] < meta["end_time"]
    assert meta["duration"] > 0
    assert meta["version"].startswith("2.")
    assert set(statuses(body)) == {("completed", "done")}
    assert all(c["metadata"]["papermill"]["duration"] >= 0 for c in cells_of(body))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-p", "sha", "7e400"], ["converted to float inf", "-r sha VALUE"]),
        (["-p", "stgae", "CI"], ["no parameter 'stgae'"]),
        (["-r", "app", "tkia"], ["Did you mean tika?"]),
        (["-y", "count: [1, 2]"], ["not a list"]),
    ],
)
def test_a_wrong_parameter_runs_and_writes_nothing(
    papermill, project, make_notebook, words, says
) -> None:
    """Exit code 2, one clear line; an output that was there is what it was."""
    path = make_notebook(CELL, JOURNAL, DONE)
    out = project.root / "out.ipynb"
    if words[0] == "-y":
        out.write_text("mine")
    done = papermill(path, out, *words)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if "olrunbook: " in line]
    assert len(lines) == 1
    assert all(text in done.stderr for text in says)
    assert not project.outputs.exists()
    if words[0] == "-y":
        assert out.read_text() == "mine"
    else:
        assert not out.exists()


@pytest.mark.parametrize(
    ("source", "ends"),
    [
        ("1/0", (1, "failed: cell 3: ZeroDivisionError", "failed")),
        (
            "from olrunbook.errors import RefusedError\nraise RefusedError('the rule')",
            (4, "refused: the rule", "refused"),
        ),
        ("os.kill(os.getpid(), 9)", (5, "kernel-died: cell 3", "interrupted")),
    ],
)
def test_a_bad_end_is_told_in_one_line_and_by_our_code(
    papermill, project, make_notebook, source, ends
) -> None:
    """The output is the archive's notebook: no cell that did not run is completed."""
    code, says, status = ends
    path = make_notebook(CELL, JOURNAL, source, "print('never')", DONE)
    out = project.root / "out.ipynb"
    done = papermill(path, out, env={"OLRUNBOOK_GRACE_S": "1"})
    assert done.returncode == code, done.stderr
    assert f"olrunbook: {says}" in done.stderr
    assert "Traceback" not in done.stderr
    body = json.loads(out.read_text())
    assert body["metadata"]["papermill"]["exception"] is True
    assert body["metadata"]["olrunbook"]["status"] in says
    assert statuses(body)[2:] == [
        ("failed", status),
        ("pending", "not-run"),
        ("pending", "not-run"),
    ]
    place = next(list_runs(project.outputs))
    archived = json.loads((place.folder / "notebook.ipynb").read_text())
    assert body["cells"] == archived["cells"]
    record = read_record(place)
    assert record is not None
    assert record.exit_code == code


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_to_papermill_leaves_a_true_output(
    project, make_notebook, eventually, number, code
) -> None:
    """CI's SIGTERM and Ctrl-C; while it runs the output says that nothing is done."""
    flag = project.root / "running"
    source = f"import time; open({str(flag)!r}, 'w').close(); time.sleep(60)"
    path = make_notebook(CELL, JOURNAL, source, DONE)
    out = project.root / "out.ipynb"
    child = subprocess.Popen(
        [*PAPERMILL, path, out, "--engine", "olrunbook", "--no-progress-bar"],
        cwd=project.root,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(flag.exists)
    assert set(statuses(json.loads(out.read_text()))) == {("pending", "not-run")}
    child.send_signal(number)
    _, said = child.communicate(timeout=90)
    assert child.returncode == code, said
    assert f"interrupted: {signal.Signals(number).name}" in said
    assert "Traceback" not in said
    body = json.loads(out.read_text())
    assert statuses(body)[2:] == [("failed", "interrupted"), ("pending", "not-run")]


@pytest.mark.parametrize("named", [True, False])
def test_the_project_is_found_as_the_command_line_finds_it(
    papermill, project, make_notebook, tmp_path, named
) -> None:
    """By OLRUNBOOK_PROJECT, else upwards, else the catalog is the one shipped."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    begin = "import olrunbook; run = olrunbook.begin('x', app='tika')"
    path = make_notebook(begin, "run.conclude('fine')")
    env = {"OLRUNBOOK_PROJECT": str(project.root)} if named else {}
    done = papermill(path, "out.ipynb", cwd=foreign, env=env)
    assert done.returncode == 0, done.stderr
    (place,) = list_runs((project.root if named else foreign) / "outputs")
    record = read_record(place)
    assert record is not None
    assert record.status == "succeeded"


def test_the_output_can_be_standard_output(papermill, project, make_notebook) -> None:
    """One whole notebook and nothing else; an expected error is no failure."""
    path = make_notebook(CELL, JOURNAL, "1/0", SHOW, DONE, tags={2: "raises-exception"})
    done = papermill(path, "-", "-r", "sha", "no")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert shown(body) == f"['no', 1, 0.5, False, 1] {project.root}\n"
    assert body["metadata"]["olrunbook"]["status"] == "succeeded"


def test_an_output_that_cannot_be_written_is_told_first(
    papermill, project, make_notebook
) -> None:
    """The command itself would find out after the deploy."""
    path = make_notebook(CELL, JOURNAL, DONE)
    done = papermill(path, "nowhere/out.ipynb")
    assert done.returncode == 2, done.stderr
    assert "nowhere does not exist" in done.stderr
    assert not project.outputs.exists()


def test_a_library_caller_gets_errors_and_the_notebook(project, make_notebook) -> None:
    """A run that ended badly is an exception; no output path writes no output."""
    good = make_notebook(CELL, JOURNAL, SHOW, DONE, name="good")
    bad = make_notebook(CELL, JOURNAL, "1/0", DONE, name="bad")
    program = f"""
import olrunbook.record.jupyter  # what comes next is quick to import
import papermill
nb = papermill.execute_notebook({str(good)!r}, None, {{"count": 5}},
                                engine_name="olrunbook", progress_bar=False)
assert nb.metadata.papermill.parameters["count"] == 5
assert nb.metadata.olrunbook.status == "succeeded"
try:
    papermill.execute_notebook({str(bad)!r}, None, engine_name="olrunbook")
except Exception as error:
    print(type(error).__name__, error.exit_code, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PapermillEndError 1 failed: cell 3: ZeroDivision")


def test_prepare_and_help_work_on_our_notebooks(
    papermill, project, make_notebook
) -> None:
    """--prepare-only writes the parameters and runs nothing; --help-notebook lists."""
    path = make_notebook(CELL, JOURNAL, DONE)
    out = project.root / "out.ipynb"
    done = papermill(path, out, "--prepare-only", "-r", "sha", "7e12345")
    assert done.returncode == 0, done.stderr
    body = json.loads(out.read_text())
    assert "7e12345" in "".join("".join(cell["source"]) for cell in body["cells"])
    assert all(not cell["outputs"] for cell in cells_of(body))
    assert not project.outputs.exists()
    done = papermill(path, "--help-notebook")
    assert done.returncode == 0, done.stderr
    assert 'app: App (default "tika")' in done.stdout
    assert "how many" in done.stdout


def test_notebooks_come_from_and_go_to_s3(
    papermill, project, make_notebook, monkeypatch
) -> None:
    """The object is whole, put twice (begun, ended), not once a cell and more."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  (slow)

    path = make_notebook(CELL, JOURNAL, *[SHOW] * 6, DONE)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        env = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="records")
        enabled = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket="records", VersioningConfiguration=enabled)
        s3.put_object(Bucket="records", Key="in.ipynb", Body=path.read_bytes())
        done = papermill("s3://records/in.ipynb", "s3://records/out.ipynb", env=env)
        assert done.returncode == 0, done.stderr
        body = json.load(s3.get_object(Bucket="records", Key="out.ipynb")["Body"])
        found = s3.list_object_versions(Bucket="records", Prefix="out.ipynb")
        assert len(found["Versions"]) == 2
        missing = papermill(path, "s3://no-such-bucket/out.ipynb", env=env)
    finally:
        server.stop()
    assert set(statuses(body)) == {("completed", "done")}
    assert shown(body).count("['', 1, 0.5, False, 1]") == 6
    failed, came = list_runs(project.outputs)
    record = read_record(came)
    assert record is not None
    assert (came.notebook, record.source_sha256) == ("in", "")
    assert record.lacks == ["the hash of the source: it was not a local file"]
    assert missing.returncode == 1
    assert "NoSuchBucket" in missing.stderr
    assert "Traceback" not in missing.stderr
    record = read_record(failed)
    assert record is not None
    assert record.status == "failed"
    assert "NoSuchBucket" in record.cause
