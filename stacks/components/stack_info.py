"""Where a stack stands: the name it has says which stage it is."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

__all__ = ["StackInfo", "parse_stack"]


@dataclass(frozen=True, slots=True)
class StackInfo:
    """The parts of a stack's name, `applications.tika.CI`.

    Args:
        full_name: The whole name.
        name: The stage as it is written, `CI`.
        env_prefix: What comes before the stage, `tika`; empty where nothing does.
        env_suffix: The stage in lower case, `ci`.

    """

    full_name: str
    name: str
    env_prefix: str
    env_suffix: str

    @property
    def env_name(self) -> str:
        """The environment's name, `tika-ci`."""
        return "-".join(part for part in (self.env_prefix, self.env_suffix) if part)


def parse_stack(full_name: str | None = None) -> StackInfo:
    """Return the parts of a stack's name.

    Args:
        full_name: The name; None: that of the stack in hand.

    """
    full = full_name or pulumi.get_stack()
    *before, stage = full.split(".")
    prefix = before[-1].lower() if before else ""
    return StackInfo(full, stage, prefix, stage.lower())
