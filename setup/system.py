"""System packages: which are missing, what each is for, install them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup.engine import ask
from setup.machine import Rights, base_python
from setup.report import Report, SetupError

SBIN = "/usr/sbin:/sbin"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True, slots=True)
class Need:
    """Something of the system's that olrunbook uses.

    Args:
        package: The Debian package that has it.
        why: What it is used for.
        there: Whether it is there.

    """

    package: str
    why: str
    there: Callable[[], bool]


def program(*names: str) -> Callable[[], bool]:
    """Return a test for one of these programs; sbin is looked at too."""

    def there() -> bool:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), SBIN])
        return any(shutil.which(name, path=path) for name in names)

    return there


def has_ensurepip() -> bool:
    """Whether our Python can make a virtual environment with pip in it."""
    call = [base_python(), "-I", "-c", "import venv, ensurepip"]
    return not subprocess.run(call, check=False, capture_output=True).returncode


def engine_there() -> bool:
    """Whether there is a docker engine to talk to, or one that can be started."""
    return program("docker")() and (program("dockerd")() or bool(ask()[0]))


def needs(*, rehearsal: bool, browser: bool, root: bool) -> list[Need]:
    """Return what is needed, in the order in which it is told.

    Args:
        rehearsal: Releases are going to be rehearsed.
        browser: The browser tests are going to run.
        root: We are root; others need the means for user namespaces.

    """
    venv = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    wanted = [Need(venv, "virtual environments", has_ensurepip)]
    if rehearsal:
        wanted += [
            Need("git", "the commit each record names", program("git")),
            Need("docker.io", "runs instances and images", engine_there),
            Need("mmdebstrap", "makes the base image", program("mmdebstrap")),
            Need("debian-archive-keyring", "checks its packages", KEYRING.is_file),
            Need("maven", "fetches Tika's jar", program("mvn")),
            Need("openssh-client", "reaches instances", program("ssh-keygen")),
        ]
        if not root:
            uidmap = program("newuidmap")
            wanted.append(Need("uidmap", "makes the base image without root", uidmap))
    if browser:
        chromium = program("chromium", "chromium-browser", "google-chrome")
        wanted.append(Need("chromium", "the browser tests", chromium))
    return wanted


def missing(wanted: Sequence[Need]) -> list[Need]:
    """Return those that are not there."""
    return [need for need in wanted if not need.there()]


def install(report: Report, wanted: Sequence[Need], rights: Rights) -> None:
    """Install what is missing; ask nothing when nothing is.

    Raises:
        SetupError: It may not or cannot be installed; with the command by hand.

    """
    absent = missing(wanted)
    if not absent:
        with report.step("system packages") as step:
            step.found(", ".join(need.package for need in wanted))
        return
    names = [need.package for need in absent]
    told = ", ".join(f"{need.package} ({need.why})" for need in absent)
    by_hand = f"{'' if rights.root else 'sudo '}apt-get install {' '.join(names)}"
    with report.step("system packages") as step:
        if not shutil.which("apt-get"):
            msg = f"missing: {told}"
            hint = "No apt-get here: use this system's package manager."
            raise SetupError(msg, hint)
        report.say(f"  {'':<22} {'missing':<8} {'':>6}  {told}")
        rights.need(f"To be installed: {told}.", by_hand)
        step.doing(f"installing {' '.join(names)}", 20 + 15 * len(names))
        hint = f"Run `{by_hand}` and read its output."
        apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]
        step.run(rights.argv(*apt, "update"), hint)
        if "docker.io" in names and known("docker-cli"):
            names.append("docker-cli")  # since Debian 13 a package of its own
        flags = ["-o", "DPkg::Lock::Timeout=300", "--yes", "--no-install-recommends"]
        step.run(rights.argv(*apt, "install", *flags, *names), hint)
        if left := [need.package for need in missing(absent)]:
            msg = f"installed, but still not found: {', '.join(left)}"
            raise SetupError(msg, hint)
        step.done(" ".join(names))


def known(package: str) -> bool:
    """Whether this release of the distribution has a package."""
    call = ["apt-cache", "show", package]
    return not subprocess.run(call, check=False, capture_output=True).returncode
