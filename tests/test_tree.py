"""What holds for every file of the tree, whoever wrote it."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from detect_secrets.core.scan import scan_file
from detect_secrets.plugins.base import BasePlugin, RegexBasedDetector
from detect_secrets.settings import get_plugins, transient_settings
from pip._internal.models.index import PyPI

from setup.environment import LOCKS

ROOT = Path(__file__).resolve().parents[1]
LINES = 400
ALONE = {"olrunbook/archive/verifier.py"}  # one file on purpose: read and run alone
# Written so that this file is not found by its own search.
LEFT_OVER = re.compile(
    r"TO[D]O|FIX[M]E|XX[X]|raise NotImplementedE[r]ror"
    r"|pytest\.(mark\.)?(s[k]ip|xf[a]il)"
)
GENERATED = re.compile(r"(?:^|/)go\.(?:sum|mod)$|^requirements/.*\.txt$|^LICENSE$")


@cache
def tracked() -> tuple[str, ...]:
    """Return the files of the tree: tracked, or new and not ignored."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True)
    names = sorted({name for name in said.stdout.split("\0") if name})
    return tuple(name for name in names if (ROOT / name).is_file())


def texts(ending: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and text of the files that can be read as text."""
    for name in tracked():
        if name.endswith(ending):
            try:
                yield name, (ROOT / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def output(*argv: str) -> str:
    """Return what a command says; nothing where it is not there."""
    if not shutil.which(argv[0]):
        return ""
    said = subprocess.run(argv, check=False, capture_output=True, text=True)
    return said.stdout


def registry_hosts() -> set[str]:
    """Return the package hosts this machine's own clients use."""
    found = [f"//{PyPI.netloc}", f"//{PyPI.file_storage_domain}"]
    found += output("go", "env", "GOPROXY", "GOSUMDB").replace("|", ",").split(",")
    found.append(output(sys.executable, "-m", "pip", "config", "list"))
    apt = Path("/etc/apt")
    for path in (apt / "sources.list", *apt.glob("sources.list.d/*")):
        found.append(path.read_text(encoding="utf-8") if path.is_file() else "")
    hosts = set(re.findall(r"//([a-z0-9.-]+\.[a-z]{2,})", "\n".join(found)))
    bare = re.findall(r"^[a-z0-9-]+(?:\.[a-z0-9-]+)+$", "\n".join(found), re.MULTILINE)
    return hosts | set(bare)


def test_no_file_names_a_package_host() -> None:
    """Indexes, proxies and mirrors are the user's settings, not the tree's."""
    hosts = re.compile("|".join(re.escape(host) for host in sorted(registry_hosts())))
    named = [
        f"{name}: {found[0]}" for name, text in texts() if (found := hosts.search(text))
    ]
    assert named == []


def test_no_file_names_a_path_of_this_machine() -> None:
    """What works here must work in any folder."""
    named = [name for name, text in texts() if f"{ROOT}/" in text]
    assert named == []


def test_notebooks_carry_no_outputs() -> None:
    """Outputs belong to the archive; the source stays readable in a diff."""
    full = [
        name
        for name, text in texts(".ipynb")
        for cell in json.loads(text)["cells"]
        if cell.get("outputs") or cell.get("execution_count")
    ]
    assert full == []


def test_no_module_is_longer_than_a_room() -> None:
    """A module over 400 lines is two rooms in one."""
    long = [
        f"{name}: {len(text.splitlines())}"
        for name, text in texts(".py")
        if name.startswith(("olrunbook/", "setup/", "stacks/", "images/"))
        and len(text.splitlines()) > LINES
        and name not in ALONE
    ]
    assert long == []


def test_every_test_says_what_it_shows() -> None:
    """A test's docstring states the behaviour."""
    silent = [
        f"{name}: {node.name}"
        for name, text in texts(".py")
        if name.startswith("tests/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_nothing_is_left_to_do() -> None:
    """No note to oneself stays behind, and no test is passed over."""
    left = [
        f"{name}:{number}"
        for name, text in texts(".py")
        for number, line in enumerate(text.splitlines(), 1)
        if LEFT_OVER.search(line)
    ]
    assert left == []


def finds_nothing(filename: str, line: str) -> bool:
    """Tell detect-secrets, as one of its filters, that no plugin minds a line.

    Its own way to call each plugin with each line takes longer than all they do.
    """
    patterns, others = searches()
    return not any(search(line) for search in patterns) and not any(
        plugin.analyze_line(filename=filename, line=line) for plugin in others
    )


@cache
def searches() -> tuple[list[Callable[[str], object]], list[BasePlugin]]:
    """Return the searches of the plugins that are patterns, and the other plugins."""
    patterns = [p for p in get_plugins() if isinstance(p, RegexBasedDetector)]
    others = [p for p in get_plugins() if p not in patterns]
    return [regex.search for p in patterns for regex in p.denylist], others


def test_no_secret_that_is_not_known_to_be_none() -> None:
    """What looks like a secret is listed in .secrets.baseline, or it is one."""
    file = ROOT / ".secrets.baseline"
    settings = json.loads(file.read_text(encoding="utf-8"))
    known = {
        (name, secret["hashed_secret"])
        for name, secrets in settings["results"].items()
        for secret in secrets
    }
    kept = {name: settings[name] for name in ("plugins_used", "filters_used")}
    kept["filters_used"].insert(0, {"path": f"{__name__}.{finds_nothing.__name__}"})
    with transient_settings(kept):
        fresh = [
            f"{name}:{secret.line_number} {secret.type}"
            for name, _ in texts()
            if name != file.name and not GENERATED.search(name)
            for secret in scan_file(str(ROOT / name))
            if (name, secret.secret_hash) not in known
        ]
    assert fresh == [], "look at each, then: make baseline"


def locked(name: str) -> dict[str, set[str]]:
    """Return a lock's packages with their versions (one for each kind of Python)."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"(?m)^([a-z0-9-]+)==([^\s;]+)", text):
        found.setdefault(package, set()).add(version)
    return found


def test_the_locks_agree() -> None:
    """`dev` holds all of `run`, in the same versions, so tests run what users run."""
    run, dev = locked("run"), locked("dev")
    assert len(run) > 100
    assert {name: dev.get(name) for name in run} == run


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_names_no_place(name: str) -> None:
    """Every locked package has a hash, and the lock is silent on where it is from."""
    text = (ROOT / LOCKS[name]).read_text(encoding="utf-8")
    entries = re.split(r"(?m)^(?=[a-z0-9-]+==)", text)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "--index" not in text
