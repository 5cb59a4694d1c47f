"""The notebook that is executed: its name, and what papermill left in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from olrunbook.errors import UsageError

__all__ = ["archive_name", "has_injected", "require_python"]


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


def require_python(notebook: dict[str, Any], name: str) -> None:
    """Raise UsageError where a notebook is in another language than ours."""
    meta = notebook.get("metadata", {})
    language = (
        meta.get("kernelspec", {}).get("language")
        or meta.get("language_info", {}).get("name")
        or "python"
    )
    if language.lower() not in ("python", "ipython", "python3"):
        msg = f"{name} is a notebook in {language}: olrunbook runs Python"
        raise UsageError(msg, "Run it with papermill, without --engine olrunbook.")
