"""The CLI made safe: own session, files instead of pipes, one SIGINT; and its state."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from pulumi.automation import CommandError, ConcurrentUpdateError

from olrunbook.adapters.pulumi.found import State
from olrunbook.adapters.pulumi.state import (
    FileBackend,
    S3Backend,
    find_locks,
    look,
    open_backend,
    readable,
    scope,
)
from olrunbook.errors import ToolError, UsageError
from olrunbook.workers.pulumi.cli import DEAF_S, SafeCommand, StoppedError

# A CLI that says its version, and does what its first argument says.
FAKE = """#!{python}
import os, signal, sys, time
words = [word for word in sys.argv[1:] if word != "--non-interactive"]
if words[0] == "version":
    print("v3.259.0")
elif words[0] == "read":
    print("read", sys.stdin.read())
elif words[0] == "fail":
    print("out"); print("error: it failed", file=sys.stderr); sys.exit(255)
elif words[0] == "locked":
    print("error: the stack is currently locked by 1 lock(s)", file=sys.stderr)
    sys.exit(255)
elif words[0] == "session":
    print(os.getsid(0) == os.getpid(), flush=True)
elif words[0] in ("wait", "deaf"):
    seen = []
    if words[0] == "deaf":
        print("locked", flush=True)
        while not os.path.exists(os.path.join(os.path.dirname(words[1]), "listen")):
            time.sleep(0.02)
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    print("ready", os.getpid(), flush=True)
    print("listening", flush=True)
    while not seen and not os.path.exists(words[1]):
        time.sleep(0.02)
    time.sleep(0.3)
    print("signals", len(seen), flush=True)
    open(words[1], "w").write("ended")
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a scratch folder; the fake CLI is the `pulumi` on PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "pulumi"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_output_is_returned_and_told_line_by_line(scratch: Path) -> None:
    """And the files it came through are gone."""
    lines: list[str] = []
    result = SafeCommand(scratch).run(
        ["read"], str(scratch), {}, lines.append, given="x"
    )

    assert lines == ["read x"]
    assert (result.stdout, result.code) == ("read x", 0)
    assert list(scratch.iterdir()) == []


def test_a_failure_carries_what_the_cli_said(scratch: Path) -> None:
    """Both streams; a lock is told apart."""
    command = SafeCommand(scratch)
    with pytest.raises(CommandError, match="it failed"):
        command.run(["fail"], str(scratch), {})
    with pytest.raises(ConcurrentUpdateError):
        command.run(["locked"], str(scratch), {})


def test_the_cli_has_a_session_of_its_own(scratch: Path) -> None:
    """A terminal's Ctrl-C, or a notebook's interrupt, reaches us only."""
    assert SafeCommand(scratch).run(["session"], str(scratch), {}).stdout == "True"


def test_it_is_asked_when_its_engine_hears(
    scratch: Path, eventually: Callable[..., Any]
) -> None:
    """Before, it holds the lock and would be ended by the signal: the lock would stay.

    A stopped update waits for the first event, and no longer than a while.
    """
    command, end, began = SafeCommand(scratch), scratch / "ended", time.monotonic()
    lines: list[str] = []
    done = threading.Thread(
        target=lambda: command.run(["deaf", str(end)], str(scratch), {}, lines.append)
    )
    done.start()
    eventually(lambda: lines)
    command.stop()
    (scratch / "listen").touch()  # from now on it has a handler
    eventually(lambda: "listening" in lines)
    assert time.monotonic() - began < DEAF_S
    command.heard.set()
    done.join()
    assert lines[-1] == "signals 1"


def test_it_is_asked_to_stop_once_however_often_we_are(scratch: Path) -> None:
    """A second SIGINT would orphan what is being made; one without events is asked."""
    command = SafeCommand(scratch)
    end = scratch / "ended"

    def on_line(line: str) -> None:
        if line.startswith("ready"):
            for _ in range(3):
                command.stop()

    result = command.run(["wait", str(end)], str(scratch), {}, on_line)

    assert result.stdout.splitlines()[-1] == "signals 1"
    with pytest.raises(StoppedError):
        command.run(["read"], str(scratch), {})


def test_killing_us_does_not_end_the_cli(
    scratch: Path, eventually: Callable[..., Any]
) -> None:
    """It writes to files: it meets no broken pipe and finishes by itself."""
    end = scratch / "ended"
    program = (
        "import sys; from pathlib import Path\n"
        "from olrunbook.workers.pulumi.cli import SafeCommand\n"
        "SafeCommand(Path(sys.argv[1])).run(['wait', sys.argv[2]], '.', {}, print)\n"
    )
    ours = subprocess.Popen(
        [sys.executable, "-c", program, str(scratch), str(end)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert ours.stdout
    pid = int(ours.stdout.readline().split()[1])
    ours.kill()
    ours.wait()

    assert psutil.pid_exists(pid)
    os.kill(pid, signal.SIGINT)
    eventually(lambda: end.exists() and end.read_text() == "ended")
    ours.stdout.close()


def test_without_the_cli_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is installed behind anybody's back."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(FileNotFoundError, match="not on PATH"):
        SafeCommand(tmp_path)


def test_calls_may_run_side_by_side(scratch: Path) -> None:
    """Each has files of its own."""
    command = SafeCommand(scratch)
    said: dict[int, str] = {}

    def read(number: int) -> None:
        result = command.run(["read"], str(scratch), {}, given=str(number))
        said[number] = result.stdout

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == {number: f"read {number}" for number in range(4)}


@pytest.fixture
def file_backend(tmp_path: Path) -> Path:
    """Return a project whose state is in a folder, with a lock and two updates."""
    state = tmp_path / "state"
    (tmp_path / "Pulumi.yaml").write_text(f"name: p\nbackend:\n  url: file://{state}\n")
    locks = state / ".pulumi/locks/organization/p/CI"
    history = state / ".pulumi/history/p/CI"
    for folder in (locks, history):
        folder.mkdir(parents=True)
    held = {"pid": 7, "username": "ann", "hostname": "host", "timestamp": "2026-11-23"}
    (locks / "a.json").write_text(json.dumps(held))
    (locks / "a.json.attrs").write_text("{}")
    (history / "CI-1.history.json").write_text('{"result": "succeeded"}')
    (history / "CI-2.history.json").write_text('{"result": "failed"}')
    (history / "CI-2.checkpoint.json").write_text("{}")
    return tmp_path


def kept(project: Path, pending: list[dict[str, Any]]) -> State:
    """Keep a state, and return what is seen of it."""
    resources = [{"type": "pulumi:pulumi:Stack"}, {"type": "aws:lb/listener:Listener"}]
    latest = {"resources": resources, "pending_operations": pending}
    file = project / "state/.pulumi/stacks/p/CI.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
    backend = open_backend(project, {}, pytest.fail)
    return look(backend, "p", "CI")


def test_a_look_tells_locks_history_and_pending_operations(file_backend: Path) -> None:
    """Who holds it, how the last update ended, what was never finished."""
    urn = "urn:pulumi:CI::p::a$aws:lb/loadBalancer:LoadBalancer::web"

    found = kept(file_backend, [{"type": "creating", "resource": {"urn": urn}}])

    assert found.locks == ["held by ann@host (pid 7) since 2026-11-23"]
    assert (found.version, found.updates[0].result) == (2, "failed")
    assert found.pending == ["creating aws:lb/loadBalancer:LoadBalancer web"]
    assert found.resources == 2
    assert found.types == ["aws:lb/listener:Listener", "pulumi:pulumi:Stack"]


def test_a_state_of_before_projects_is_found(tmp_path: Path) -> None:
    """As Pulumi kept it when a stack's name was of all projects."""
    state = tmp_path / "state" / ".pulumi"
    (tmp_path / "Pulumi.yaml").write_text(f"backend:\n  url: file://{state.parent}\n")
    latest = {"resources": [{"type": "pulumi:pulumi:Stack"}]}
    held = {"pid": 7, "username": "ann", "hostname": "host", "timestamp": "2026-11-23"}
    name = "applications.tika.CI"
    for file, content in (
        (f"stacks/{name}.json", {"version": 3, "checkpoint": {"latest": latest}}),
        (f"history/{name}/{name}-1.history.json", {"result": "succeeded"}),
        (f"locks/{name}/a.json", held),
    ):
        (state / file).parent.mkdir(parents=True)
        (state / file).write_text(json.dumps(content))
    backend = open_backend(tmp_path, {}, pytest.fail)

    found = look(backend, "p", name)
    assert (found.version, found.resources) == (1, 1)
    assert found.updates[0].result == "succeeded"
    assert found.locks == ["held by ann@host (pid 7) since 2026-11-23"]


def test_the_digest_is_over_resources_and_pending_operations(
    file_backend: Path,
) -> None:
    """The same state has the same digest; a pending operation has another."""
    found = [kept(file_backend, one) for one in ([], [], [{"type": "creating"}])]
    digests = [one.digest for one in found]

    assert digests[0] == digests[1] != digests[2]


def test_a_lock_that_cannot_be_read_is_still_a_lock(file_backend: Path) -> None:
    """Half a file is somebody's too."""
    file = file_backend / "state/.pulumi/locks/organization/p/CI/a.json"
    file.write_text("{")
    backend = open_backend(file_backend, {}, pytest.fail)

    assert find_locks(backend, "p", "CI") == ["a lock that cannot be read"]


def test_a_project_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    """Where its backend is asked for, too."""
    (tmp_path / "Pulumi.yaml").write_bytes(b"name: \xff\n")

    with pytest.raises(UsageError, match=r"Pulumi\.yaml is not YAML"):
        open_backend(tmp_path, {}, pytest.fail)


def test_a_packed_state_is_read_as_a_plain_one(file_backend: Path) -> None:
    """Pulumi packs state and history where PULUMI_DIY_BACKEND_GZIP says so."""
    plain = kept(file_backend, [{"type": "creating"}])
    stacks, history = "state/.pulumi/stacks/p", "state/.pulumi/history/p/CI"
    for folder in (stacks, history):
        for file in [*(file_backend / folder).glob("*.json")]:
            packed = file.with_name(f"{file.name}.gz")
            packed.write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    backend = open_backend(file_backend, {}, pytest.fail)

    assert plain == look(backend, "p", "CI")
    assert scope(backend, "p", "CI") == "p"
    (file_backend / stacks / "CI.json.gz").write_bytes(b"\x1f\x8bhalf")
    with pytest.raises(ToolError, match="state of CI cannot be read"), readable("CI"):
        look(backend, "p", "CI")


@pytest.mark.parametrize(
    ("current", "opened"),
    [
        ("file:///there", FileBackend(Path("/there"))),
        (
            "s3://ours/a/b?region=eu-west-1&awssdk=v2",
            S3Backend("ours", "a/b/", "client"),
        ),
    ],
)
def test_the_backend_of_a_login_counts_where_nothing_names_one(
    tmp_path: Path, current: str, opened: Any
) -> None:
    """As for Pulumi itself; parameters of a bucket's address are Pulumi's own."""
    (tmp_path / "credentials.json").write_text(json.dumps({"current": current}))
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    env = {"PULUMI_HOME": str(tmp_path)}
    assert open_backend(tmp_path, env, lambda: "client") == opened
    (tmp_path / "Pulumi.yaml").write_text("backend: {url: 'file:///named'}\n")
    assert open_backend(tmp_path, env, pytest.fail) == FileBackend(Path("/named"))


@pytest.mark.parametrize(
    ("url", "words", "hint"),
    [
        ("https://api.pulumi.com", "backend is https://api.pulumi.com", "backend.url"),
        ("gs://ours", "wanted s3://… or file://…", "pulumi login"),
        ("", "backend is not named", "pulumi login"),
        ("s3://ours?profile=mine", "backend is s3://ours", "Take profile= out of it"),
    ],
)
def test_a_backend_that_cannot_be_read_is_refused(
    tmp_path: Path, url: str, words: str, hint: str
) -> None:
    """The CLI alone reads it, or as somebody else than the target says."""
    with pytest.raises(UsageError, match=words) as caught:
        open_backend(tmp_path, {"PULUMI_BACKEND_URL": url}, pytest.fail)
    assert hint in caught.value.hint
