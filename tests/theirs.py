"""A Python of somebody else: with the packages of their project, without ours."""

from __future__ import annotations

import re
import sysconfig
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def their_python(folder: Path, *names: str) -> Path:
    """Make a venv with some of the packages installed here, and all they need.

    Returns:
        Its interpreter. `olrunbook` is not in it.

    """
    venv.create(folder, symlinks=True)
    here, (there,) = (
        Path(sysconfig.get_path("purelib")),
        folder.glob("lib/*/site-packages"),
    )
    seen: set[str] = set()
    wanted = list(names)
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for another Python or system
        wanted += [
            re.split(r"[^\w.-]", need, maxsplit=1)[0]
            for need in found.requires or []
            if "extra ==" not in need
        ]
        for top in {Path(file).parts[0] for file in found.files or []} - {".."}:
            if not (there / top).exists() and (here / top).exists():
                (there / top).symlink_to(here / top)
        scripts = {"pyinfra"} & {entry.name for entry in found.entry_points}
        for script in scripts:
            text = "import sys\nfrom pyinfra_cli.main import cli\nsys.exit(cli())\n"
            (folder / "bin" / script).write_text(f"#!{folder / 'bin/python'}\n{text}")
            (folder / "bin" / script).chmod(0o755)
    return folder / "bin" / "python"
