"""What the rehearsal was asked, compared with the policies of `olrunbook iam`."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from olrunbook.adopt.iam import Given, Policy, permissions, policies
from olrunbook.archive.place import RunPlace, list_runs
from olrunbook.project.catalog import find_project
from olrunbook.rehearsal.api.headers import KEY_HEADER
from olrunbook.rehearsal.api.simulation import matches
from olrunbook.targets import Target

ACCOUNT = "123456789012"
OURS = "olrunbook-"  # before a run's id, in the user agent


def calls(target: Target) -> list[dict[str, Any]]:
    """Return what the rehearsal was asked since its start."""
    request = urllib.request.Request(  # noqa: S310  (the cloud on loopback)
        f"{target.endpoint}/_rehearsal/calls",
        headers={KEY_HEADER: target.access_key.get_secret_value()},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)
    return found


def runs(archive: Path) -> dict[str, RunPlace]:
    """Return the runs of an archive, by the name they have in a user agent."""
    return {f"{OURS}{place.run_id}": place for place in list_runs(archive)}


def actions(call: dict[str, Any]) -> list[str]:
    """Return what IAM asks for a call; empty: nothing."""
    named = f"{call['service']}:{call['action']}"
    asked = permissions().operations.get(named, [named])
    return [one for one in asked if one not in permissions().free]


def made(root: Path, app: str, tags: dict[str, str] | None = None) -> list[Policy]:
    """Return the policies of an app of a project."""
    given = Given(account=ACCOUNT, tags=tags or {})
    return policies(find_project(root), app, "", "", given)[0]


def listed(value: Any) -> list[str]:
    """Return a value of a policy as a list."""
    return [value] if isinstance(value, str) else list(value)


def covered(some: list[Policy], action: str, resource: str = "") -> bool:
    """Whether one of the policies allows an action, on a resource if one is given."""
    return any(
        any(matches(one, action, fold=True) for one in listed(statement["Action"]))
        and (
            not resource
            or any(matches(one, resource) for one in listed(statement["Resource"]))
        )
        for policy in some
        for statement in policy.document["Statement"]
        if statement["Effect"] == "Allow"
    )


def lacking(
    found: list[dict[str, Any]], of: dict[str, RunPlace], every: list[Policy]
) -> Iterator[str]:
    """Yield each call of a run that the policies for its notebook and stage lack."""
    kinds = permissions().policy
    for call in found:
        if not (run := of.get(call["caller"])):
            continue
        for action in actions(call):
            names = [kind.name for kind in kinds if run.notebook in kind.notebooks]
            some = [
                policy
                for policy in every
                if policy.stage in ("", run.room) and policy.kind in names
            ]
            # Of a copy only the new object is known, and what it is read from is not.
            known = "" if call["action"] == "CopyObject" else call["resource"]
            if not covered(some, action, known):
                yield f"{run.notebook} {run.app} {run.room}: {action} {known}".strip()
