"""Find a target by its name: a rehearsal that is up, an account of the catalog."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from olrunbook.errors import RefusedError
from olrunbook.project.catalog import Catalog, Project, one_of
from olrunbook.targets.place import TARGET_FILE, state_dir
from olrunbook.targets.target import Target

if TYPE_CHECKING:
    from pathlib import Path


def save_target(target: Target) -> None:
    """Write a target's private file, whole."""
    path = target.state / TARGET_FILE
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    plain = target.model_dump(mode="json", by_alias=True)
    plain["access_key"] = target.access_key.get_secret_value()
    plain["secret_key"] = target.secret_key.get_secret_value()
    aside = path.with_suffix(".new")
    aside.touch(0o600)
    aside.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    aside.replace(path)


def require_target(catalog: Catalog, name: str) -> None:
    """Raise UsageError, with a suggestion, where the catalog has no such target."""
    one_of("target", name, list(catalog.targets))


def find_target(name: str, project: Project, stage: str = "") -> Target | None:
    """Return a target; None: it is not up, and what needs it says so."""
    try:
        return load_target(name, project, stage)
    except RefusedError:
        return None


def load_target(name: str, project: Project, stage: str = "") -> Target:
    """Return a target; nothing is called.

    Args:
        name: Its name in the catalog.
        project: The project in use.
        stage: An account may have a role for each; empty: image notebooks.

    Raises:
        UsageError: The catalog has no such target.
        RefusedError: It is a rehearsal, and not up.

    """
    require_target(project.catalog, name)
    place = state_dir(project.root) / name
    spec = project.catalog.targets[name]
    if spec.kind == "rehearsal":
        return _read(place / TARGET_FILE, not_up(project.catalog))
    from olrunbook.targets.account import account_of  # noqa: PLC0415  (only for one)

    tools: dict[str, Any] = {}  # what the command line found
    with contextlib.suppress(OSError, ValueError):
        tools = json.loads((place / TARGET_FILE).read_text(encoding="utf-8"))
    return account_of(name, spec, place, stage, tools)


def not_up(catalog: Catalog) -> str:
    """Return that a rehearsal is not up, and which accounts could have been meant."""
    others = [name for name, one in catalog.targets.items() if one.kind == "aws"]
    named = f" (other targets: {', '.join(others)})" if others else ""
    return f"the rehearsal is not up{named}"


def _read(path: Path, absent: str) -> Target:
    try:
        return Target.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RefusedError(absent, "Start it: olrunbook rehearsal up") from None
    except ValueError as error:
        msg = f"{path} cannot be used: {type(error).__name__}"
        raise RefusedError(msg, "Reset it: olrunbook rehearsal reset") from None
