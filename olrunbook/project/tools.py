"""What a project's tools need of its own: words before them, environment, home files.

Part of the catalog: `[tools.X]` for every app, `[apps.NAME.tools.X]` over it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from olrunbook.errors import UsageError
from olrunbook.project.stack import Text

ToolName = Literal["packer", "pyinfra", "pulumi"]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# `$$`, `$NAME`, `${NAME}` or `${NAME:-default}`
_NAMED = re.compile(r"\$(?:\$|(\w+)|\{(\w+)(?:(:-)([^}]*))?\})")
_OF_PATHS = re.compile(r"(?:PATH|DIR|FILE|HOME)S?$")
_ACCOUNT = re.compile(
    r"AWS_(ACCESS_KEY|SECRET|SESSION|SECURITY|(DEFAULT_)?PROFILE|(DEFAULT_)?REGION|CONFIG"
    r"|SHARED|ENDPOINT|WEB_IDENTITY|ROLE|CONTAINER|BEARER)"
)
_INTERPRETER = re.compile(r"python(\d+(\.\d+)?)?")


class Before(BaseModel, frozen=True, extra="forbid"):
    """A command that must end well before anything is done; its output is secret."""

    run: Annotated[list[Text], Field(min_length=1)]  # program and arguments
    holds: str = ""  # text that its output must hold


class ToolSpec(BaseModel, frozen=True, extra="forbid"):
    """What a tool needs of the project and of the person's shell and home."""

    # what is put before it, and before the interpreter of deploys and stack programs;
    # an interpreter alone is that interpreter, and its folder is first on the PATH
    prefix: list[Text] = []
    # its working directory, from the project's root; empty: the root for Packer, the
    # folder of the deploy for pyinfra; Pulumi has none but the stack's
    folder: str = ""
    # more variables; a value may name variables of the person's shell
    environment: dict[Variable, str] = {}
    home: list[Text] = []  # files and folders of the person's home that it may use
    before: list[Before] = []  # commands that must end well before it is used

    @model_validator(mode="after")
    def _the_target_names_the_account(self) -> Self:
        if named := [name for name in self.environment if _ACCOUNT.match(name)]:
            msg = f"environment.{named[0]}: the target says which account it is"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _it_stays_inside(self) -> Self:
        for where, paths in (("folder", [self.folder]), ("home", self.home)):
            for path in paths:
                inside = PurePosixPath(path)
                if inside.is_absolute() or ".." in inside.parts:
                    msg = f"{where} {path!r} must be a path inside the "
                    raise ValueError(msg + ("project" if where == "folder" else "home"))
        return self

    @property
    def interpreter(self) -> str:
        """The interpreter that `prefix` is; empty: it is other words."""
        only = self.prefix[0] if len(self.prefix) == 1 else ""
        return only if _INTERPRETER.fullmatch(PurePosixPath(only).name) else ""

    def variables(
        self, root: Path, shell: Mapping[str, str], but: Collection[str] = ()
    ) -> dict[str, str]:
        """Return its variables but some, filled in; the project's paths are absolute.

        Raises:
            UsageError: One names a variable that the shell does not have.

        """
        found = {}
        for name in [name for name in self.environment if name not in but]:
            text = self.environment[name]
            value = fill_in(text, shell, name)
            if _OF_PATHS.search(name):
                parts = [_absolute(part, root) for part in value.split(os.pathsep)]
                value = os.pathsep.join(parts)
            found[name] = value
        return found


class Tools(BaseModel, frozen=True, extra="forbid"):
    """What each tool needs."""

    packer: ToolSpec = ToolSpec()
    pyinfra: ToolSpec = ToolSpec()
    pulumi: ToolSpec = ToolSpec()

    @model_validator(mode="after")
    def _pulumi_has_a_folder(self) -> Self:
        if self.pulumi.folder:
            msg = "pulumi.folder: a stack's program runs in the stack's own folder"
            raise ValueError(msg)
        return self

    def over(self, default: Tools) -> Tools:
        """Return it laid over the defaults, field by field, variable by variable."""
        given = (t.model_dump(exclude_unset=True) for t in (default, self))
        return Tools.model_validate(_merged(*given))

    def of(self, name: ToolName) -> ToolSpec:
        """Return what a tool needs."""
        found: ToolSpec = getattr(self, name)
        return found


def needed(stage: str) -> tuple[ToolName, ...]:
    """Return the tools of a run: of a stage, else of an image."""
    return ("pulumi",) if stage else ("pyinfra", "packer")


def fill_in(text: str, shell: Mapping[str, str], name: str) -> str:
    """Return a text with the shell's variables filled in.

    Args:
        text: `$NAME` and `${NAME}` must be set, `${NAME:-default}` need not; `$$` is a
            dollar sign.
        shell: The person's environment.
        name: What it is the value of, for the error.

    Raises:
        UsageError: A variable is not set.

    """

    def value(found: re.Match[str]) -> str:
        variable = found[1] or found[2]
        if variable is None:
            return "$"
        if given := shell.get(variable, ""):
            return given
        if found[3]:
            return found[4]
        msg = f"{name} needs {variable}, which is not set in this shell"
        hint = f"export {variable}=…; or in catalog.toml: ${{{variable}:-default}}"
        raise UsageError(msg, hint)

    return _NAMED.sub(value, text)


def _absolute(part: str, root: Path) -> str:
    there = root / part  # as it is, where it is absolute
    return str(there) if part and there.exists() else part


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            both[key] = _merged(under[key], over[key])
    return both
