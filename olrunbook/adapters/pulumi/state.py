"""Look at a stack's state without changing it: pending operations, locks, history.

The layout of Pulumi's own S3 and file backends is read directly: the CLI has no command
for locks, and takes half a second for each other question. Any other backend is asked
by the CLI; its locks are its own business.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from olrunbook.adapters.pulumi.found import State
from olrunbook.adapters.pulumi.settings import read_yaml
from olrunbook.project.versions import parse

__all__ = [
    "BACKEND",
    "digest",
    "find_locks",
    "history",
    "look",
    "open_backend",
    "pending_line",
    "project_backend",
    "saved",
    "scope",
    "written_by",
]

Run = Callable[[list[str]], str]
BACKEND = "PULUMI_BACKEND_URL"


class S3Backend(NamedTuple):
    """A bucket; `base` is a prefix of everything: empty, or with a slash at its end."""

    bucket: str
    base: str
    client: Any

    def names(self, prefix: str) -> list[str]:
        """Return the objects below a prefix, sorted by name."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.base + prefix
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return sorted(key.removeprefix(self.base) for key in keys)

    def text(self, name: str) -> str:
        """Return an object's text."""
        answer = self.client.get_object(Bucket=self.bucket, Key=self.base + name)
        return str(answer["Body"].read().decode())


class FileBackend(NamedTuple):
    """The folder that holds `.pulumi`."""

    folder: Path

    def names(self, prefix: str) -> list[str]:
        """Return the files in a folder, sorted by name."""
        found = (self.folder / prefix).glob("*")
        return sorted(prefix + file.name for file in found if file.is_file())

    def text(self, name: str) -> str:
        """Return a file's text."""
        return (self.folder / name).read_text(encoding="utf-8")


Backend = S3Backend | FileBackend


def project_backend(folder: Path) -> str:
    """Return the backend's address that a Pulumi project names; empty: none."""
    backend = read_yaml(folder / "Pulumi.yaml").get("backend") or {}
    return str(backend.get("url") or "")


def open_backend(
    folder: Path, env: Mapping[str, str], s3: Callable[[], Any]
) -> Backend | None:
    """Return the backend of a Pulumi project; None: one we cannot read.

    Args:
        folder: The project.
        env: Its `BACKEND` comes before what the project says itself.
        s3: Makes the client of a bucket.

    Raises:
        UsageError: Its Pulumi.yaml is wrong.

    """
    url = urllib.parse.urlsplit(env.get(BACKEND) or project_backend(folder))
    if url.scheme == "s3":
        base = url.path.strip("/")
        return S3Backend(url.netloc, f"{base}/" if base else "", s3())
    if url.scheme == "file":
        path = urllib.parse.unquote(url.netloc + url.path)
        return FileBackend(Path(path).expanduser())
    return None


def scope(backend: Backend, project: str, stack: str) -> str:
    """Return the project below which a backend keeps a stack.

    Empty: it is kept below none, as Pulumi did before its stacks were of projects.
    """
    folder = ".pulumi/stacks/"
    if f"{folder}{project}/{stack}.json" in backend.names(f"{folder}{project}/"):
        return project
    return "" if f"{folder}{stack}.json" in backend.names(folder) else project


def _within(project: str, stack: str) -> str:
    return f"{project}/{stack}" if project else stack


def saved(backend: Backend, project: str, stack: str) -> dict[str, Any] | None:
    """Return a stack's last deployment, secrets in it encrypted; None: no such stack.

    A stack that was made and never updated has an empty one.
    """
    name = f".pulumi/stacks/{_within(project, stack)}.json"
    if name not in backend.names(f"{name.rpartition('/')[0]}/"):
        return None
    checkpoint = json.loads(backend.text(name)).get("checkpoint", {})
    return dict(checkpoint.get("latest") or {})


def look(backend: Backend | None, project: str, stack: str, run: Run) -> State | None:
    """Return what a stack's backend says; None: it has no such stack.

    Args:
        backend: The backend; None: only the CLI can read it.
        project: The Pulumi project.
        stack: The stack's name.
        run: Runs the CLI with arguments and returns its standard output; empty where
            there is no such stack.

    """
    project = scope(backend, project, stack) if backend else project
    deployment = saved(backend, project, stack) if backend else None
    if deployment is None:  # or it is kept in another form, packed
        said = run(["stack", "export", "--stack", stack])
        if not said:
            return None
        deployment = json.loads(said).get("deployment") or {}
    resources = deployment.get("resources") or []
    pending = deployment.get("pending_operations") or []
    version, result = _history(backend, project, stack, run)
    return State(
        version=version,
        result=result,
        digest=digest(resources, pending),
        resources=len(resources),
        types=sorted({str(item.get("type")) for item in resources}),
        pending=[pending_line(item) for item in pending],
        locks=find_locks(backend, project, stack) if backend else [],
    )


def written_by(deployment: Mapping[str, Any]) -> dict[str, str]:
    """Return which tools wrote a deployment: `pulumi` and its providers, with versions.

    Of a provider the newest counts: while an update replaces one, there are two.
    """
    engine = str((deployment.get("manifest") or {}).get("version") or "")
    found = {"pulumi": engine} if engine else {}
    for item in deployment.get("resources") or []:
        _, _, name = str(item.get("type")).partition("pulumi:providers:")
        sets = (item.get("outputs") or {}, item.get("inputs") or {})
        version = next((str(one["version"]) for one in sets if one.get("version")), "")
        if name and (parse(version) or ()) > (parse(found.get(name, "")) or ()):
            found[name] = version
    return found


def digest(resources: list[Any], pending: list[Any]) -> str:
    """Return the digest of a state."""
    text = json.dumps([resources, pending], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def history(backend: Backend, project: str, stack: str) -> list[str]:
    """Return the names of a stack's updates in its backend, oldest first."""
    names = backend.names(f".pulumi/history/{_within(project, stack)}/")
    return [name for name in names if name.endswith(".history.json")]


def _history(
    backend: Backend | None, project: str, stack: str, run: Run
) -> tuple[int, str]:
    """Return how many updates there were, and how the last one ended."""
    if backend is None:
        text = run(["stack", "history", "--json", "--page-size", "1", "--stack", stack])
        last = (json.loads(text) or [{}])[0]
        version = int(last.get("version") or 0)
        return version, str(last.get("result", ""))
    found = history(backend, project, stack)
    result = json.loads(backend.text(found[-1])).get("result", "") if found else ""
    return len(found), str(result)


def find_locks(backend: Backend, project: str, stack: str) -> list[str]:
    """Return the locks on a stack, one line each: who, where, since when."""
    of_project = f"organization/{project}" if project else ""
    names = backend.names(f".pulumi/locks/{_within(of_project, stack)}/")
    return [_lock_line(backend.text(name)) for name in names if name.endswith(".json")]


def _lock_line(text: str) -> str:
    try:
        lock = json.loads(text)
    except ValueError:
        return "a lock that cannot be read"
    names = ("username", "hostname", "pid", "timestamp")
    user, host, pid, since = (lock.get(name, "?") for name in names)
    return f"held by {user}@{host} (pid {pid}) since {since}"


def pending_line(item: dict[str, Any]) -> str:
    """Return a pending operation in words: `creating aws:lb/…:LoadBalancer name`."""
    urn = str((item.get("resource") or {}).get("urn") or "")
    kind = urn.split("::")[2].rsplit("$", 1)[-1] if urn.count("::") > 2 else ""  # noqa: PLR2004
    return " ".join(f"{item.get('type', '?')} {kind} {urn.rsplit('::', 1)[-1]}".split())
