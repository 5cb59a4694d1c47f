"""The notebook that is executed: its name, and what papermill left in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["archive_name", "has_injected"]


def archive_name(path: Path) -> str:
    """Return a notebook's name as it stands in the archive's directory names."""
    plain = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"notebook_{plain}".rstrip("_")


def has_injected(notebook: dict[str, Any]) -> bool:
    """Whether papermill has put values into a notebook before."""
    return any(
        "injected-parameters" in cell.get("metadata", {}).get("tags", [])
        for cell in notebook["cells"]
    )
