"""Packer, its Amazon plugin and Pulumi: found on the machine, or built once and kept.

`ensure()` returns all of them ready for use.
"""

from olrunbook.toolchain.chain import ensure
from olrunbook.toolchain.model import Toolchain, ToolFound

__all__ = ["ToolFound", "Toolchain", "ensure"]
