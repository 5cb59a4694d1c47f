"""What a project's own files name of an account, made in the rehearsal's.

The bucket in which a stack keeps its state, and the key that its secrets are encrypted
with: so that no file of a project has to change before it can be rehearsed.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator
from typing import Any

from olrunbook.adapters.aws.answers import asked
from olrunbook.adapters.pulumi.settings import read_yaml
from olrunbook.adapters.pulumi.state import BACKEND, project_backend
from olrunbook.errors import UsageError
from olrunbook.project.catalog import Project
from olrunbook.targets import Target

__all__ = ["make_named"]


def make_named(project: Project, target: Target) -> None:
    """Make the buckets and keys that the stacks name and the account lacks.

    Raises:
        ToolError: The account does not answer.

    """
    client: Any = target.client  # its types name the services of the steps alone
    wanted = set(_named(project))
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
