"""What exists: targets, stages and their order, apps with their images and stacks.

The catalog is data (`catalog.toml`), read once and never written. The project in use is
the folder named by the caller, else the nearest one upwards that holds a catalog, else
what was shipped with the package.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from olrunbook.errors import UsageError
from olrunbook.project.gates import GateSpec
from olrunbook.project.limits import Limits
from olrunbook.project.stack import StackSpec, Text
from olrunbook.project.target import TargetSpec
from olrunbook.project.tools import Before, ToolName, Tools, fill_in
from olrunbook.project.where import archive_of, find_root, shipped

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]


def _each_once(names: list[str]) -> list[str]:
    if twice := [name for name in names if names.count(name) > 1]:
        msg = f"names {twice[0]} twice"
        raise ValueError(msg)
    return names


Names = Annotated[list[Name], AfterValidator(_each_once)]


class Strict(BaseModel, frozen=True, extra="forbid"):
    """A frozen model that refuses unknown keys: a typo must not read as a default."""


class StagesSpec(Strict):
    """The stages and their order, for every app that has none of its own."""

    order: Names = Field(min_length=1)


class ImageSpec(Strict):
    """How an app's image is tested and baked."""

    template: Text  # Packer template: a file, or a folder for the default template
    only: str  # the source that is built, `amazon-ebs.NAME`
    deploy: Text  # the pyinfra deploy file
    name: str  # pattern of the AMI names; `{node_type}` is filled in
    variables: dict[str, str] = {}  # more Packer variables
    idempotent: bool = False  # a second run of the deploy must change nothing
    base: str = ""  # base image of the local test; empty: the kit's own

    @property
    def default_template(self) -> bool:
        """Whether the template is a folder shared by apps (needs `app_name`)."""
        return not self.template.endswith(".pkr.hcl")

    def require_place(self, app: str) -> None:
        """Raise UsageError where the template would not find the app's deploy."""
        deploy, wanted = PurePosixPath(self.deploy), self.variables.get("app_name", app)
        if self.default_template and deploy.parent.name != wanted:
            msg = f"{deploy} is not {wanted}/{deploy.name}"
            hint = (
                "The default template needs the deploy in a folder named like the app; "
                'else say it: variables = { app_name = "…" }.'
            )
            raise UsageError(msg, hint)


class ProbeSpec(Strict):
    """The request that is repeated while an update runs (GET, without credentials)."""

    node_type: str = ""  # the only node type that answers requests; empty: each does
    path: str = "/"  # its path
    expect: str = ""  # text the answer must contain
    interval_s: float = Field(0.2, gt=0, le=60)  # seconds between two requests


class SoakSpec(Strict):
    """How long a stage must go on serving before its rollout counts."""

    seconds: int = Field(gt=0, le=86400)  # so long
    max_failed: int = Field(0, ge=0)  # requests of the probe that may fail meanwhile


class Check(Strict):
    """One request to a deployed stage and the answer it must give."""

    name: str  # what the answer shows, for the record
    method: Literal["GET", "PUT", "POST", "HEAD"] = "GET"  # HTTP method
    path: str  # path on the load balancer
    body: str = ""  # request body
    headers: dict[str, str] = {}  # plain headers
    # header to the config key whose secret value it carries
    secret_headers: dict[str, str] = {}
    status: int = 200  # status wanted
    contains: str = ""  # text the answer must contain
    # seconds it may take until the answer is right
    within_s: float = Field(0, ge=0, le=3600)


class App(Strict):
    """One application."""

    title: Text  # what it is, for people
    # the kinds of instances it consists of
    node_types: Names = Field(min_length=1)
    # what of it is not the real thing, one line each, for the record
    stand_ins: list[str] = []
    stages: Names = []  # its stages, in order; empty: the catalog's
    image: ImageSpec  # how its images are tested and baked
    # the Pulumi project that deploys it; None: nothing does
    stack: StackSpec | None = None
    probe: ProbeSpec = ProbeSpec()  # the request that is repeated while an update runs
    # how long it must go on serving before a rollout counts; None: not at all
    soak: SoakSpec | None = None
    checks: list[Check] = []  # what a deployed stage must answer
    # least and most instances that a group of it may have (its minimum may be 0, where
    # it wants one at least); None: any from 1
    sizes: tuple[NonNegativeInt, PositiveInt] | None = None
    tools: Tools = Tools()  # what its tools need, over the catalog's
    before: list[Before] = []  # commands that must end well before anything is done
    # what must be done by hand before it can go back; empty: nothing
    rollback: Annotated[str, StringConstraints(strip_whitespace=True)] = ""

    @model_validator(mode="after")
    def _it_agrees(self) -> Self:
        if (node := self.probe.node_type) and node not in self.node_types:
            msg = f"probe.node_type is {node}, node_types {sorted(self.node_types)}"
            raise ValueError(msg)
        if self.sizes and self.sizes[0] > self.sizes[1]:
            msg = f"sizes {[*self.sizes]}: the least is above the most"
            raise ValueError(msg)
        if self.stack:
            for field in ("image_config", "groups"):
                given, wanted = set(getattr(self.stack, field)), set(self.node_types)
                looks = field == "image_config" and self.stack.image_lookup
                if given == wanted or (looks and not given):
                    continue
                msg = (
                    f"stack.{field} names {sorted(given)}, node_types {sorted(wanted)}"
                )
                if not given:
                    every = ", ".join(sorted(wanted))
                    msg = f"stack.{field} is missing: wanted one for each of {every}"
                raise ValueError(msg)
        return self


class Catalog(Strict):
    """The whole catalog."""

    schema_: Literal[1] = Field(alias="schema")  # version of the catalog's form
    targets: dict[Name, TargetSpec]  # where can be deployed to
    stages: StagesSpec  # the stages, in order
    apps: dict[Name, App]  # what can be deployed
    tools: Tools = Tools()  # what every app's tools need
    limits: Limits = Limits()  # how long runs, steps and their silence may last
    # names of environment variables whose values are secret, beside those whose names
    # say so
    secrets: list[str] = []

    @model_validator(mode="after")
    def _targets_agree(self) -> Self:
        for name, target in self.targets.items():
            if (name == "rehearsal") != (target.kind == "rehearsal"):
                msg = f"targets.{name}: the target `rehearsal`, and no other, is one"
                raise ValueError(msg)
            for stage in target.gates:
                if stage not in self.all_stages:
                    have = ", ".join(self.all_stages)
                    msg = f"targets.{name}.gates.{stage}: there are the stages {have}"
                    raise ValueError(msg)
        return self

    def gate(
        self, target: str, stage: str, *, rollback: bool = False
    ) -> GateSpec | None:
        """Return the gate of a stage, as a rollback meets it; None: nobody is asked."""
        spec = self.targets.get(target)
        gate = spec.gates.get(stage) if spec else None
        return gate.of_rollback if gate and rollback else gate

    def target(self, name: str) -> str:
        """Return a target's name; empty: the rehearsal, and never an account.

        Raises:
            UsageError: There is none of the name, or no rehearsal.

        """
        if not name and "rehearsal" not in self.targets:
            msg = f"name the target: --target {' or '.join(self.targets)}"
            raise UsageError(msg, "There is no rehearsal in the catalog.")
        return one_of("target", name or "rehearsal", list(self.targets))

    def app(self, name: str) -> App:
        """Return an app; a UsageError suggests names where there is none."""
        return self.apps[one_of("app", name, list(self.apps))]

    def stages_of(self, app: str) -> list[str]:
        """Return an app's stages, in order; a UsageError where there is no such app."""
        return list(self.app(app).stages or self.stages.order)

    @property
    def all_stages(self) -> list[str]:
        """The stages of all apps, each once."""
        of_apps = [stage for app in self.apps.values() for stage in app.stages]
        return list(dict.fromkeys([*self.stages.order, *of_apps]))

    def stage(self, name: str, app: str) -> str:
        """Return the stage's name; UsageError with a suggestion where there is none."""
        return one_of("stage", name, self.stages_of(app))

    def before(self, stage: str, app: str) -> str | None:
        """Return an app's stage that comes before, or None for the first."""
        order = self.stages_of(app)
        at = order.index(self.stage(stage, app))
        return order[at - 1] if at else None


def one_of(what: str, value: str, choices: list[str]) -> str:
    """Return value if it is a choice; a UsageError where not, see `unknown`."""
    if value in choices:
        return value
    raise unknown(what, value, choices)


def unknown(what: str, value: object, choices: list[str]) -> UsageError:
    """Return the error of a value that is none of the choices; it names the nearest."""
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(value).lower(), folded, n=1, cutoff=0.5)
    hint = f"Did you mean {folded[near[0]]}?" if near else ""
    msg = f"{what} {value!r} is unknown; choose from: {', '.join(choices)}"
    return UsageError(msg, hint)


def load_catalog(path: Path) -> Catalog:
    """Read and check a catalog file.

    Raises:
        UsageError: It cannot be read, is not TOML, or does not fit the schema.

    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return Catalog.model_validate(data)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: not TOML: {error}"
    except ValidationError as error:
        # A name that is misspelt is said before the one that is missing for it.
        faults = error.errors()
        first = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
        where = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ")
        if first["type"] == "string_pattern_mismatch":
            text = f"{first['input']!r} is not valid"
        msg = f"{path}: {where}{': ' if where else ''}{text}"
    raise UsageError(msg, "docs/adding-an-app.md describes every field.")


class Project:
    """A folder (absolute) with a catalog; what it lacks is taken from the package."""

    def __init__(self, root: Path, catalog_file: Path) -> None:
        self.root = root
        self.catalog_file = catalog_file
        self.catalog = load_catalog(catalog_file)
        taken = {path.stem for path in self.notebooks()} | {"image"}
        for stage in self.catalog.all_stages:
            if stage in taken:  # their runs would be filed together
                msg = f"{catalog_file}: a stage cannot be called {stage}"
                raise UsageError(msg, "Runs of a notebook are filed under that name.")
        for name, target in self.catalog.targets.items():
            if target.signers and not (root / target.signers).is_file():
                msg = (
                    f"{catalog_file}: targets.{name}.signers: no file {target.signers}"
                )
                hint = "It lists who may sign; docs/approvals.md shows one."
                raise UsageError(msg, hint)

    @property
    def named(self) -> dict[str, str]:
        """The environment in which others find this project; without a catalog none."""
        own = self.catalog_file.parent == self.root
        return {"OLRUNBOOK_PROJECT": str(self.root)} if own else {}

    def notebooks(self) -> list[Path]:
        """Return the notebooks of the project, and those that were shipped."""
        found = [base.glob("notebooks/*.ipynb") for base in (self.root, shipped())]
        return [path for some in found for path in some]

    def path(self, relative: str) -> Path:
        """Return a file or folder of the project, else the one that was shipped.

        Raises:
            UsageError: It is in neither.

        """
        for base in (self.root, shipped()):
            if (found := base / relative).exists():
                return found
        msg = f"{relative} is neither in {self.root} nor shipped with olrunbook"
        raise UsageError(msg, "Check the paths in catalog.toml.")

    def variable(self, app: App, tool: ToolName, name: str) -> str:
        """Return a variable of an app's tool, filled in; empty: there is none."""
        given = app.tools.over(self.catalog.tools).of(tool).environment.get(name, "")
        return fill_in(given, os.environ, name)

    def require_variables(
        self, app: App, tools: Iterable[ToolName], given: Collection[str]
    ) -> None:
        """Raise UsageError where the shell lacks what the catalog names for tools.

        What is `given` by the target is not asked of the shell.
        """
        for name in tools:
            spec = app.tools.over(self.catalog.tools).of(name)
            spec.variables(self.root, os.environ, given)

    @property
    def outputs(self) -> Path:
        """The archive: OLRUNBOOK_ARCHIVE, else `outputs/` in the project."""
        return archive_of(self.root)


def find_project(start: Path | None = None, here: Path | None = None) -> Project:
    """Return the project in use; see `where.find_root`.

    Raises:
        UsageError: A folder was named and has no catalog, or the catalog is wrong.

    """
    return Project(*find_root(start, here))
