"""Look at a stack's state without changing it: pending operations, locks, history.

The layout of Pulumi's own S3 and file backends is read directly: the CLI has no command
for locks, and takes half a second for each other question. Any other is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from olrunbook.adapters.aws.answers import asked
from olrunbook.adapters.pulumi.found import State, Update
from olrunbook.adapters.pulumi.settings import read_yaml
from olrunbook.errors import ToolError, UsageError
from olrunbook.project.catalog import App, Project
from olrunbook.project.versions import parse
from olrunbook.targets import Target

BACKEND = "PULUMI_BACKEND_URL"
PACKED = ".gz"
UNREADABLE = (OSError, ValueError, TypeError, OverflowError, EOFError)
BY_HAND = "olrunbook tools,"  # so the message begins of what was typed by it


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
        return _unpacked(name, answer["Body"].read())


class FileBackend(NamedTuple):
    """The folder that holds `.pulumi`."""

    folder: Path

    def names(self, prefix: str) -> list[str]:
        """Return the files in a folder, sorted by name."""
        found = (self.folder / prefix).glob("*")
        return sorted(prefix + file.name for file in found if file.is_file())

    def text(self, name: str) -> str:
        """Return a file's text."""
        return _unpacked(name, (self.folder / name).read_bytes())


Backend = S3Backend | FileBackend


def _unpacked(name: str, data: bytes) -> str:
    return (gzip.decompress(data) if name.endswith(PACKED) else data).decode()


def project_backend(folder: Path) -> str:
    """Return the backend's address that a Pulumi project names; empty: none."""
    backend = read_yaml(folder / "Pulumi.yaml").get("backend") or {}
    return str(backend.get("url") or "")


def require_backend(url: str) -> urllib.parse.SplitResult:
    """Return the parts of a backend's address; UsageError: it is none we can read."""
    parts = urllib.parse.urlsplit(url)
    asks = urllib.parse.parse_qs(parts.query)
    hint = "Name one by backend.url in Pulumi.yaml, or by `pulumi login`."
    if elsewhere := sorted(asks.keys() & {"endpoint", "profile"}):
        hint = f"Take {elsewhere[0]}= out of it: the target says as whom, and where."
    elif parts.scheme in ("s3", "file"):
        return parts
    msg = f"Pulumi's backend is {url or 'not named'}: wanted s3://… or file://…"
    raise UsageError(msg, hint)


def _logged_in(env: Mapping[str, str]) -> str:
    """Return the backend that `pulumi login` has left; empty: none."""
    try:
        file = Path(env["PULUMI_HOME"]) / "credentials.json"
        return str(json.loads(file.read_bytes()).get("current") or "")
    except (KeyError, FileNotFoundError):
        return ""


def open_backend(
    folder: Path, env: Mapping[str, str], s3: Callable[[], Any]
) -> Backend:
    """Return the backend of a Pulumi project, as Pulumi itself finds it.

    Args:
        folder: The project.
        env: Its `BACKEND` comes before what the project says itself; what `pulumi
            login` has left in its PULUMI_HOME comes last.
        s3: Makes the client of a bucket.

    Raises:
        UsageError: Its Pulumi.yaml is wrong, or it is a backend we cannot read.

    """
    url = env.get(BACKEND) or project_backend(folder) or _logged_in(env)
    parts = require_backend(url)
    if parts.scheme == "s3":
        base = parts.path.strip("/")
        return S3Backend(parts.netloc, f"{base}/" if base else "", s3())
    path = urllib.parse.unquote(parts.netloc + parts.path)
    return FileBackend(Path(path).expanduser())


def scope(backend: Backend, project: str, stack: str) -> str:
    """Return the project below which a backend keeps a stack.

    Empty: it is kept below none, as Pulumi did before its stacks were of projects.
    """
    of_none = not _kept(backend, project, stack) and _kept(backend, "", stack)
    return "" if of_none else project


def _within(project: str, stack: str) -> str:
    return f"{project}/{stack}" if project else stack


def _kept(backend: Backend, project: str, stack: str) -> str:
    """Return the name of what holds a stack, plain or packed; empty: nothing does."""
    name = f".pulumi/stacks/{_within(project, stack)}.json"
    there = backend.names(f"{name.rpartition('/')[0]}/")
    return next((one for one in (name, name + PACKED) if one in there), "")


def saved(backend: Backend, project: str, stack: str) -> dict[str, Any] | None:
    """Return a stack's last deployment, secrets in it encrypted; None: no such stack.

    A stack that was made and never updated has an empty one.
    """
    if not (name := _kept(backend, project, stack)):
        return None
    checkpoint = json.loads(backend.text(name)).get("checkpoint", {})
    return dict(checkpoint.get("latest") or {})


def look(backend: Backend, project: str, stack: str, updates: int = 1) -> State:
    """Return what a stack's backend says, with so many of its newest updates."""
    project = scope(backend, project, stack)
    kept = saved(backend, project, stack)
    deployment = kept or {}
    resources = deployment.get("resources") or []
    pending = deployment.get("pending_operations") or []
    written = (deployment.get("manifest") or {}).get("time")
    every = history(backend, project, stack)
    return State(
        made=kept is not None,
        version=len(every),
        updates=[_update(backend.text(name)) for name in every[-updates:][::-1]],
        digest=digest(resources, pending),
        written=datetime.fromisoformat(written).astimezone(UTC) if written else None,
        ids=frozenset(str(item.get("id")) for item in resources),
        resources=len(resources),
        types=sorted({str(item.get("type")) for item in resources}),
        pending=[pending_line(item) for item in pending],
        locks=find_locks(backend, project, stack),
        tools=written_by(deployment),
    )


def look_at(
    target: Target, project: Project, app: App, stage: str, updates: int = 1
) -> State:
    """Return what the backend holds of an app's stack, as `look` does.

    Raises:
        ToolError: The backend does not answer.
        UsageError: It is one that only the CLI can read.

    """
    spec = app.stack
    assert spec is not None
    stack = spec.stack_name(stage)
    env = {BACKEND: project.variable(app, "pulumi", BACKEND), **target.env}
    with readable(stack):
        folder = project.path(spec.path)
        backend = open_backend(folder, env, lambda: target.client("s3"))
        return look(backend, spec.project, stack, updates)


@contextmanager
def readable(stack: str) -> Iterator[None]:
    """Raise ToolError where a backend does not answer, or holds what it should not."""
    try:
        with asked(f"the state of {stack}"):
            yield
    except (*UNREADABLE, zlib.error) as error:
        msg = f"the state of {stack} cannot be read: {error}"
        raise ToolError(msg) from error


def _update(text: str) -> Update:
    told = json.loads(text)
    words = (str(told.get(name) or "") for name in ("kind", "result", "message"))
    times = (told.get(name) or 0 for name in ("startTime", "endTime"))
    return Update._make([*words, *(datetime.fromtimestamp(at, UTC) for at in times)])


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
    return [n for n in names if n.removesuffix(PACKED).endswith(".history.json")]


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
