"""The wheel works where there is no checkout: in an empty folder, and in another's."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWN_CATALOG = """\
schema = 1
[targets.rehearsal]
title = "here"
[stages]
order = ["Only"]
[apps.zebra]
title = "An app nobody ships"
node_types = ["server"]
[apps.zebra.image]
template = "images/zebra.pkr.hcl"
only = "amazon-ebs.zebra"
deploy = "images/zebra.py"
name = "zebra-*"
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the checkout, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def olrunbook(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that has our packages and not our code."""
    venv = tmp_path_factory.mktemp("venv")
    make = [sys.executable, "-m", "venv", "--without-pip", venv]
    subprocess.run(make, check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # A folder named in a .pth is searched, but its own .pth files are not read: the
    # editable checkout stays out.
    ours = venv / "lib" / version / "site-packages" / "ours.pth"
    ours.write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install"]
    flags = ["--no-deps", "--no-index", "--ignore-installed", "--quiet"]
    subprocess.run([*pip, *flags, wheel], check=True)
    return venv / "bin" / "olrunbook"


def run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder."""
    keep = ("HOME", "LANG", "PATH")
    env = {name: os.environ[name] for name in keep if name in os.environ}
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env={**env, "OLRUNBOOK_STATE": str(cwd / ".state")},
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_wheel_carries_what_is_not_python(wheel: Path) -> None:
    """Catalog, images, notebooks, stacks, the tools' modules are inside; no tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "olrunbook/_shipped/catalog.toml",
        "olrunbook/_shipped/images/tika/deploy.py",
        "olrunbook/_shipped/stacks/tika/Pulumi.yaml",
        "olrunbook/_shipped/stacks/components/auto_scaling.py",
        "olrunbook/toolchain/modules/packer/go.sum",
    }
    notebooks = {
        f"olrunbook/_shipped/{path.relative_to(ROOT)}"
        for path in (ROOT / "notebooks").glob("*.ipynb")
    }
    assert wanted | notebooks <= names
    assert not [name for name in names if name.startswith("tests/")]
    assert not [name for name in names if name.endswith(".pyc")]


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    """What git has of the package, templates and styles included, is installed."""
    git = ["git", "ls-files", "olrunbook", "images", "stacks", "examples"]
    said = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True)
    shipped = {
        name if name.startswith("olrunbook/") else f"olrunbook/_shipped/{name}"
        for name in said.stdout.split()
        if (ROOT / name).is_file()
    }
    assert shipped <= set(zipfile.ZipFile(wheel).namelist())


def test_the_version_is_said(olrunbook: Path, tmp_path: Path) -> None:
    """The installed command is the one of the wheel."""
    said = run(olrunbook, "--version", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "0.1.0" in said.stdout


def test_an_empty_folder_has_the_shipped_catalog(
    olrunbook: Path, tmp_path: Path
) -> None:
    """Without a catalog of one's own, the shipped apps are there."""
    said = run(olrunbook, "catalog", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "tika" in said.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_catalog_of_its_own_wins(
    olrunbook: Path, tmp_path: Path
) -> None:
    """The nearest catalog upwards is the one in use."""
    (tmp_path / "catalog.toml").write_text(OWN_CATALOG)
    below = tmp_path / "some" / "where"
    below.mkdir(parents=True)
    said = run(olrunbook, "catalog", cwd=below)
    assert said.returncode == 0, said.stderr
    assert "zebra" in said.stdout
    assert "tika" not in said.stdout


def test_papermill_finds_the_engine(olrunbook: Path, tmp_path: Path) -> None:
    """`papermill --engine olrunbook` works after an installation."""
    code = (
        "import olrunbook, papermill.engines as e; "
        "e.papermill_engines.register_entry_points(); "
        "print(e.papermill_engines.get_engine('olrunbook').__name__); "
        "print(olrunbook.__file__)"
    )
    python = olrunbook.with_name("python")
    said = run(python, "-c", code, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    name, file = said.stdout.split()
    assert name == "OlrunbookEngine"
    assert not Path(file).is_relative_to(ROOT)


def test_a_project_is_started_without_a_checkout(
    olrunbook: Path, tmp_path: Path
) -> None:
    """The example is shipped, and what is made of it lacks nothing."""
    said = run(olrunbook, "init", "--new", "greet", "my", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    said = run(olrunbook, "--project", "my", "lint", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (
        0,
        "0 notebooks, 1 app: nothing to do\n",
    ), said.stderr
