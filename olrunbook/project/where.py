"""Where things lie: the project in use, its archive, what was shipped, the cache.

Paths only, from the environment and the folders there are. A command that reads the
archive needs no more, and need not wait until a catalog is read and checked.
"""

from __future__ import annotations

import os
from pathlib import Path

from olrunbook.errors import UsageError

CATALOG = "catalog.toml"


def find_root(start: Path | None = None, here: Path | None = None) -> tuple[Path, Path]:
    """Return the project's folder and its catalog file.

    Args:
        start: A folder; None: OLRUNBOOK_PROJECT, else the nearest one upwards from
            `here` that holds a catalog, else `here` with the catalog that was shipped.
        here: Where relative paths start; None: the working directory.

    Raises:
        UsageError: A folder was named and has no catalog, or there is no working
            directory.

    """
    here = here or working_folder()
    if named := start or os.environ.get("OLRUNBOOK_PROJECT"):
        root = (here / named).absolute()
        if not (root / CATALOG).is_file():
            msg = f"{Path(named)} has no {CATALOG}"
            hint = "Name the folder that holds it: --project, or OLRUNBOOK_PROJECT."
            raise UsageError(msg, hint)
        return root, root / CATALOG
    for folder in (here, *here.parents):
        if (folder / CATALOG).is_file():
            return folder, folder / CATALOG
    return here, shipped() / CATALOG


def working_folder() -> Path:
    """Return the working directory.

    Raises:
        UsageError: It was removed.

    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        msg = "the folder you are in was removed, or made anew under the same name"
        raise UsageError(msg, "Go to one that is there: cd /path/to/folder") from None


def archive_of(root: Path) -> Path:
    """Return the archive: OLRUNBOOK_ARCHIVE, else `outputs/` in the project."""
    return Path(os.environ.get("OLRUNBOOK_ARCHIVE") or root / "outputs").absolute()


def shipped() -> Path:
    """Return the folder of what the package carries; run from a checkout, that."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_shipped"
    return inside if inside.is_dir() else package.parent


def cache_dir() -> Path:
    """Return what this user keeps between checkouts: OLRUNBOOK_CACHE, else their own.

    The folder need not be there.
    """
    if named := os.environ.get("OLRUNBOOK_CACHE"):
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "olrunbook"
