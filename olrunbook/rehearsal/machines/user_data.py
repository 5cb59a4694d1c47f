"""Understand user data as cloud-init does: scripts, cloud-config, MIME parts, gzip."""

from __future__ import annotations

import base64
import email
import gzip
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One entry of write_files."""

    path: str
    content: bytes
    mode: str = "0644"
    owner: str = "root:root"
    append: bool = False


@dataclass(slots=True)
class Instructions:
    """What user data asks for; `notes` names what is not done here."""

    files: list[WrittenFile] = field(default_factory=list)
    scripts: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "b64": base64.b64decode,
    "gz": gzip.decompress,
    "gz+b64": lambda data: gzip.decompress(base64.b64decode(data)),
}


def parse_user_data(raw: bytes) -> Instructions:
    """Return what user data asks for; what cannot be understood becomes a note."""
    wanted = Instructions()
    try:
        _read(raw, wanted)
    except Exception as error:  # noqa: BLE001  (it is data: no boot fails of it)
        wanted.notes.append(
            f"user data could not be read: {type(error).__name__}: {error}"
        )
    return wanted


def _read(raw: bytes, wanted: Instructions) -> None:
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    head = raw[:13].lower()
    if not raw.strip():
        return
    if head in (b"content-type:", b"mime-version:"):
        for part in email.message_from_bytes(raw).walk():
            if not part.is_multipart():
                body = part.get_payload(decode=True)
                _read(body if isinstance(body, bytes) else b"", wanted)
    elif raw.startswith(b"#!"):
        wanted.scripts.append(raw)
    elif raw.startswith(b"#cloud-config"):
        config = yaml.safe_load(raw)
        if not isinstance(config, dict):
            msg = f"cloud-config is {type(config).__name__}, not a mapping"
            raise TypeError(msg)
        _read_config(config, wanted)
    else:
        wanted.notes.append("user data of an unknown kind was ignored")


def _read_config(config: dict[str, Any], wanted: Instructions) -> None:
    for entry in config.pop("write_files", None) or []:
        wanted.files.append(_file(entry))
    if commands := config.pop("runcmd", None):
        lines = [
            command if isinstance(command, str) else shlex.join(map(str, command))
            for command in commands
        ]
        wanted.scripts.append("\n".join(["#!/bin/sh", *lines, ""]).encode())
    wanted.notes += [f"cloud-config key ignored: {key}" for key in config]


def _file(entry: dict[str, Any]) -> WrittenFile:
    content = entry.get("content") or ""
    data = content if isinstance(content, bytes) else str(content).encode()
    encoding = str(entry.get("encoding") or "")
    decode = _DECODERS.get(encoding.replace("gzip", "gz").replace("base64", "b64"))
    return WrittenFile(
        path=str(entry["path"]),
        content=decode(data) if decode else data,
        mode=str(entry.get("permissions", "0644")),
        owner=str(entry.get("owner", "root:root")),
        append=bool(entry.get("append")),
    )
