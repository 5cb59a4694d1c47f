"""IAM policies of an app: rows of permissions.toml, filled in for its stages.

A starting point: what the notebooks were seen to call, what that implies, on what is
known of the app. What a stack's program makes beyond that, nobody here can know.
"""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from olrunbook.adapters.pulumi.settings import read_yaml
from olrunbook.errors import UsageError
from olrunbook.project.catalog import Project, one_of
from olrunbook.project.stack import BY_NAME
from olrunbook.project.target import ACCOUNT_ID, REGION

LARGEST = 6144  # characters of a managed policy, white space not counted
PLACEHOLDER = "ACCOUNT_ID"  # AWS refuses it: nobody attaches a policy of no account
# Holes that only a stack fills; without one, what needs them is left out.
OF_STACKS = "alias bucket group group_name key prefix reads stack"
_HOLE = re.compile(r"\{(\w+)\}")

Place = dict[str, list[str]]  # the values of each hole in a stage


class Strict(BaseModel, frozen=True, extra="forbid"):
    """A part of permissions.toml."""


class Implied(Strict):
    """An action that no recorded call shows."""

    by: str  # the notebooks that need it
    why: str  # what for
    source: str  # where that is said


class Row(Strict):
    """A statement of a policy, before it is filled in."""

    sid: str
    effect: Literal["Allow", "Deny"] = "Allow"
    resources: list[str]
    condition: dict[str, dict[str, str]] = {}
    tagged: Literal["ResourceTag", "RequestTag", ""] = ""
    policy: str = ""  # the only policy it goes into; empty: by its notebooks
    open: str = ""
    recorded: dict[str, str] = {}
    implied: dict[str, Implied] = {}

    def actions(self, notebooks: Sequence[str]) -> list[str]:
        """Return what these notebooks need of it."""
        need = self.recorded | {name: one.by for name, one in self.implied.items()}
        return sorted(n for n, by in need.items() if set(by.split()) & set(notebooks))


class Kind(Strict):
    """Who gets a policy."""

    name: str
    who: str
    notebooks: list[str]
    each_stage: bool = False


class Permissions(Strict):
    """The whole file."""

    sources: dict[str, str]
    free: dict[str, str]
    operations: dict[str, list[str]]
    policy: list[Kind]
    statement: list[Row]

    def rows(self, kind: Kind) -> list[Row]:
        """Return the statements that go into a policy."""
        own = {one.policy for one in self.statement} - {""}
        wanted = kind.name if kind.name in own else ""
        return [one for one in self.statement if one.policy == wanted]


@cache
def permissions() -> Permissions:
    """Return the rows that were shipped."""
    text = Path(__file__).with_name("permissions.toml").read_text("utf-8")
    return Permissions.model_validate(tomllib.loads(text))


@dataclass(frozen=True, slots=True)
class Given:
    """What the catalog and the stack do not say."""

    account: str = ""  # AWS account id; empty: the target's, else a placeholder
    region: str = ""  # AWS region; empty: the stack's, else the target's, else any
    # Tag to value: on everything that the stack and the builder make.
    tags: Mapping[str, str] = field(default_factory=dict)
    names: str = ""  # pattern of what the stack makes; empty: they hold the app's


@dataclass(frozen=True, slots=True)
class Policy:
    """A managed policy."""

    name: str  # in IAM
    kind: str  # `build`, `deploy`, `roles`, `review`
    who: str  # who should have it
    stage: str  # the stage it is for; empty: all that were asked for
    document: dict[str, Any]  # as `aws iam create-policy` takes it
    notebooks: dict[str, dict[str, list[str]]]  # sid to action to those that need it
    remarks: dict[str, str]  # sid to what a reader should know of the statement

    @property
    def size(self) -> int:
        """Its characters, as AWS counts them."""
        return _size(self.document["Statement"])


def policies(
    project: Project, app: str, stage: str, target: str, given: Given
) -> tuple[list[Policy], list[str]]:
    """Return an app's policies, and what a reader should know of all of them.

    `stage` means only this one's, `target` is the one that says the account; empty:
    all stages, the first target of kind aws.

    Raises:
        UsageError: There is no such app, stage or target; a tag has an unknown hole;
            account or region are none.

    """
    catalog = project.catalog
    for name, value, form in (
        ("account", given.account, ACCOUNT_ID),
        ("region", given.region, REGION),
    ):
        if not re.fullmatch(form, value):
            msg = f"--{name} {value!r} is not valid"
            raise UsageError(msg, "Such as 123456789012 in us-east-1.")
    accounts = [name for name, one in catalog.targets.items() if one.kind == "aws"]
    target = target or next(iter([*accounts, *catalog.targets]))
    one_of("target", target, [*catalog.targets])
    stages = catalog.stages_of(app)
    if stage:
        stages = [one_of("stage", stage, stages)]
    places, notes = [], []
    for one in stages if catalog.app(app).stack else []:
        place, said = _place(project, app, one, target, given)
        places.append(place)
        notes += said
    if not places:
        places = [_known(project, app, "", target, given)]
        notes.append("the app has no stack: nothing of it is deployed")
    found: list[Policy] = []
    for kind in permissions().policy:
        each = [[place] for place in places] if kind.each_stage else [places]
        for some in each:
            found += _policies(kind, app, some, given.tags)
    return found, list(dict.fromkeys(notes))


def _policies(
    kind: Kind, app: str, places: list[Place], tags: Mapping[str, str]
) -> Iterator[Policy]:
    """Yield the policies of a kind: as many as its size needs."""
    stage = "".join(places[0]["stage"]) if kind.each_stage else ""
    if not stage and kind.each_stage:
        return
    rows = permissions().rows(kind)
    made = {r.sid: one for r in rows if (one := _statement(r, kind, places, tags))}
    parts: list[list[dict[str, Any]]] = [[]]
    for one in made.values():
        if _size([*parts[-1], one]) > LARGEST:
            parts.append([])
        parts[-1].append(one)
    for number, part in enumerate(parts if made else [], 1):
        of = f"-{number}" if len(parts) > 1 else ""
        sids = [one["Sid"] for one in part]
        yield Policy(
            name="-".join(filter(None, ("olrunbook", app, stage, kind.name))) + of,
            kind=kind.name,
            who=kind.who.format(stage=stage),
            stage=stage,
            document={"Version": "2012-10-17", "Statement": part},
            notebooks={
                row.sid: {
                    action: [n for n in kind.notebooks if action in row.actions([n])]
                    for action in row.actions(kind.notebooks)
                }
                for row in rows
                if row.sid in sids
            },
            remarks={row.sid: row.open for row in rows if row.sid in sids and row.open},
        )


def _statement(
    row: Row, kind: Kind, places: list[Place], tags: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return a row as IAM takes it; None: nothing of it is needed here."""
    actions = row.actions(kind.notebooks)
    resources = [one for text in row.resources for one in _filled(text, places)]
    if not actions or not resources:
        return None
    condition: dict[str, dict[str, Any]] = {}
    wanted = {operator: dict(keys) for operator, keys in row.condition.items()}
    if row.tagged:
        more = {f"aws:{row.tagged}/{key}": value for key, value in tags.items()}
        wanted["StringEquals"] = wanted.get("StringEquals", {}) | more
    for operator, keys in wanted.items():
        for key, text in keys.items():
            if values := _filled(text, places):
                condition.setdefault(operator, {})[key] = _short(values)
    made = {"Sid": row.sid, "Effect": row.effect, "Action": _short(actions)}
    made |= {"Resource": _short(list(dict.fromkeys(resources)))}
    return made | ({"Condition": condition} if condition else {})


def _size(statements: list[dict[str, Any]]) -> int:
    document = {"Version": "2012-10-17", "Statement": statements}
    return len(json.dumps(document, separators=(",", ":")))


def _short(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _filled(text: str, places: list[Place]) -> list[str]:
    """Return a text for each value its holes have in each stage."""
    holes = list(dict.fromkeys(_HOLE.findall(text)))
    if unknown := [hole for hole in holes if hole not in places[0]]:
        msg = f"{text!r}: nothing is known of {{{unknown[0]}}}"
        raise UsageError(msg, f"Known are: {', '.join(sorted(places[0]))}")
    found = [
        _fill(text, dict(zip(holes, values, strict=True)))
        for place in places
        for values in itertools.product(*(place[hole] for hole in holes))
    ]
    return list(dict.fromkeys(found))


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _HOLE.sub(lambda hole: values[hole[1]], text)


def _known(project: Project, app: str, stage: str, target: str, given: Given) -> Place:
    """Return what the catalog says of an app in a stage."""
    place = project.catalog.targets[target]
    return {
        **{hole: [] for hole in OF_STACKS.split()},
        "account": [given.account or place.account or PLACEHOLDER],
        "region": [given.region or place.region or "*"],
        "app": [app],
        "stage": [stage],
        "stage_lower": [stage.lower()],
        "names": [given.names or f"*{app}*"],
    }


def _place(
    project: Project, app: str, stage: str, target: str, given: Given
) -> tuple[Place, list[str]]:
    """Return what is known of an app in a stage, and what a reader should know."""
    found = _known(project, app, stage, target, given)
    stack = project.catalog.app(app).stack
    assert stack
    folder = project.path(stack.path)
    settings = read_yaml(folder / f"Pulumi.{stack.stack_name(stage)}.yaml")
    backend = (read_yaml(folder / "Pulumi.yaml").get("backend") or {}).get("url") or ""
    notes = []
    if found["account"] == [PLACEHOLDER]:
        notes.append(f"{PLACEHOLDER} stands for the account: --account fills it in")
    region = (settings.get("config") or {}).get("aws:region")
    if region and not given.region:
        found["region"] = [str(region)]
    bucket, _, prefix = backend.removeprefix("s3://").partition("?")[0].partition("/")
    if not backend.startswith("s3://"):
        bucket = ""
        notes.append(f"{stage}: no S3 backend in Pulumi.yaml, so nothing for the state")
    refers = any(b"StackReference" in f.read_bytes() for f in folder.rglob("*.py"))
    if refers:
        notes.append("the program refers to other stacks: it may read all their states")
    own = f"{stack.project}/{stack.stack_name(stage)}"
    keys, aliases = _key(str(settings.get("secretsprovider") or ""), found)
    if not keys:
        notes.append(f"{stage}: no KMS key in its settings, so nothing for the secrets")
    return found | {
        "bucket": [bucket] if bucket else [],
        "prefix": [f"{prefix.strip('/')}/" if prefix.strip("/") else ""],
        "stack": [own],
        "reads": ["*" if refers else f"{own}*"],
        "key": keys,
        "alias": aliases,
        **_groups([word for _, word in stack.group_tags(stage)], notes),
    }, notes


def _groups(words: list[str], notes: list[str]) -> Place:
    """Return by what a policy knows the groups: all by tag, or all by name."""
    named = [word.removeprefix(BY_NAME) for word in words if word.startswith(BY_NAME)]
    if len(named) == len(words):
        return {"group_name": [one for n in named for one in (n, f"{n}-*")]}
    if named:
        notes.append("some groups have no tag Name: every group may be changed")
    return {"group": [] if named else words, "group_name": ["*"]}


def _key(provider: str, found: Place) -> tuple[list[str], list[str]]:
    """Return ARN and alias of the key that encrypts a stack's secrets; empty: none.

    A policy cannot name a key by its alias: any key, on condition that it has that one.
    """
    if not provider.startswith("awskms://"):
        return [], []
    name = provider.removeprefix("awskms://").lstrip("/").partition("?")[0]
    where = f"arn:aws:kms:{found['region'][0]}:{found['account'][0]}"
    if name.startswith("arn:"):
        where, _, name = name.rpartition(":")
    if name.startswith("alias/"):
        return [f"{where}:key/*"], [name]
    return [f"{where}:key/{name.removeprefix('key/')}"], []
