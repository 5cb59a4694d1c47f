"""What is missing in a project, app by app, notebook by notebook."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from olrunbook.adapters.pulumi.settings import read_yaml, require_project
from olrunbook.adapters.pulumi.state import BACKEND, project_backend, require_backend
from olrunbook.adopt.init import MARK
from olrunbook.adopt.notebooks import Finding, Found, look_at_notebook
from olrunbook.errors import UsageError
from olrunbook.project.catalog import App, Project
from olrunbook.project.stack import StackSpec

SOURCE = re.compile(r'^\s*source\s+"?([\w-]+)"?\s+"?([\w-]+)"?', re.MULTILINE)
GUIDE = "docs/adding-an-app.md says what belongs there."


class Report(BaseModel, frozen=True):
    """What was looked at, and what was found."""

    notebooks: int  # how many
    apps: int
    rows: list[Finding]

    @property
    def errors(self) -> int:
        """How many errors there are; all others are warnings."""
        return sum(row.level == "error" for row in self.rows)

    def headline(self) -> str:
        """Return one line: what was looked at, and how much is to be done."""
        looked = f"{_count(self.notebooks, 'notebook')}, {_count(self.apps, 'app')}"
        found = {"error": self.errors, "warning": len(self.rows) - self.errors}
        said = ", ".join(_count(n, level) for level, n in found.items() if n)
        return f"{looked}: {said or 'nothing to do'}"


def lint(
    project: Project, apps: Iterable[str], notebooks: Iterable[Path], run: type
) -> Report:
    """Look at apps of the catalog and at notebooks; run and change nothing.

    `run` is the class of what `begin` returns.

    Raises:
        UsageError: There is no such app.

    """
    rows, looked, paths = [], [*apps], [*notebooks]
    if looked:
        rows += _marks(project.catalog_file)
    for name in looked:
        rows += _app(project, name)
    for path in sorted((project.root / "rules").glob("*.py")) if looked else ():
        try:
            compile(path.read_bytes(), path.name, "exec")  # and not run
        except (SyntaxError, ValueError) as error:
            found = Found(f"rules/{path.name}")
            found.add("error", f"{type(error).__name__}: {error}", "docs/rules.md")
            rows += found.rows
    for path in paths:
        inside = path.is_relative_to(project.root)
        where = str(path.relative_to(project.root) if inside else path)
        rows += look_at_notebook(path, where, project.catalog, run)
    return Report(notebooks=len(paths), apps=len(looked), rows=rows)


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _text(files: Iterable[Path]) -> str:
    return "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in files)


def _marks(file: Path) -> list[Finding]:
    """Return the lines of a catalog that `init` left open."""
    found, hint = Found(file.name), f"Answer it, and take the {MARK} away."
    for at, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith(MARK):
            found.add("error", f"line {at}: {line.strip()}", hint)
    return found.rows


def _app(project: Project, name: str) -> list[Finding]:
    """Return what is missing in an app."""
    app, found = project.catalog.app(name), Found(name)
    with found.errors(GUIDE, "template: "):
        _template(project.path(app.image.template), app, found)
    with found.errors(GUIDE, "deploy: "):
        path = project.path(app.image.deploy)
        if path.suffix != ".py" or not path.is_file():
            hint = f'deploy = "images/{name}/deploy.py"'
            found.add("error", f"deploy: {app.image.deploy} is no .py file", hint)
        app.image.require_place(name)
    if app.stack is None:  # it is built and tested only
        return found.rows
    if not app.checks:
        hint = f'[[apps.{name}.checks]]  name = "…"  path = "/"  contains = "…"'
        found.add("warning", "no checks: a rollout asks the service nothing", hint)
    for check in app.checks:
        if not check.name.strip() or [c.name for c in app.checks].count(check.name) > 1:
            wrong = f"checks: the name {check.name!r} does not tell which one it is"
            found.add("error", wrong, f"Give the check of {check.path} another.")
    rows = found.rows
    with found.errors(GUIDE, "stack: "):
        stages = project.catalog.stages_of(name)
        _names(app.stack, stages, found)
        folder = project.path(app.stack.path)
        _program(folder, app.stack, found)
        pulumi = app.tools.over(project.catalog.tools).pulumi
        named = BACKEND in pulumi.environment  # that one counts, and may be the shell's
        if not named and (url := project_backend(folder)):
            require_backend(url)
        for stage in stages:
            rows += _settings(folder, f"{name} {stage}", stage, app.stack)
    return rows


def _template(path: Path, app: App, found: Found) -> None:
    """Look whether a Packer template has the source that is to be built."""
    image = app.image
    if path.is_dir() != image.default_template:
        wrong = f"template: {image.template} is neither a folder nor a *.pkr.hcl file"
        found.add("error", wrong, 'template = "images/default", the shipped one')
        return
    text = _text(sorted(path.glob("*.pkr.hcl")) if path.is_dir() else [path])
    have = [".".join(source) for source in SOURCE.findall(text)]
    if not any(fnmatch.fnmatchcase(source, image.only) for source in have):
        wrong = f"only: {image.template} has no source {image.only}"
        hint = f"only = one of: {', '.join(have)}" if have else "Write its source."
        found.add("error", wrong, hint)


def _names(spec: StackSpec, stages: list[str], found: Found) -> None:
    """Look whether each stage has a stack and groups of its own."""
    try:
        stacks = [spec.stack_name(stage) for stage in stages]
        tags = [tag for stage in stages for _, tag in spec.group_tags(stage)]
    except (LookupError, ValueError) as error:
        msg = f"a name in the catalog cannot be filled in: {error}"
        raise UsageError(msg, "There are {stage} and {stage_lower}.") from None
    for what, given in (("stack", stacks), ("groups", tags)):
        for same in sorted({one for one in given if given.count(one) > 1}):
            wrong = f"{what}: {same} is of more than one stage"
            found.add("error", wrong, "Put {stage} or {stage_lower} into it.")


def _program(folder: Path, spec: StackSpec, found: Found) -> None:
    """Look at a Pulumi project, and whether its program knows the images' settings."""
    for file in spec.files("")[:2]:
        if not (folder / file).is_file():
            hint = "Take it from stacks/tika, and change it; see stacks/README.md."
            found.add("error", f"stack: {spec.path} lacks {file}", hint)
    if (folder / "Pulumi.yaml").is_file():
        with found.errors(f"Correct {spec.path}/Pulumi.yaml.", "stack: "):
            require_project(folder, spec)
    text = _text([*folder.glob("*.py"), *folder.glob("*/*.py")])
    for key in spec.image_config.values() if text else ():
        short = key.rpartition(":")[2]
        if not any(form in text for form in (key, f'"{short}"', f"'{short}'")):
            wrong = f"stack: no .py file of {spec.path} names the setting {key}"
            hint = f'config.get("{short}"), and give the launch template that image.'
            found.add("warning", wrong, hint)


def _settings(folder: Path, where: str, stage: str, spec: StackSpec) -> list[Finding]:
    """Return what is missing or wrong in the settings of a stage."""
    found, file, stack = Found(where), spec.files(stage)[-1], spec.stack_name(stage)
    at = shlex.quote(os.path.relpath(folder))  # what is typed is typed from here
    which = f"-s {shlex.quote(stack)} -C {at}"
    if not (folder / file).is_file():
        # Never another stage's file: it has that one's settings and key.
        new = f"pulumi stack init {which} --secrets-provider awskms://alias/…"
        hint = _otherwise(folder, stage, stack) or f"Make the stack: {new}"
        found.add("error", f"stack: {spec.path} lacks {file}", hint)
        return found.rows
    with found.errors(f"Correct {spec.path}/{file}.", "stack: "):
        settings = read_yaml(folder / file)
        if not settings.get("secretsprovider"):
            wrong = f"stack: {file} names no secretsprovider"
            hint = f"secretsprovider: awskms://alias/…   in {spec.path}/{file}"
            found.add("warning", wrong, hint)
        config = settings.get("config") or {}
        if not isinstance(config, dict):
            msg = f"config in {file} is not a mapping"
            raise UsageError(msg)
        for key in sorted({*spec.image_config.values()} & {*config}):
            wrong = f"stack: {file} pins {key}; a deploy names its images itself"
            found.add("warning", wrong, f"pulumi config rm {key} {which}")
        for key in sorted({*spec.secrets} & {*config}):
            if not isinstance(config[key], dict) or "secure" not in config[key]:
                wrong = f"stack: the secret {key} stands in {file} as it is"
                hint = f"pulumi config set --secret {key} {which}"
                found.add("error", wrong, hint)
    return found.rows


def _otherwise(folder: Path, stage: str, stack: str) -> str:
    """Return the names that stacks of a stage have here; empty: there is none.

    Only those that differ by more words in front: another word is another cluster.
    """
    forms, found = {stage.lower(): "{stage_lower}", stage: "{stage}"}, []
    wanted = f".{stack.removesuffix(stage).removesuffix(stage.lower())}"
    for file in sorted(folder.glob("Pulumi.*.yaml")):
        front, dot, word = file.stem.removeprefix("Pulumi").rpartition(".")
        front += dot
        if word in forms and (wanted.endswith(front) or front.endswith(wanted)):
            found.append(f'set stack = "{front[1:]}{forms[word]}"')
    return ", or ".join(found)
