"""The docker command: one call, its output, and errors a reader can act on."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

from olrunbook.errors import ToolError
from olrunbook.targets import tool_environment

# How the command finds its daemon. Nothing here names a registry or a credential.
_KEEP = "HOME DOCKER_CONFIG DOCKER_CONTEXT DOCKER_CERT_PATH DOCKER_TLS_VERIFY"

_HINTS = tomllib.loads(Path(__file__).with_name("hints.toml").read_text("utf-8"))


def environment() -> dict[str, str]:
    """Return the docker command's environment: the tools', and its daemon's place."""
    found = {name: os.environ[name] for name in _KEEP.split() if name in os.environ}
    return {**tool_environment(), **found}


def explain(output: str) -> str:
    """Return what a reader can do about docker's words; empty: nothing is known."""
    low = output.lower()
    return next((hint for sign, hint in _HINTS.items() if sign in low), "")


def docker(*args: str, data: bytes | None = None, timeout_s: float = 300) -> str:
    """Run one docker command and return what it printed, stripped.

    `data` is its standard input; after `timeout_s` it is given up.

    Raises:
        ToolError: It is missing, ended badly, or took too long.

    """
    try:
        done = subprocess.run(
            ["docker", *args],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=environment(),
        )
    except FileNotFoundError:
        msg = "docker is not installed"
        raise ToolError(msg, "Install it: sudo apt-get install docker.io") from None
    except subprocess.TimeoutExpired:
        msg = f"docker {args[0]} did not answer within {timeout_s:g} s"
        raise ToolError(msg, "Check the daemon: `docker info` must answer.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        msg = f"docker {args[0]}: {_cause(said) or f'exit code {done.returncode}'}"
        raise ToolError(msg, explain(said), done.returncode)
    return done.stdout.decode(errors="replace").strip()


def _cause(said: str) -> str:
    """Return the last line that says something: the command ends with an advert."""
    advert = ("Run 'docker", "See 'docker")
    lines = [line for line in said.splitlines() if line and not line.startswith(advert)]
    return lines[-1][-400:] if lines else ""


def exists(image: str) -> bool:
    """Return whether an image is here; ToolError where the daemon cannot be asked."""
    try:
        docker("image", "inspect", "--format", "{{.Id}}", image)
    except ToolError as error:
        if "no such image" in str(error).lower():
            return False
        raise
    return True


def systemd_arguments() -> list[str]:
    """Return what `docker run` needs so that systemd can be PID 1 without privileges.

    Under cgroup v1 it only reads its tree; under v2 it must write in the host's, of
    which its own scope is a part.
    """
    # SIGRTMIN+3 is systemd's "power off"; without it a stop ends with a kill.
    common = ["--stop-signal", "SIGRTMIN+3", "--tmpfs", "/run", "--tmpfs", "/run/lock"]
    if docker("info", "--format", "{{.CgroupVersion}}") == "2":
        mount = "/sys/fs/cgroup:/sys/fs/cgroup:rw"
        return [*common, "--cgroupns", "host", "--volume", mount]
    return [*common, "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro"]
