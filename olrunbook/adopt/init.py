"""Write a catalog of what was found in a repository, with a mark at what is unknown."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from olrunbook.adopt.tree import Deploy, PulumiProject, Template, Tree

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
ORDER = ["dev", "ci", "qa", "rc", "staging", "stage", "prod", "production"]
LOCKS = {  # what runs a tool with the packages of a lock file, and changes nothing
    "uv.lock": ["uv", "run", "--frozen", "--no-sync"],
    "poetry.lock": ["poetry", "run"],
}
# The kit gives these to a template that declares them.
GIVEN = {"app_name", "node_type", "run_id", "commit", "images_folder", "packages_file"}
READS = re.compile(r"""os\.environ(?:\.get\(|\[)\s*["'](?!NODE_TYPE|PYTHONPATH)(\w+)""")
PIN = re.compile(r"""(\w+)\.(?:get|require)\(\s*["']([\w-]*(?:image|ami)(_id)?)["']""")
CONFIG = r"(%s)\s*=\s*(?:\w+\.)*Config\(\s*[\"']([\w-]+)"
LOOKUP = re.compile(r"((?:\w+\.)*)get_ami(?:_output)?\(")
FEW = 5
NO_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # TOML takes none of it
MARK = "#?"  # stands at what could not be known
HEAD = f"""\
# What exists: targets, stages and their order, apps with their images and stacks.
# Written by `olrunbook init` of what it found; `{MARK}` marks what it could not know.
# docs/adding-an-app.md explains every field, `olrunbook lint` says what is missing.
schema = 1

[targets.rehearsal]
title = "rehearsal cloud on this machine's loopback"
"""
PIN_LINES = """\
{file} takes the newest image. To have it take the set that was built, give its look-up
one more filter:
    filters=[
        …,
        *(
            [{room}GetAmiFilterArgs(name="image-id", values=[pinned])]
            if (pinned := {config}.get("{key}"))
            else []
        ),
    ],
in catalog.toml, in place of image_lookup:  image_config = {settings}"""


class Proposal(BaseModel, frozen=True):
    """A catalog, and what stays to be done by people."""

    catalog: str  # its text
    apps: dict[str, list[str]]  # each app, and what it was made of
    unknown: list[str]  # what could not be known
    pins: list[str]  # how a program that looks its image up takes a pin


@dataclass
class _Pages:
    """Lines of the catalog, and what is unknown of them."""

    lines: list[str] = field(default_factory=HEAD.splitlines)
    unknown: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    hidden: str = ""  # put before rows that are not sure: they are comments

    def row(self, key: str, value: Any, comment: str = "") -> None:
        """Write a row, with a comment after it."""
        more = f"   # {comment}" if comment else ""
        self.lines.append(f"{self.hidden}{key} = {_toml(value)}{more}")

    def table(self, name: str) -> None:
        """Begin a table."""
        self.lines.append(f"{self.hidden}[{name}]")

    def ask(self, where: str, text: str) -> None:
        """Write what could not be known, here and in the list."""
        text = " ".join(text.split())
        self.lines.append(f"{MARK} {text}")
        self.unknown.append(f"{where}: {text}")


@dataclass(frozen=True)
class _App:
    """One app: a deploy, and what belongs to it."""

    name: str
    deploy: Deploy
    template: Template | None
    project: PulumiProject | None
    prefix: str  # what stands before the stage in its stacks' names
    stages: list[str]

    @property
    def called(self) -> str:
        """Its name in templates and programs."""
        return self.deploy.app

    @property
    def program(self) -> str:
        """The text of its stack's program."""
        return self.project.text if self.project else ""

    def nodes(self) -> tuple[list[str], bool]:
        """Return its node types, and whether a program names them."""
        allowed = self.template.choices("node_type") if self.template else []
        at = rf"""["']{re.escape(self.called)}-([a-z]+)(-\*)?["']"""
        named = re.findall(at, self.program)
        if sure := [node for node, star in named if star or node in allowed]:
            return [*dict.fromkeys(sure)], True
        text = self.deploy.text
        if said := [one for one in allowed if re.search(rf'["\']{one}["\']', text)]:
            return said, False
        variables = self.template.variables if self.template else {}
        default = (variables.get("node_type") or "").strip('"')
        return [default if NAME.fullmatch(default) else "server"], False

    def stack(self, stage: str) -> str:
        """Return the name of its stack in a stage."""
        return f"{self.prefix}.{stage}" if self.prefix else stage

    def secrets(self) -> list[str]:
        """Return the settings of its stacks that are encrypted, or hold what is."""
        assert self.project
        found = set()
        for stage in self.stages:
            rows = self.project.config(self.stack(stage)).items()
            found |= {str(key) for key, value in rows if "'secure':" in repr(value)}
        return sorted(found)

    def pin(self, node: str, *, only: bool) -> str:
        """Return the setting that pins a node type's image; empty: there is none."""
        for variable, key, _ in PIN.findall(self.program):
            if only or node in re.split(r"[-_]", key):
                space = re.search(CONFIG % variable, self.program)
                return f"{space[2] if space else self.called}:{key}"
        return ""

    def groups(self, nodes: list[str]) -> tuple[dict[str, str], bool]:
        """Return node types' groups as the program names them, and whether it is sure.

        It is where a group's name is a tag `Name` of the program as well. Else it may
        have no such tag, and the name of its resource is a guess.
        """
        last, text = self.prefix.rpartition(".")[2], self.program
        consts = dict(re.findall(r"^(\w+) *= *[\"']([^\"']+)[\"']", text, re.MULTILINE))

        def value(found: re.Match[str]) -> str:
            word = found[1].rpartition(".")[2]
            if word == "env_name" and last:
                return f"{last}-{{stage_lower}}"
            known = word in ("env_suffix", "stage_lower")
            return "{stage_lower}" if known else consts.get(word, "\0")

        def said(before: str) -> list[str]:
            texts = re.findall(rf"{before}f[\"']([^\"']+)", text)
            names = [re.sub(r"\{([^}]*)\}", value, one) for one in texts]
            return [one for one in names if "\0" not in one and "{stage_lower}" in one]

        tags, named = said(r"[\"']Name[\"']\s*:\s*"), said(r"asg_name\s*=\s*\(?\s*")
        found = {}
        for node in nodes:
            its = [one for one in named if node in re.split(r"[-_{}]", one)]
            if its := its or (named if len(nodes) == 1 else []):
                tagged = its[0] in tags
                found[node] = its[0] if tagged else f"name:{its[0]}-auto-scale-group"
        sure = len({*found.values()}) == len(nodes) and {*found.values()} <= {*tags}
        return found, sure


def propose(tree: Tree) -> Proposal:
    """Return a catalog of what a tree has; every row that is no comment holds."""
    pages, apps = _Pages(), [*_apps(tree)]
    orders = [tuple(app.stages) for app in apps if app.stages]
    common = max(orders, key=orders.count) if orders else ("CI", "Production")
    _target(pages, [app.project for app in apps if app.project])
    pages.lines.append("")
    pages.table("stages")
    pages.row("order", [*common])
    if not orders:
        pages.ask("stages", "no stack files were found: name the stages, in order")
    elif strange := [one for one in common if one.lower() not in ORDER]:
        pages.ask("stages", f"the place of {', '.join(strange)} in the order")
    _tools(pages, tree, apps)
    made: dict[str, list[str]] = {}
    for app in apps:
        if not NAME.fullmatch(app.name) or app.name in made:
            wrong = f"{app.name!r} is no name for an app, or taken: left out"
            pages.ask(app.deploy.path, wrong)
            continue
        parts = (app.deploy, app.template, app.project)
        made[app.name] = [part.path for part in parts if part]
        _app(pages, app, [*common], tree)
    used = {path for paths in made.values() for path in paths}
    if idle := [one.path for one in tree.projects if one.path not in used]:
        some = f"{', '.join(idle[:FEW])}{' …' if len(idle) > FEW else ''}"
        pages.lines += ["", f"# Pulumi projects without an image here: {some}"]
    for text in tree.unread:
        pages.ask("not read", text)
    lines = [NO_TEXT.sub(" ", line) for line in pages.lines]
    text, pins = "\n".join(lines) + "\n", [*dict.fromkeys(pages.pins)]
    return Proposal(catalog=text, apps=made, unknown=pages.unknown, pins=pins)


def _apps(tree: Tree) -> Iterable[_App]:
    """Yield an app for each deploy, or for each kind of stacks of its project."""
    python = [one for one in tree.projects if one.python and one.stacks]
    for deploy in tree.deploys:
        template, name = tree.template_of(deploy), deploy.app
        mine = [one for one in python if one.path.split("/")[-1] == name]
        mine = mine or [one for one in python if name in re.split(r"[-_.]", one.name)]
        kinds: list[tuple[PulumiProject | None, str]] = [
            (project, prefix)
            for project in mine
            for prefix in sorted({stack.rpartition(".")[0] for stack in project.stacks})
        ]
        for project, prefix in kinds or [(None, "")]:
            more = f"-{prefix.replace('.', '-')}" if len(kinds) > 1 else ""
            stages = _stages(project, prefix)
            yield _App(name + more, deploy, template, project, prefix, stages)


def _stages(project: PulumiProject | None, prefix: str) -> list[str]:
    """Return the stages of a project's stacks, in their usual order."""
    parts = [stack.rpartition(".") for stack in (project.stacks if project else ())]
    names = {end for front, _, end in parts if front == prefix and NAME.fullmatch(end)}
    rank = {name: at for at, name in enumerate(ORDER)}
    return sorted(names, key=lambda s: (rank.get(s.lower(), rank["staging"]), s))


def _target(pages: _Pages, projects: list[PulumiProject]) -> None:
    """Write what the stacks say of accounts."""
    stacks = [(project, name) for project in projects for name in project.stacks]
    found: dict[str, list[Any]] = {
        "aws:region": [one.config(name).get("aws:region") for one, name in stacks],
        "secretsprovider": [p.stacks[n].get("secretsprovider") for p, n in stacks],
        "backend": [project.backend for project in projects],
    }
    for what, values in found.items():
        if some := sorted({str(value) for value in values if value}):
            pages.lines.append(f"# found in the stacks: {what} {', '.join(some)}")
    text = "accounts, roles and gates: a real account is a target of its own"
    pages.ask("targets", f"{text} (docs/accounts.md)")


def _tools(pages: _Pages, tree: Tree, apps: list[_App]) -> None:
    """Write what the tools need: the folders that are imported, and the lock file."""
    deploys = [(one.deploy.path, one.deploy.text) for one in apps]
    programs = [(f"{a.project.path}/__main__.py", a.program) for a in apps if a.project]
    prefix = next((words for lock, words in LOCKS.items() if lock in tree.files), [])
    of = {"packer": deploys, "pyinfra": deploys, "pulumi": programs}
    for tool, texts in of.items():
        folders = tree.import_path(texts)
        reads = {name for _, text in texts for name in READS.findall(text)}
        if not (texts and (prefix or folders or reads)):
            continue
        pages.lines.append("")
        pages.table(f"tools.{tool}")
        if prefix:
            pages.row("prefix", prefix, "by the lock file: it is put before the tool")
        if folders:
            own = {"PYTHONPATH": os.pathsep.join(folders)}
            pages.row("environment", own, "what is imported from this tree")
        if reads and tool != "packer":
            text = f"which of these it needs of your shell: {', '.join(sorted(reads))}"
            pages.ask(f"tools.{tool}", text)


def _app(pages: _Pages, app: _App, common: list[str], tree: Tree) -> None:
    """Write one app; where its image is not sure, all of it is a comment."""
    allowed = app.template.choices("app_name") if app.template else []
    pages.lines.append("")
    if app.template is None:
        pages.ask(app.name, "no Packer template was found: name it, take away the #")
    elif allowed and app.called not in allowed:
        wrong = f"the template {app.template.path} allows {', '.join(allowed)} alone"
        pages.ask(app.name, f"{wrong}: is {app.called} still built?")
    if app.template is None or app.called not in (allowed or [app.called]):
        pages.hidden = "# "
    nodes, sure = app.nodes()
    pages.table(f"apps.{app.name}")
    pages.row("title", f"{app.called} {app.prefix}".strip())
    pages.row("node_types", nodes)
    if not sure:
        pages.ask(app.name, "node_types: the kinds of machines, if there are more")
    if app.stages not in ([], common):
        pages.row("stages", app.stages)
    if re.search(r"sops|set_env_secrets", app.deploy.text):
        said = re.search(r"""["']([\w./-]+\.(env|ya?ml|json))["']""", app.deploy.text)
        file = said[1] if said else "FILE"
        full = [one for one in sorted(tree.files) if one.endswith(f"/{file}")]
        command = ["sops", "--decrypt", (full or [file])[0]]
        before = {"run": command, "holds": "NAME="}
        pages.ask(app.name, "the secrets it decrypts, and what must be in them")
        pages.lines.append(f"# before = {_toml([before])}")
    pages.lines.append("")
    _image(pages, app)
    pages.lines.append("")
    if app.project:
        _stack(pages, app, app.project, nodes)
    else:
        pages.ask(
            app.name, "no Pulumi project of its name: it is only tested and built"
        )
    pages.hidden = ""


def _image(pages: _Pages, app: _App) -> None:
    """Write how an app's image is baked."""
    template = app.template
    pattern = template.ami_name(app.called) if template else ""
    first, *others = template.sources if template else ["amazon-ebs.third-party"]
    pages.table(f"apps.{app.name}.image")
    pages.row("template", template.path if template else "images/default")
    pages.row("only", first, f"or {', '.join(others)}" if others else "")
    pages.row("deploy", app.deploy.path)
    pages.row("name", pattern if pattern.strip("*") else f"{app.called}-*")
    if template and app.called not in pattern:
        text = "name: the app's could not be read in the template's ami_name"
        pages.ask(app.name, f"{text}; this must match its images and no others")
    variables = template.variables if template else {}
    if app.name != app.called and "app_name" in variables:
        pages.row("variables", {"app_name": app.called})
    more = {key: value for key, value in variables.items() if key not in GIVEN}
    if needed := sorted(key for key, value in more.items() if value is None):
        pages.ask(app.name, f"values of the variables {', '.join(needed)}")
        pages.lines.append(f"# variables = {_toml(dict.fromkeys(needed, '…'))}")
    if known := [f"{key} = {value}" for key, value in more.items() if value]:
        pages.lines.append(f"# it takes more variables: {'; '.join(known)}")


def _stack(pages: _Pages, app: _App, project: PulumiProject, nodes: list[str]) -> None:
    """Write an app's stack; where its groups or its pin are unknown, as a comment."""
    (groups, sure), lookup = app.groups(nodes), LOOKUP.search(app.program)
    pins = {node: app.pin(node, only=len(nodes) == 1) for node in nodes}
    pinned, hidden = all(pins.values()), pages.hidden
    if not sure:
        text = "groups: the tag Name of each, or name: and how it is called"
        pages.ask(app.name, text)
        pages.hidden = "# "
    if not (pinned or lookup):
        pages.ask(app.name, "image_config: the setting that pins its image")
        pages.hidden = "# "
    pages.table(f"apps.{app.name}.stack")
    pages.row("path", project.path)
    pages.row("project", project.name)
    pages.row("stack", app.stack("{stage}"))
    if pinned or not lookup:
        pages.row("image_config", {node: key or "…" for node, key in pins.items()})
    else:
        pages.row("image_lookup", value=True, comment="it takes the newest image")
        pages.pins += [*_pins(app, lookup[1], nodes)]
    both = {node: groups.get(node, "…") for node in nodes}
    pages.row("groups", both, "compare with the account")
    if secrets := app.secrets():
        pages.row("secrets", secrets)
    if path := re.search(r"health_check_path\s*=\s*[\"']([^\"']+)", app.program):
        pages.lines.append("")
        pages.table(f"apps.{app.name}.probe")
        pages.row("path", path[1], "by the health check")
    pages.hidden = hidden


def _pins(app: _App, room: str, nodes: list[str]) -> Iterable[str]:
    """Yield for each node type the lines that take a pin."""
    assert app.project
    named = re.findall(CONFIG % r"\w+", app.program) or [("config", app.called)]
    config, space = next((n for n in named if n[1] == app.called), named[0])
    keys = {node: f"{node}_image_id" if nodes[1:] else "image_id" for node in nodes}
    settings = _toml({node: f"{space}:{key}" for node, key in keys.items()})
    file = f"{app.project.path}/__main__.py"
    for key in keys.values():
        names = {"file": file, "room": room, "config": config, "key": key}
        yield PIN_LINES.format(settings=settings, **names)


def _toml(value: Any) -> str:
    """Return a value as TOML; strings are JSON's, which TOML has too."""
    if isinstance(value, dict):
        rows = (f"{_toml_key(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {', '.join(rows)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)
