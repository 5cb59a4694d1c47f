"""Start a project: the example's files under another name."""

from __future__ import annotations

import re
from pathlib import Path

from olrunbook.errors import UsageError
from olrunbook.project.where import CATALOG, shipped

EXAMPLE = "hello"
# AWS cuts a load balancer's name at 32; a stage must still be in it.
NAME = re.compile(r"[a-z][a-z0-9-]{0,10}[a-z0-9]")
HEAD = """\
# What exists: targets, stages and their order, apps with their images and stacks.
# Data only; docs/adding-an-app.md explains every field. Started by `olrunbook init`:
# domain, network and backend (in stacks/{name}) are those of a rehearsal. Change them
# before you take it to an account.
#   olrunbook lint             what is missing
#   olrunbook release {name}
"""


def start(root: Path, name: str) -> list[Path]:
    """Write a project with one app; return its files, relative to the folder.

    Raises:
        UsageError: The name cannot be one, or a file is there already.

    """
    if not NAME.fullmatch(name):
        msg = f"{name!r} cannot be an app's name here"
        hint = "2 to 12 small letters, digits and dashes: names in AWS are made of it."
        raise UsageError(msg, hint)
    source = shipped() / "examples" / EXAMPLE
    texts = {
        Path(str(file.relative_to(source)).replace(EXAMPLE, name)): file.read_text(
            encoding="utf-8"
        ).replace(EXAMPLE, name)
        for part in (CATALOG, "images", "stacks")
        for file in sorted([source / part, *(source / part).rglob("*")])
        if file.is_file() and "__pycache__" not in file.parts
    }
    _, _, rest = texts[Path(CATALOG)].partition("schema = 1")
    texts[Path(CATALOG)] = HEAD.format(name=name) + "schema = 1" + rest
    if not (root / ".gitignore").exists():
        texts[Path(".gitignore")] = "/outputs/\n__pycache__/\n"
    if taken := [file for file in texts if (root / file).exists()]:
        msg = f"{root / taken[0]} is there already, and nothing is overwritten"
        raise UsageError(msg, "Name an empty folder, or one without these files.")
    for file, text in texts.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    return list(texts)
