"""What a repository has: Packer templates, pyinfra deploys, Pulumi projects.

Files are read as text, and nothing is run: what only their program knows stays unknown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrunbook.adapters.pulumi.settings import read_yaml
from olrunbook.errors import UsageError

SKIP = {"node_modules", "site-packages", "outputs", "__pycache__", "build", "dist"}
TEMPLATE = ".pkr.hcl"
WHOLE = ("source", "build")  # blocks of a template that needs no other file
IMPORTED = re.compile(r"^(?:from|import)\s+(\w+)", re.MULTILINE)
STACK_FILE = re.compile(r"Pulumi\.(?:(.+)\.)?([^.]+)\.ya?ml")
AMI_NAME = re.compile(r'ami_name\s*=\s*"((?:\$\{[^}]*\}|[^"$])*)"')


@dataclass(frozen=True)
class Template:
    """A Packer template: a file, or a folder of them."""

    path: str
    text: str

    @property
    def sources(self) -> list[str]:
        """What of it is an AMI, as it is named after `-only`."""
        found = _blocks(self.text, "source")
        return [f"{kind}.{name}" for kind, name, _ in found if kind == "amazon-ebs"]

    @property
    def variables(self) -> dict[str, str | None]:
        """Its variables with their defaults as written; None: it needs a value."""
        found = {}
        for name, _, body in _blocks(self.text, "variable"):
            default = re.search(r"^\s*default\s*=\s*(.+)$", body, re.MULTILINE)
            found[name] = default[1].strip() if default else None
        return found

    def choices(self, variable: str) -> list[str]:
        """Return what a variable may be, by its validation; empty: anything."""
        at = rf"contains\(\s*\[([^\]]*)\]\s*,\s*var\.{variable}\b"
        found = re.search(at, self.text)
        return re.findall(r'"([^"]+)"', found[1]) if found else []

    def ami_name(self, app: str) -> str:
        """Return the pattern of the names of an app's AMIs; empty: it is not said."""
        known = dict(re.findall(r'^\s*(\w+)\s*=\s*"([^"$]*)"', self.text, re.MULTILINE))

        def value(found: re.Match[str]) -> str:
            room, _, name = found[1].strip().partition(".")
            if name == "node_type":
                return "{node_type}"
            given = app if name == "app_name" else None
            return given or (known.get(name, "*") if room == "local" else "*")

        found = AMI_NAME.search(self.text)
        name = re.sub(r"\$\{([^}]*)\}", value, found[1]) if found else ""
        return re.sub(r"\*+", "*", name)


@dataclass(frozen=True)
class Deploy:
    """A pyinfra deploy; its folder is named like its app."""

    path: str
    text: str

    @property
    def app(self) -> str:
        """The app, by the folder."""
        return self.path.split("/")[-2] if "/" in self.path else ""


@dataclass(frozen=True)
class PulumiProject:
    """A Pulumi project, its program and the settings of its stacks."""

    path: str
    settings: dict[str, Any]  # Pulumi.yaml
    text: str  # its program
    stacks: dict[str, dict[str, Any]]  # name to settings

    def config(self, stack: str) -> dict[str, Any]:
        """Return the settings of a stack's program; what is none counts as empty."""
        return _mapping(self.stacks[stack].get("config"))

    @property
    def backend(self) -> str:
        """Where its state is; empty: it does not say."""
        return str(_mapping(self.settings.get("backend")).get("url") or "")

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.settings.get("name") or "")

    @property
    def python(self) -> bool:
        """Whether its program is Python."""
        runtime = self.settings.get("runtime")
        return "python" in (runtime, _mapping(runtime).get("name"))


@dataclass(frozen=True)
class Tree:
    """What was found."""

    templates: list[Template]
    deploys: list[Deploy]
    projects: list[PulumiProject]
    packages: dict[str, str]  # Python package to the folder that it is imported from
    files: frozenset[str]  # every file's path
    unread: list[str]  # what could not be read, and why

    def template_of(self, deploy: Deploy) -> Template | None:
        """Return a deploy's template: in its folder, else the nearest one above it."""
        folder, by_place = deploy.path.rpartition("/")[0], {}
        for template in self.templates:
            place, _, file = template.path.rpartition("/")
            if not file.endswith(TEMPLATE):
                by_place[template.path] = template
            elif place == folder and template.sources:
                return template
        while folder and folder not in by_place:
            folder = folder.rpartition("/")[0]
        return by_place.get(folder or ".")

    def import_path(self, texts: list[tuple[str, str]]) -> list[str]:
        """Return the folders from which files (path, text) import what is in the tree.

        What stands beside a file, or beside its folder, it finds by itself.
        """
        found = set()
        for path, text in texts:
            here = os.path.dirname(path)  # noqa: PTH120  (a path in the tree)
            own = {here, os.path.dirname(here)}  # noqa: PTH120
            for name in IMPORTED.findall(text):
                if (folder := self.packages.get(name)) is not None:
                    found |= {folder or "."} - {one or "." for one in own}
        return sorted(found)


def survey(root: Path) -> Tree:
    """Look through a folder; hidden folders and what tools install are left out."""
    files = sorted(_files(root))
    texts: dict[str, str] = {}
    for path in files:
        if path.endswith((TEMPLATE, ".py")):
            texts[path] = (root / path).read_text(encoding="utf-8", errors="replace")
    packages: dict[str, str] = {}
    for path in (file for file in files if file.endswith(".py") and "/" in file):
        folder, _, package = path.rpartition("/")[0].rpartition("/")
        if f"{folder}/__init__.py".lstrip("/") not in texts:  # else part of a package
            packages.setdefault(package, folder)
    deploys = [
        Deploy(path, text)
        for path, text in texts.items()
        if path.endswith("/deploy.py") and IMPORTED.search(text)
    ]
    unread: list[str] = []
    projects = list(_projects(root, files, texts, unread))
    return Tree(
        list(_templates(texts)), deploys, projects, packages, frozenset(files), unread
    )


def _files(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in SKIP and not f.startswith(".")]
        base = Path(folder).relative_to(root)
        yield from ((base / file).as_posix() for file in files)


def _templates(texts: dict[str, str]) -> Iterator[Template]:
    """Yield files that are whole, and folders whose files are so together."""
    shared: dict[str, list[str]] = {}
    for path, text in texts.items():
        if not path.endswith(TEMPLATE):
            continue
        parts = [re.search(rf"^\s*{one}\b", text, re.MULTILINE) for one in WHOLE]
        if all(parts) and "var.app_name" not in text:
            yield Template(path, text)
        else:
            shared.setdefault(path.rpartition("/")[0], []).append(text)
    for folder, some in shared.items():
        template = Template(folder or ".", "\n".join(some))
        if template.sources:
            yield template


def _projects(
    root: Path, files: list[str], texts: dict[str, str], unread: list[str]
) -> Iterator[PulumiProject]:
    for path in (file for file in files if file.split("/")[-1] == "Pulumi.yaml"):
        folder = path.rpartition("/")[0]
        try:
            stacks = {}
            for file in files:
                at, _, name = file.rpartition("/")
                if at == folder and (found := STACK_FILE.fullmatch(name)):
                    stack = ".".join(filter(None, found.groups()))
                    stacks[stack] = read_yaml(root / file)
            settings = read_yaml(root / path)
        except UsageError as error:
            unread.append(f"{folder or '.'}: {error}")
            continue
        program = [t for at, t in texts.items() if at.rpartition("/")[0] == folder]
        yield PulumiProject(folder or ".", settings, "\n".join(program), stacks)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _blocks(text: str, kind: str) -> Iterator[tuple[str, str, str]]:
    """Yield the labels and the body of each HCL block of a kind."""
    head = re.compile(
        rf'^\s*{kind}\s+"?([\w-]+)"?(?:\s+"?([\w-]+)"?)?\s*\{{', re.MULTILINE
    )
    for found in head.finditer(text):
        depth, at = 1, found.end()
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        yield found[1], found[2] or "", text[found.end() : at - 1]
