"""Images provisioned for real, in containers of this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from olrunbook.adapters.docker import base_image
from olrunbook.adapters.docker.command import docker, environment
from olrunbook.adapters.docker.container import LABEL, Box, container, sweep
from olrunbook.adapters.pyinfra import deploy
from olrunbook.adapters.toolcall import ToolCall
from olrunbook.errors import StepError, ToolError
from olrunbook.project.catalog import find_project
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.images.provision import image_test, require
from tests.images.conftest import ROOT
from tests.images.projects import small_project

pytestmark = pytest.mark.rehearsal
TOKEN = "a-token-of-the-test"


def curl(box: Box, path: str, *more: str) -> tuple[str, int]:
    """Ask the service inside a container; return its answer and the status."""
    said = box.run(
        *("curl", "--silent", "--insecure", "--write-out", "\n%{http_code}"),
        *(*more, f"https://127.0.0.1{path}"),
    )
    text, _, status = said.rpartition("\n")
    return text, int(status)


def containers(label: str) -> list[str]:
    """Return the names of the containers that carry a label."""
    found = docker(
        "ps", "--all", "--filter", f"label={label}", "--format", "{{.Names}}"
    )
    return found.split()


@pytest.fixture(scope="module")
def tika(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Return a container with the provisioned Tika image, booted afresh."""
    folder = tmp_path_factory.mktemp("tika")
    tag = base_image.ensure("base", project=find_project(ROOT))
    env = {**environment(), "MARKER": "one", "AMI_TAGS": json.dumps({"app": "tika"})}
    with container(f"olrunbook-tests-{uuid.uuid4()}", tag, {LABEL: "tests"}) as box:
        last = None
        for event in deploy(
            f"@docker/{box.name}",
            ROOT / "images" / "tika" / "deploy.py",
            call=ToolCall({**env, "PYTHONDONTWRITEBYTECODE": "1"}),
            log=folder / "pyinfra.log",
            redactor=Redactor(new_key()),
        ):
            last = event
        assert last is not None
        assert last.data["code"] == 0, (folder / "pyinfra.log").read_text()[-3000:]
        baked = box.run(
            "sh", "-c", "find / -xdev -name '*.pem' -path '*caddy*' | wc -l"
        )
        assert baked == "0"  # the image carries no key
        box.restart()
        yield box


def test_tika_serves_its_version_and_marker_to_anybody(tika, eventually) -> None:
    """After a boot the enabled services start; two paths are open."""

    def up() -> bool:
        text, status = curl(tika, "/version")
        return status == 200 and "Apache Tika" in text

    eventually(up)
    assert curl(tika, "/image") == ("one\n", 200)
    assert json.loads(tika.run("cat", "/etc/ami_tags.json")) == {"app": "tika"}
    assert tika.failed_units() == []


@pytest.mark.parametrize("header", ["X-Access-Token;", "X-Access-Token: wrong", "A: b"])
def test_without_a_token_on_the_instance_nobody_is_let_in(tika, header) -> None:
    """An empty header is not the token of an instance that has none."""
    assert curl(tika, "/tika", "--header", header)[1] == 403


def test_the_token_user_data_writes_opens_the_door(tika, eventually) -> None:
    """The proxy sees the file when it comes, and lets only that value in.

    It is nowhere in the journal.
    """
    line = f"umask 077; echo X_ACCESS_TOKEN={TOKEN} > /etc/tika/access_token.env"
    tika.run("sh", "-c", line)
    given = ("--header", f"X-Access-Token: {TOKEN}")

    def open_() -> bool:
        try:
            return curl(tika, "/tika", *given)[1] == 200
        except ToolError:
            return False  # it restarts

    eventually(open_)
    body = ("--request", "PUT", "--data-binary", "<p>A runbook that was never run.</p>")
    kind = ("--header", "Content-Type: text/html", "--header", "Accept: text/plain")
    text, status = curl(tika, "/tika", *given, *body, *kind)
    assert (text.strip(), status) == ("A runbook that was never run.", 200)
    for header in ("X-Access-Token;", "X-Access-Token: wrong", "A: b"):
        assert curl(tika, "/tika", "--header", header, *body, *kind)[1] == 403
    assert TOKEN not in tika.run("journalctl", "--no-pager")
    assert tika.run("stat", "--format", "%a", "/etc/tika/access_token.env") == "600"


def test_tika_runs_as_its_own_user_and_listens_only_inside(tika) -> None:
    """The server is reached through the proxy alone."""
    tika.run("systemctl", "is-active", "tika-server")
    users = tika.run("ps", "-C", "java", "-o", "user=").split()
    assert users
    assert set(users) == {"tika"}
    listening = tika.run("ss", "--no-header", "--listening", "--tcp", "--numeric")
    addresses = {row.split()[3] for row in listening.splitlines()}
    # (a v4 address may be written as v6)
    inside = {"127.0.0.1:9998", "[::ffff:127.0.0.1]:9998"}
    open_ = {address for address in addresses if address.endswith(":9998")}
    assert open_ <= inside
    assert open_


def test_stand_ins_call_themselves_so(tika) -> None:
    """A product that could not be had says so; the real one says its version."""
    said = tika.run("vault", "--version")
    assert "stand-in: not HashiCorp's vault" in said or said.startswith("Vault v")


def test_a_test_of_the_example_passes_twice(hello, context) -> None:
    """Provisioned, again without a change, booted, answering; the container is gone."""
    ctx = context("hello", project=hello)
    result = image_test(ctx)
    require(result)
    assert result.headline() == "10 operations; a second run changes nothing"
    assert [check.name for check in result.tests[0].checks] == [
        "the service answers /healthz after a boot",
        "the page can be read",
    ]
    assert not [name for name in containers(LABEL) if ctx.run_id[-12:] in name]


FETCH = """
    from pyinfra.operations import files, server
    server.shell(name="Good", commands=["true"])
    files.download(name="Download", src="http://127.0.0.1:9/x.zip", dest="/tmp/x.zip")
    server.shell(name="After", commands=["true"])
"""


def test_a_base_without_curl_is_named(context, tmp_path, cache) -> None:
    """On a bare image a download fails; the hint names the base image."""
    project = small_project(tmp_path / "bare", FETCH)
    recipe = project.root / "images" / "naked"
    recipe.mkdir()
    (recipe / "recipe.toml").write_text(
        f'# {uuid.uuid4()}: this test\'s own, it is removed\nsuite = "bookworm"\n'
        'packages = []\ncommand = ["/bin/sh"]\n'
    )
    tag = base_image.ensure("naked", project=project)
    try:
        result = image_test(context("small", project=project), base=tag)
    finally:
        docker("rmi", tag)
    test = result.tests[0]
    assert [op.state for op in test.operations] == ["changed", "failed", "not reached"]
    assert not test.systemd
    assert result.not_tested[0].startswith("services:")
    with pytest.raises(StepError) as caught:
        require(result)
    assert "curl: not found" in str(caught.value)
    assert caught.value.hint.startswith("The base image lacks curl")


def test_a_base_that_is_not_here_is_not_fetched(context, project) -> None:
    """The test never asks a registry."""
    with pytest.raises(ToolError, match="nobody/made-this"):
        image_test(context(), base="nobody/made-this:1")


SLEEPER = """
    from pyinfra.operations import server
    server.shell(name="Sleep", commands=["sleep 60"])
"""
RUN = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from olrunbook.project.catalog import Project
    from olrunbook.redact import Redactor, new_key
    from olrunbook.adapters.context import Commit, Context
    from olrunbook.steps.images.provision import image_test
    root, work = Path({project!r}), Path({work!r})
    project = Project(root, root / "catalog.toml")
    image_test(Context(
        project=project, place=None, app_name="small", app=project.catalog.app("small"),
        stage="", run_id={run_id!r}, commit=Commit("c"), logs=work, work=work,
        redactor=Redactor(new_key()), emit=lambda event: print(event.text, flush=True),
    ))
"""


@pytest.fixture
def sleeping(
    tmp_path: Path, monkeypatch
) -> Callable[[], tuple[subprocess.Popen[str], str]]:
    """Return a function that starts an image test that is in the midst of things.

    It returns the process and the name of its container.
    """
    monkeypatch.setenv("OLRUNBOOK_STATE", str(tmp_path / "state"))
    project = small_project(tmp_path / "sleeper", SLEEPER)
    (tmp_path / "w").mkdir()
    run_id = str(uuid.uuid4())
    names = {
        "root": str(ROOT),
        "project": str(project.root),
        "work": str(tmp_path / "w"),
        "run_id": run_id,
    }
    script = textwrap.dedent(RUN).format(**names)

    def start() -> tuple[subprocess.Popen[str], str]:
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert any(line.strip() == "Sleep" for line in child.stdout)
        (name,) = [name for name in containers(LABEL) if run_id[-12:] in name]
        return child, name

    return start


def test_an_interrupted_test_removes_its_container(sleeping) -> None:
    """Ctrl-C in the midst of an operation: pyinfra is stopped, nothing is left."""
    child, name = sleeping()
    child.send_signal(signal.SIGINT)
    assert child.wait(90) != 0
    assert name not in containers(LABEL)


def test_a_killed_test_is_swept_by_the_next(sleeping) -> None:
    """After a kill -9 the next test removes the container whose process is gone."""
    child, name = sleeping()
    label = docker(
        "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', name
    )
    assert sweep(f"{LABEL}={label}") == []  # its process lives
    child.kill()
    child.wait(90)
    assert sweep(f"{LABEL}={label}") == [name]
    assert name not in containers(LABEL)
