"""docker's failures in words a reader can act on."""

from __future__ import annotations

import pytest

from olrunbook.adapters.docker.command import (
    docker,
    environment,
    exists,
    systemd_arguments,
)
from olrunbook.errors import ToolError


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("permission denied while trying to connect to the Docker daemon", "usermod"),
        (
            "Cannot connect to the Docker daemon at unix:///x. Is it running?",
            "systemctl",
        ),
        ("write /x: no space left on device", "docker system df"),
        ("Bind for 127.0.0.1:22 failed: port is already allocated", "ss -ltnp"),
    ],
)
def test_known_failures_have_a_hint(act, said, hint) -> None:
    """The daemon's words are the message, and what can be done is the hint."""
    act("docker", f"echo '{said}' >&2; exit 1")
    with pytest.raises(ToolError) as caught:
        docker("run", "x")
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_no_docker_at_all(monkeypatch, tmp_path) -> None:
    """A machine without the command is told what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="not installed") as caught:
        docker("info")
    assert "docker.io" in caught.value.hint


def test_a_docker_that_hangs_is_given_up(act) -> None:
    """A command that does not answer in its time is an error, not a wait for ever."""
    act("docker", "exec sleep 30")
    with pytest.raises(ToolError, match="did not answer"):
        docker("info", timeout_s=0.3)


def test_a_missing_image_is_no_error_but_a_silent_daemon_is(act) -> None:
    """Only `no such image` means that it is not there."""
    act("docker", "echo 'Error: No such image: x' >&2; exit 1")
    assert not exists("x")
    act("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(ToolError):
        exists("x")


def test_the_environment_is_an_allow_list(monkeypatch) -> None:
    """Nothing that names an account or a credential reaches docker."""
    monkeypatch.setenv("AWS_PROFILE", "hostile")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    env = environment()
    assert "AWS_PROFILE" not in env
    assert env["DOCKER_CONTEXT"] == "mine"


@pytest.mark.parametrize(("version", "mode"), [("1", ":ro"), ("2", ":rw")])
def test_systemd_gets_the_cgroup_tree_it_needs(act, version, mode) -> None:
    """Under v1 it only reads the tree; under v2 it writes in the host's."""
    act("docker", f"echo {version}")
    arguments = systemd_arguments()
    assert arguments[-1] == f"/sys/fs/cgroup:/sys/fs/cgroup{mode}"
    assert "--privileged" not in arguments


def test_the_cause_is_told_and_not_the_advert(act) -> None:
    """Newer commands end with where help is; that is no cause."""
    act(
        "docker",
        "echo 'docker: no.' >&2; echo \"Run 'docker run --help'\" >&2; exit 125",
    )
    with pytest.raises(ToolError, match=r"docker run: docker: no\."):
        docker("run", "x")
