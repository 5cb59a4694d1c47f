"""Known failures of provisioning and baking, and what the reader can do about each."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_KNOWN = tomllib.loads(Path(__file__).with_name("hints.toml").read_text("utf-8"))


def hint_for(output: str) -> str:
    """Return what a reader can do about a tool's output; empty: nothing is known."""
    for known in _KNOWN["known"]:
        if found := re.search(known["pattern"], output, re.MULTILINE):
            words = [group for group in found.groups() if group]
            hint: str = known["hint"]
            return hint.format(*(words or [""]))
    return ""
