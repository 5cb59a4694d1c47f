"""What a project's own files name of an account, made in the rehearsal's.

The bucket in which a stack keeps its state, the key that its secrets are encrypted
with, and the stand-in plugins in the versions that its Python asks for: so that no file
of a project has to change before it can be rehearsed.
"""

from __future__ import annotations

import contextlib
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from olrunbook.adapters.aws.answers import asked
from olrunbook.adapters.pulumi.settings import read_yaml
from olrunbook.adapters.pulumi.state import BACKEND, project_backend
from olrunbook.adapters.tool_version import provider_versions
from olrunbook.adapters.toolcall import tool_call
from olrunbook.errors import ToolError, UsageError
from olrunbook.project.catalog import Project
from olrunbook.redact import Redactor, new_key
from olrunbook.rehearsal.places import BUCKET, KEY_ALIAS, STAGES
from olrunbook.rehearsal.providers import PACKAGES, plugin_version
from olrunbook.targets import Target

SEEDED = {("s3", BUCKET), *(("awskms", KEY_ALIAS.format(one)) for one in STAGES)}


def make_named(project: Project, target: Target) -> None:
    """Make the buckets and keys that the stacks name and the account lacks.

    Each command comes by here: the account is asked only where something is named that
    it has not had from the start.

    Raises:
        ToolError: The account does not answer.

    """
    _plugins(project, target)
    if not (wanted := set(_named(project)) - SEEDED):
        return
    client: Any = target.client  # its types name the services of the steps alone
    with asked("what the stacks name"):
        s3 = client("s3")
        have = {("s3", one["Name"]) for one in s3.list_buckets()["Buckets"]}
        for _, name in sorted(one for one in wanted - have if one[0] == "s3"):
            s3.create_bucket(Bucket=name)
        kms = client("kms")
        pages = kms.get_paginator("list_aliases").paginate()
        aliases = (one["AliasName"] for page in pages for one in page["Aliases"])
        have = {("awskms", name) for name in aliases}
        for _, name in sorted(one for one in wanted - have if one[0] == "awskms"):
            key = kms.create_key()["KeyMetadata"]["KeyId"]
            kms.create_alias(AliasName=name, TargetKeyId=key)


def _plugins(project: Project, target: Target) -> None:
    """Give the stand-in plugins the versions that the SDKs of a Python ask for, too."""
    asked_of: set[tuple[str, ...]] = set()
    plugins = Path(target.env.get("PULUMI_HOME", "")) / "plugins"
    for app in project.catalog.apps.values():
        spec = app.tools.over(project.catalog.tools).pulumi
        if not spec.prefix or not app.stack or tuple(spec.prefix) in asked_of:
            continue
        asked_of.add(tuple(spec.prefix))
        bare = spec.model_copy(update={"environment": {}, "home": []})
        env, nowhere = target.environment(), Path()
        call = tool_call(project, bare, env, nowhere, Redactor(new_key()))
        found: dict[str, str] = {}
        with contextlib.suppress(ToolError):  # the run that needs it says why
            found = provider_versions(call, PACKAGES)
        for name, wanted in found.items():
            own = plugin_version(name)
            ours = plugins / f"resource-{name}-v{own}"
            if wanted != own and ours.is_dir():
                theirs = plugins / f"resource-{name}-v{wanted}"
                shutil.copytree(ours, theirs, dirs_exist_ok=True)


def _named(project: Project) -> Iterator[tuple[str, str]]:
    """Yield scheme and name of each bucket and each alias of a key."""
    for name, app in project.catalog.apps.items():
        if app.stack is None:
            continue
        with contextlib.suppress(UsageError):  # who uses that stack is told
            folder = project.path(app.stack.path)
            url = project.variable(app, "pulumi", BACKEND) or project_backend(folder)
            files = (
                app.stack.files(one)[-1] for one in project.catalog.stages_of(name)
            )
            keys = [read_yaml(folder / file).get("secretsprovider") for file in files]
            for text in (url, *keys):
                parts = urllib.parse.urlsplit(str(text or ""))
                if parts.scheme == "s3":
                    yield "s3", parts.netloc
                elif parts.scheme == "awskms" and parts.netloc == "alias":
                    yield "awskms", f"alias{parts.path}"
