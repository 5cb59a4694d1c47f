"""Look at a stack's state without changing it: pending operations, locks, history."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

__all__ = ["StateLook", "find_locks", "look"]

StateLook = dict[str, Any]
Run = Callable[[list[str]], str]


def look(folder: Path, project: str, stack: str, run: Run) -> StateLook:
    """Return what a stack's backend says.

    Args:
        folder: The Pulumi project.
        project: Its name.
        stack: The stack's name.
        run: Runs the CLI with arguments and returns its standard output.

    Returns:
        `version` of the last update, its `result`, a `digest` of the state, the number
        of `resources`, whether a group is among them, `pending` operations, `locks`.

    """
    exported = json.loads(run(["stack", "export", "--stack", stack]))
    deployment = exported.get("deployment") or {}
    resources = deployment.get("resources") or []
    pending = deployment.get("pending_operations") or []
    text = json.dumps([resources, pending], sort_keys=True)
    history = run(["stack", "history", "--json", "--page-size", "1", "--stack", stack])
    last = (json.loads(history) or [{}])[0]
    return {
        "version": int(last.get("version") or 0),
        "result": str(last.get("result") or ""),
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "resources": len(resources),
        "types": sorted({str(item.get("type")) for item in resources}),
        "pending": [
            f"{item.get('type')} {str(item.get('resource', {}).get('urn')).split('::', 2)[-1]}"
            for item in pending
        ],
        "locks": find_locks(folder, project, stack),
    }


def backend_url(folder: Path) -> str:
    """Return where a project's state is: PULUMI_BACKEND_URL, else what it says itself."""
    if url := os.environ.get("PULUMI_BACKEND_URL"):
        return url
    text = folder.joinpath("Pulumi.yaml").read_text(encoding="utf-8")
    return str((yaml.safe_load(text).get("backend") or {}).get("url") or "")


def find_locks(folder: Path, project: str, stack: str) -> list[str]:
    """Return the locks on a stack, one line each: who, where, since when.

    Pulumi has no command for it; the layout of its file and S3 backends is used.
    """
    url = urllib.parse.urlsplit(backend_url(folder))
    prefix = f".pulumi/locks/organization/{project}/{stack}/"
    if url.scheme == "s3":
        texts = _s3_texts(url.netloc, url.path.strip("/"), prefix)
    elif url.scheme == "file":
        home = Path(urllib.parse.unquote(url.netloc + url.path)).expanduser()
        texts = [file.read_text() for file in sorted((home / prefix).glob("*.json"))]
    else:
        return []
    return [_lock_line(text) for text in texts]


def _s3_texts(bucket: str, base: str, prefix: str) -> list[str]:
    import boto3  # noqa: PLC0415  (heavy: only when it is an S3 backend)

    client = boto3.client("s3")
    full = f"{base}/{prefix}" if base else prefix
    found = client.list_objects_v2(Bucket=bucket, Prefix=full).get("Contents", [])
    keys = [item["Key"] for item in found if item["Key"].endswith(".json")]
    return [
        client.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys
    ]


def _lock_line(text: str) -> str:
    try:
        lock = json.loads(text)
    except ValueError:
        return "a lock that cannot be read"
    who = f"{lock.get('username', '?')}@{lock.get('hostname', '?')}"
    return f"held by {who} (pid {lock.get('pid', '?')}) since {lock.get('timestamp', '?')}"
