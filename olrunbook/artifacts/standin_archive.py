"""Make the archive that takes a HashiCorp product's place where it cannot be had.

It has the vendor's layout (one binary and a licence in a zip), and its binary says on
every call that it is a stand-in. The same name and version give the same bytes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

_SCRIPT = """#!/bin/sh
# A stand-in made by olrunbook: this is not HashiCorp's {name}.
echo "{name} {version} (olrunbook stand-in: not HashiCorp's {name}, it does nothing)"
case "$1" in
agent | server) exec sleep infinity ;;
esac
"""
_NOTE = """This archive was made by olrunbook because the vendor's could not be reached.
It is not HashiCorp's {name} {version} and holds none of its code.
"""


def write_stand_in(name: str, version: str, path: Path) -> None:
    """Write the stand-in archive of a product; its binary has the product's name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text, mode in ((name, _SCRIPT, 0o755), ("LICENSE.txt", _NOTE, 0o644)):
            info = zipfile.ZipInfo(file, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = (0o100000 | mode) << 16
            info.create_system = 3  # Unix: the mode above counts
            archive.writestr(info, text.format(name=name, version=version))
