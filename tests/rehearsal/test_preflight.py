"""What must hold before a rehearsal starts, each with one clear message."""

from __future__ import annotations

import platform
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from olrunbook.errors import OlrunbookError, ToolError
from olrunbook.rehearsal import lifecycle, preflight

COMMAND = """#!/bin/sh
[ "$1" = info ] || exit 9
{body}
"""
DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock"
)


@pytest.fixture
def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a docker command that a test writes for itself."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(
        "olrunbook.adapters.docker.command.tool_environment",
        lambda: {"PATH": str(folder)},
    )
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "docker"


def write(path: Path, body: str) -> None:
    """Write the docker command."""
    path.write_text(COMMAND.format(body=body))
    path.chmod(0o755)


class TestDocker:
    """The engine must answer and share this machine's network."""

    def test_is_not_running(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Up with no engine fails with what to do, and leaves nothing."""
        monkeypatch.setenv("OLRUNBOOK_STATE", str(tmp_path / "state"))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        with pytest.raises(ToolError, match="docker engine cannot be used") as caught:
            lifecycle.up(tmp_path)
        assert caught.value.hint
        assert not list((tmp_path / "state").rglob("*.json"))
        assert not lifecycle.status(tmp_path).up

    def test_is_not_allowed(self, fake_docker: Path) -> None:
        """A user outside the docker group is told to join it."""
        write(fake_docker, f"echo '{DENIED}' >&2; exit 1")
        with pytest.raises(ToolError) as caught:
            preflight.check_docker()
        assert "usermod -aG docker" in caught.value.hint

    @pytest.mark.parametrize(
        "answer",
        [
            '{"OperatingSystem": "Docker Desktop", "OSType": "linux"}',
            '{"OSType": "linux", "SecurityOptions": ["name=rootless"]}',
        ],
        ids=["desktop", "rootless"],
    )
    def test_is_elsewhere(self, fake_docker: Path, answer: str) -> None:
        """An engine in a machine of its own cannot publish on our loopback."""
        write(fake_docker, f"echo '{answer}'")
        with pytest.raises(OlrunbookError, match="does not share"):
            preflight.check_docker()

    def test_is_well(self, fake_docker: Path, tmp_path: Path) -> None:
        """An ordinary engine passes."""
        root = f'{{"OSType": "linux", "DockerRootDir": "{tmp_path}"}}'
        write(fake_docker, f"echo '{root}'")
        preflight.check_docker()


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On anything but Linux amd64 one line says so, and what works there."""
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(OlrunbookError, match="Linux on amd64") as caught:
        preflight.check_platform()
    assert "olrunbook show" in caught.value.hint


def test_full_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no space, the figures are named before anything is made."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    with pytest.raises(OlrunbookError, match="5 MiB are free") as caught:
        preflight.check_disk(tmp_path / "not" / "yet")
    assert "docker system df" in caught.value.hint


class TestPorts:
    """A program on all addresses at a port instances need."""

    def test_is_seen(self) -> None:
        """A listener on all addresses is seen without any rights, a local one not."""
        everywhere = socket.create_server(("0.0.0.0", 0))  # noqa: S104
        local = socket.create_server(("127.0.0.1", 0))
        with everywhere, local:
            found = preflight.wildcard_ports()
            assert everywhere.getsockname()[1] in found
            assert local.getsockname()[1] not in found

    def test_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The port, its use and what to do are named."""
        monkeypatch.setattr(preflight, "wildcard_ports", lambda: {22, 80})
        with pytest.raises(OlrunbookError, match="port 22 is in use") as caught:
            preflight.check_ports()
        assert "ListenAddress" in caught.value.hint
        assert preflight.BRIDGE_VARIABLE in caught.value.hint
        preflight.check_ports(bridge=True)
        monkeypatch.setattr(preflight, "wildcard_ports", lambda: {443})
        with pytest.raises(OlrunbookError, match="port 443 is in use"):
            preflight.check_ports(bridge=True)
