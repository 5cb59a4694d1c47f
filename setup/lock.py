"""Renew the locks from pyproject.toml: every package, every hash, no host."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from setup.environment import LOCKS
from setup.machine import base_python
from setup.report import Report, Step

EXTRAS = {
    "run": ("rehearsal", "build"),
    "dev": ("rehearsal", "build", "dev"),
    "theirs": (),
}
HEADER = """\
# The exact packages of `{name}` ({extras}), for Python 3.11 and newer on any platform.
# Made by `make lock` from {project}; pip checks the hashes. Do not edit.
"""


def renew(report: Report, root: Path, *, upgrade: bool = False) -> None:
    """Write the locks anew.

    Args:
        report: Where it is told.
        root: The checkout.
        upgrade: Take the newest versions; else keep what is locked where it still fits.

    Raises:
        SetupError: uv cannot be had, or the requirements contradict one another.

    """
    with tempfile.TemporaryDirectory(prefix="olrunbook-lock-") as folder:
        for name in EXTRAS:
            with report.step(LOCKS[name]) as step:
                step.doing("resolving", 10)
                uv = find_uv(step, Path(folder))
                one(step, uv, root, name, upgrade=upgrade)


def one(step: Step, uv: str, root: Path, name: str, *, upgrade: bool) -> None:
    """Write one lock."""
    path = root / LOCKS[name]
    project = "pyproject.toml"
    if name == "theirs":
        project = str(Path(LOCKS[name]).with_name(project))
    argv = [uv, "pip", "compile", "--quiet", "--universal", "--python-version=3.11"]
    argv += ["--generate-hashes", "--no-header", "--annotation-style=line"]
    argv += ["--no-emit-index-url", "--no-emit-find-links", f"--output-file={path}"]
    argv += [f"--extra={extra}" for extra in EXTRAS[name]]
    if name == "dev":  # holds all of `run`, in the same versions
        argv.append("--constraint=requirements/run.txt")
    if upgrade:
        argv.append("--upgrade")
    step.run([*argv, project], cwd=root)
    made = path.read_text(encoding="utf-8")
    extras = ", ".join(EXTRAS[name]) or "no extras"
    header = HEADER.format(name=name, extras=extras, project=project)
    path.write_text(header + made, encoding="utf-8")
    step.done(f"{sum('==' in line for line in made.splitlines())} packages")


def find_uv(step: Step, folder: Path) -> str:
    """Return uv from the PATH, else from an environment made for this."""
    if found := shutil.which("uv"):
        return found
    own = folder / "venv" / "bin" / "uv"
    if not own.exists():
        step.run([base_python(), "-I", "-m", "venv", str(folder / "venv")])
        pip = [str(own.with_name("pip")), "install", "--quiet", "uv"]
        step.run(pip)
    return str(own)
