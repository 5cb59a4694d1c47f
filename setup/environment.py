"""The virtual environment: the locked packages, checked by their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from setup.machine import base_python
from setup.report import Report, SetupError

VENV = ".venv"
MARKER = "olrunbook-setup.json"
# The locks. `theirs`: of the repository that tests/adopted has, with tools older than
# ours; this checkout is not installed with it.
LOCKS = {
    "run": "requirements/run.txt",
    "dev": "requirements/dev.txt",
    "theirs": "tests/adopted/tree/requirements.lock",
}
# pip's own settings (an index, a certificate, a cache) are the user's and stay in
# force; these would have it install somewhere else.
ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PYTHONPATH")
# Seconds a locked package takes on two cores from a cold cache, for the estimate.
PER_PACKAGE_S = 0.35


def digest(*paths: Path) -> str:
    """Return one hash over files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def wanted(root: Path, lock: str) -> dict[str, str]:
    """Return what the marker of an environment made from a lock holds."""
    return {
        "lock": lock,
        "sha256": digest(root / LOCKS[lock]),
        "project": digest(root / "pyproject.toml"),
        "root": str(root),
    }


def read_marker(venv: Path) -> dict[str, str] | None:
    """Return the marker of a working environment that we made, else None."""
    try:
        marker = json.loads((venv / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    alive = os.access(venv / "bin" / "python", os.X_OK)
    return marker if alive and isinstance(marker, dict) else None


def choose_lock(root: Path, lock: str, marker: dict[str, str] | None) -> str:
    """Return the lock to use: `dev` holds all of `run`, so it is never taken back."""
    if marker and marker.get("root") == str(root) and marker.get("lock") == "dev":
        return "dev"
    return lock


def ensure(
    report: Report, root: Path, lock: str, *, folder: str = VENV, python: str = ""
) -> Path:
    """Make the environment what the lock says, and return its Python.

    Args:
        report: Where it is told.
        root: The checkout.
        lock: A name in LOCKS.
        folder: The environment's folder in the checkout.
        python: The Python it is made with; empty: ours.

    Raises:
        SetupError: It cannot be made.

    """
    venv = root / folder
    ours = venv / "bin" / "python"
    with report.step("python packages" if folder == VENV else folder) as step:
        if venv.exists() and not (venv / "pyvenv.cfg").exists():
            msg = f"{venv} exists and is not a virtual environment"
            raise SetupError(msg, "Move it away or remove it.")
        marker = read_marker(venv)
        lock = choose_lock(root, lock, marker)
        want = wanted(root, lock)
        count = sum("==" in line for line in lock_lines(root, lock))
        if marker == want:
            step.found(f"{count} locked in {folder}")
            return ours
        expected = 5 + PER_PACKAGE_S * count
        if marker is None or marker.get("root") != str(root):
            step.doing(f"making {folder} with {python or base_python()}", expected)
            hint = "Debian and Ubuntu: apt-get install python3-venv"
            make = [python or base_python(), "-I", "-m", "venv", "--clear", str(venv)]
            step.run(make, hint)
            marker = {}
        (venv / MARKER).unlink(missing_ok=True)  # half made is not made
        env = {k: v for k, v in os.environ.items() if k not in ELSEWHERE}
        pip = [str(ours), "-I", "-m", "pip", "install", "--no-input", "--no-deps"]
        pip += ["--disable-pip-version-check", "--progress-bar=off", "--no-compile"]
        if marker.get("sha256") != want["sha256"]:
            seen = 0

            def told(line: str) -> None:
                nonlocal seen
                seen += line.startswith("Collecting ")
                what = "unpacking" if line.startswith("Installing") else "fetching"
                step.doing(f"{what} {count} locked packages", expected, None)

            locked = ["--require-hashes", "-r", f"{root / LOCKS[lock]}"]
            hint = "Is the package index reachable? `pip config list` shows yours."
            step.run([*pip, *locked], hint, env=env, line=told)
            if lock != "theirs":  # of which little is used
                # By two processes; pip itself would do it by one.
                step.doing(f"compiling {count} packages", expected)
                byte = ["-m", "compileall", "-q", "-j", "0", str(venv / "lib")]
                step.run([str(ours), "-I", *byte], env=env)
        if lock != "theirs":
            step.doing("installing this checkout", expected)
            edit = ["--no-build-isolation", "--editable", str(root)]
            step.run([*pip, *edit], env=env)
        (venv / MARKER).write_text(json.dumps(want), encoding="utf-8")
        step.done(f"{count} locked in {folder}")
    return ours


def lock_lines(root: Path, lock: str) -> list[str]:
    """Return a lock's lines."""
    return (root / LOCKS[lock]).read_text(encoding="utf-8").splitlines()


def find_other(version: str) -> str:
    """Return a Python of a version (`3.13`) that runs, else an empty string.

    A shim on the PATH may name one that is not active, so each is tried; pyenv's own
    folder is looked at too.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = sorted(pyenv.glob(f"versions/{version}*/bin/python{version}"), reverse=True)
    check = f"import sys, venv, ensurepip; assert sys.version.startswith('{version}.')"
    for name in (shutil.which(f"python{version}"), *map(str, kept)):
        if name:
            said = subprocess.run(
                [name, "-I", "-c", check], check=False, capture_output=True
            )
            if not said.returncode:
                return name
    return ""
