"""Artifacts an image is made of, from a verified cache on the operator's machine.

A `versions.toml` beside a deploy file names each artifact, its version, and where it
may come from: the vendor's URL, Maven coordinates (with this machine's own Maven
settings), or, where the vendor cannot be reached and the file says so, a stand-in of
the same layout that calls itself one. Nothing is used before its sha256 was checked,
also from the cache.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from olrunbook.artifacts.downloads import (
    download,
    from_maven,
    listed_sum,
    require_disk,
)
from olrunbook.artifacts.standin_archive import write_stand_in
from olrunbook.errors import ToolError, UsageError
from olrunbook.events import Event
from olrunbook.project.where import cache_dir
from olrunbook.record.files import sha256_file, write_atomic

Source = Literal["vendor", "maven", "stand-in"]
Emit = Callable[[Event], None]
ASK_AGAIN_S = 3600.0  # how long a stand-in is used before the vendor is asked again


class ArtifactSpec(BaseModel, frozen=True, extra="forbid"):
    """One artifact as `versions.toml` describes it."""

    name: str  # its name, the table's
    version: str  # the version wanted
    file: str  # its file name; `{version}` is filled in, here and below
    url: str = ""  # the vendor's address of it; empty: none is used
    checksums: str = ""  # the vendor's list of checksums (`sha256  file`)
    maven: str = ""  # its coordinates, `group:artifact:version`
    sha256: dict[str, str] = {}  # version to the sha256 it must have
    stand_in: bool = False  # whether a stand-in may take its place

    def filled(self, text: str) -> str:
        """Return a text with the version filled in."""
        return text.replace("{version}", self.version)


class Artifact(BaseModel, frozen=True, extra="forbid"):
    """An artifact that was checked and can be used."""

    name: str
    version: str
    sha256: str  # of the file, as found
    source: Source  # where it came from, once
    path: Path  # where it is


def read_versions(
    path: Path, env: Mapping[str, str] = os.environ
) -> dict[str, ArtifactSpec]:
    """Return the artifacts a `versions.toml` names.

    In `env`, `NAME_VERSION` overrides a version, `NAME_SHA256` its checksum.

    Raises:
        UsageError: The file is missing or wrong.

    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        found = {}
        for name, table in data.items():
            prefix = re.sub(r"\W", "_", name).upper()
            spec = ArtifactSpec(name=name, **table)
            version = env.get(f"{prefix}_VERSION") or spec.version
            sums = dict(spec.sha256)
            if given := env.get(f"{prefix}_SHA256"):
                sums[version] = given.lower()
            found[name] = spec.model_copy(update={"version": version, "sha256": sums})
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} cannot be used: {error}"
        raise UsageError(msg) from None
    return found


def fetch_all(
    versions: Path,
    emit: Emit = lambda event: None,
    env: Mapping[str, str] = os.environ,
) -> list[Artifact]:
    """Return every artifact a `versions.toml` names, checked; none where it is missing.

    For `env` see `read_versions`.

    Raises:
        UsageError: The file is wrong.
        ToolError: One of them cannot be had.

    """
    if not versions.is_file():
        return []
    return [fetch(spec, emit) for spec in read_versions(versions, env).values()]


def fetch(spec: ArtifactSpec, emit: Emit = lambda event: None) -> Artifact:
    """Return one artifact from the cache, and get it first where it is missing.

    Raises:
        UsageError: There is no checksum to check it against.
        ToolError: It cannot be had, or what was got is not it.

    """
    wanted = spec.sha256.get(spec.version, "")
    if not wanted and not spec.checksums:
        msg = f"{spec.name} {spec.version} has no sha256 in versions.toml"
        hint = f"Give it there, or as {spec.name.upper()}_SHA256 in the environment."
        raise UsageError(msg, hint)
    folder = cache_dir() / "artifacts" / spec.name / spec.version
    if kept := _kept(spec, folder, wanted):
        return kept
    emit(Event("artifacts", "progress", f"getting {spec.name} {spec.version}"))
    folder.mkdir(parents=True, exist_ok=True)
    tried: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".getting-", dir=folder) as scratch:
        path = Path(scratch) / spec.filled(spec.file)
        source = _get(spec, path, wanted, tried)
        if source is None:
            msg = f"{spec.name} {spec.version} could not be fetched: {'; '.join(tried)}"
            hint = f"Put {path.name} with its source.json into {folder},"
            hint += " or make one of its sources reachable."
            raise ToolError(msg, hint)
        found = _keep(spec, folder, path, source)
    why = f" ({'; '.join(tried)})" if tried else ""
    words = {"stand-in": "is a stand-in, not the vendor's program"}
    text = f"{spec.name} {spec.version} {words.get(source, f'from {source}')}{why}"
    emit(Event("artifacts", "progress", text))
    return found


def _get(
    spec: ArtifactSpec, path: Path, wanted: str, tried: list[str]
) -> Source | None:
    """Get a file from the first source that has it; `tried` says why others had not."""
    if spec.url:
        try:
            url = spec.filled(spec.url)
            name = url.rsplit("/", 1)[-1]
            listed = wanted or listed_sum(spec.filled(spec.checksums), name)
            download(url, path)
        except OSError as error:
            require_disk(error, path)
            tried.append(f"vendor: {error}")
        else:
            _check(spec, path, listed)
            return "vendor"
    if spec.maven and wanted:
        if why := from_maven(spec.filled(spec.maven), path):
            tried.append(f"maven: {why}")
        else:
            _check(spec, path, wanted)
            return "maven"
    if spec.stand_in and not wanted:  # who names a checksum wants exactly that
        write_stand_in(spec.name, spec.version, path)
        return "stand-in"
    return None


def _check(spec: ArtifactSpec, path: Path, wanted: str) -> None:
    if (found := sha256_file(path)) != wanted:
        msg = f"{spec.name} {spec.version} has sha256 {found}, wanted {wanted}"
        raise ToolError(
            msg, "It was not used: the file was changed, or the pin is wrong."
        )


def _keep(spec: ArtifactSpec, folder: Path, path: Path, source: Source) -> Artifact:
    """Move a checked file into the cache; its description last: none is half."""
    found = _artifact(spec, path.replace(folder / path.name), source)
    note = {"sha256": found.sha256, "source": source, "at": time.time()}
    write_atomic(folder / "source.json", json.dumps(note) + "\n")
    return found


def _artifact(spec: ArtifactSpec, path: Path, source: Source) -> Artifact:
    facts = {"name": spec.name, "version": spec.version, "sha256": sha256_file(path)}
    return Artifact(**facts, source=source, path=path)


def _kept(spec: ArtifactSpec, folder: Path, wanted: str) -> Artifact | None:
    """Return what the cache holds, if it is still what it was when it was checked.

    A stand-in holds only for a while, and where one may be used.
    """
    path, beside = folder / spec.filled(spec.file), folder / "source.json"
    try:
        note = json.loads(beside.read_text(encoding="utf-8"))
        fresh = time.time() - beside.stat().st_mtime < ASK_AGAIN_S
        found = _artifact(spec, path, note["source"])
    except (OSError, ValueError, KeyError):
        return None
    good = found.sha256 == (wanted or note["sha256"])
    usable = found.source != "stand-in" or (spec.stand_in and fresh)
    return found if good and usable else None
