"""Which process is the cloud: written by it, verified by whoever reads it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from olrunbook.rehearsal.settings import Settings

__all__ = ["DaemonRecord", "read_record", "write_private"]

SAME_START_S = 0.5  # the kernel counts in clock ticks


class DaemonRecord(BaseModel):
    """The background process of a cloud."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int  # its process id
    # when that process began, as the kernel says (epoch seconds): a process id alone
    # may belong to another one by now
    process_started: float
    cloud_id: str  # id of the incarnation
    block: int  # its addresses, 127.B.0.0/16
    endpoint: str  # URL of the AWS API
    settings: Settings  # how it behaves
    started_at: datetime  # when it was started (UTC)

    @classmethod
    def of_this_process(
        cls, *, cloud_id: str, block: int, endpoint: str, settings: Settings
    ) -> DaemonRecord:
        """Return the record of the calling process."""
        return cls(
            pid=os.getpid(),
            process_started=psutil.Process().create_time(),
            cloud_id=cloud_id,
            block=block,
            endpoint=endpoint,
            settings=settings,
            started_at=datetime.now(UTC),
        )

    def process(self) -> psutil.Process | None:
        """Return the process if it still is the one that wrote the record."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.process_started) > SAME_START_S:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.Error:
            return None
        return process


def read_record(file: Path) -> DaemonRecord | None:
    """Return the record in a file; None where there is none that can be read."""
    try:
        return DaemonRecord.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def write_private(path: Path, data: Any) -> None:
    """Write JSON whole or not at all, readable by its owner alone."""
    aside = path.with_name(f".{path.name}.new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(data, out, indent=1)
        out.flush()
        os.fsync(handle)
    aside.replace(path)
