"""User data for cloud-init."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass

__all__ = ["WriteFile", "user_data"]


@dataclass(frozen=True, slots=True)
class WriteFile:
    """One file that is there before the services start."""

    path: str
    content: str
    permissions: str = "0644"
    owner: str = "root:root"


def user_data(files: list[WriteFile]) -> str:
    """Return a cloud-config that writes the files, in base64 as EC2 wants it.

    JSON is YAML too, so that no value needs quoting rules. Contents travel in base64.
    """
    entries = [
        {
            **asdict(file),
            "content": base64.b64encode(file.content.encode()).decode(),
            "encoding": "b64",
        }
        for file in files
    ]
    text = "#cloud-config\n" + json.dumps({"write_files": entries}, indent=2) + "\n"
    return base64.b64encode(text.encode()).decode()
