"""Where image tools work: a private copy of the checkout's files, not the checkout.

A failing pyinfra writes a debug log beside the deploy file, Python its bytecode, Packer
its temporary scripts with the builder's key: all of it into a folder that goes with the
run.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from olrunbook.adapters.context import Context
from olrunbook.artifacts.cache import fetch_all
from olrunbook.errors import UsageError
from olrunbook.events import Event
from olrunbook.project.catalog import one_of
from olrunbook.project.where import cache_dir
from olrunbook.record.provenance import files
from olrunbook.steps.images.results import ArtifactUsed

_VARIABLE = re.compile(r'^\s*variable\s+"([^"]+)"', re.MULTILINE)
_IGNORED = ("__pycache__", "*.pyc", "pyinfra-debug.log", ".git")

LARGE = 10_000_000  # bytes of a file that is linked, not copied
OTHERS = {".venv", "node_modules"}  # folders of others' files, whether ignored or not


class Workspace(NamedTuple):
    """A private copy of what an image is made from."""

    root: Path  # the folder in which the catalog's relative paths hold
    template: Path  # the template (file or folder) in it
    deploy: Path  # the deploy file in it
    declared: frozenset[str]  # names of the variables the template declares

    @property
    def temporary(self) -> Path:
        """A private folder for temporary files; it goes with the run."""
        folder = self.root / "tmp"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def folder(self, relative: str) -> Path:
        """Return the folder that stands for one of the project's; it is made."""
        folder = self.root / relative
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return a tool's environment in which nothing is written elsewhere."""
        return {
            **env,
            "TMPDIR": str(self.temporary),
            "OLRUNBOOK_CACHE": str(cache_dir()),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def workspace(ctx: Context) -> Workspace:
    """Copy an app's template and deploy folder into the run's scratch folder.

    So is what git has of the checkout, or would add: a template may read any of it.
    UsageError where the catalog names what is not there.
    """
    image = ctx.app.image
    root = ctx.work / "image"
    folders = {_folder(image.template), _folder(image.deploy)}
    _copy_files(ctx, root, folders)
    for relative in sorted(folders):
        source = ctx.project.path(relative)
        ignore = shutil.ignore_patterns(*_IGNORED)
        shutil.copytree(source, root / relative, ignore=ignore, dirs_exist_ok=True)
    template = root / image.template
    found = Workspace(root, template, root / image.deploy, _declared(template))
    image.require_place(ctx.app_name)
    for path in (found.template, found.deploy):
        if not path.exists():
            named = path.relative_to(root)
            msg = f"{named} is neither in {ctx.project.root} nor shipped"
            raise UsageError(msg, "Check the paths in catalog.toml.")
    return found


def _copy_files(ctx: Context, root: Path, without: Collection[str]) -> None:
    here, unread = ctx.project.root, list[str]()
    apart = [ctx.project.outputs, *(here / folder for folder in without)]

    @cache
    def ours(folder: Path) -> bool:
        """Whether no link leads to a folder: behind one is another tree."""
        return folder == here or (not folder.is_symlink() and ours(folder.parent))

    names = files(here)
    for name in names:
        source, copy = here / name, root / name
        if not ours(source.parent) or OTHERS & {*name.split("/")}:
            continue
        if any(f.is_relative_to(source) or source.is_relative_to(f) for f in apart):
            continue
        try:
            _copy(source, copy, here)
        except PermissionError:
            unread.append(name)
    if unread:
        text = f"cannot be read, so the tools do not get it: {', '.join(unread)}"
        ctx.emit(Event("image", "warning", text))
    if not names and (here / ".git").exists():
        text = "git did not say what there is: the tools get two folders alone"
        ctx.emit(Event("image", "warning", text))


def _copy(source: Path, copy: Path, root: Path) -> None:
    """Copy a file, or make its link again, unless it is there from a step before."""
    if link := source.is_symlink():
        stays = not source.readlink().is_absolute()
        stays = stays and source.resolve().is_relative_to(root.resolve())
        if source.is_dir() and not stays:
            return  # what is written below it would be written there
    elif not source.is_file():
        return  # it is gone
    copy.parent.mkdir(parents=True, exist_ok=True)
    new = source.lstat()
    with suppress(FileNotFoundError):
        old = copy.lstat()
        if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
        copy.unlink()
    if new.st_size > LARGE and not link:
        copy.symlink_to(source)
    else:
        shutil.copy2(source, copy, follow_symlinks=False)


def artifacts_of(
    ctx: Context, place: Workspace, variables: Mapping[str, str]
) -> list[ArtifactUsed]:
    """Get every artifact the deploy needs into the cache, before the tools start.

    ToolError where one cannot be had; UsageError where `versions.toml` is wrong, or a
    version has no checksum.
    """
    asked = {name.upper(): value for name, value in variables.items()}
    found = fetch_all(place.deploy.parent / "versions.toml", ctx.emit, env=asked)
    keep = {"name", "version", "sha256", "source"}
    return [ArtifactUsed(**one.model_dump(include=keep)) for one in found]


def node_types(ctx: Context, node_type: str) -> list[str]:
    """Return the given node type, else all of the app's; UsageError: it is unknown."""
    every = ctx.app.node_types
    return [one_of("node type", node_type, every)] if node_type else list(every)


def parse_variables(text: str) -> dict[str, str]:
    """Return the Packer variables of a parameter, `NAME=VALUE; …`; else UsageError."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not re.fullmatch(r"[A-Za-z]\w*", name):
            msg = f"variables: {part.strip()!r} is not of the form name=value"
            raise UsageError(msg, "Several are separated by semicolons: a=1;b=2")
        if name in found:
            msg = f"variables: {name!r} is given twice"
            raise UsageError(msg)
        found[name] = value.strip()
    return found


def _folder(relative: str) -> str:
    path = PurePosixPath(relative)
    return str(path.parent if path.suffix else path)


def _declared(template: Path) -> frozenset[str]:
    files = [template] if template.is_file() else sorted(template.glob("*.pkr.hcl"))
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in files)
    return frozenset(name for text in texts for name in _VARIABLE.findall(text))
