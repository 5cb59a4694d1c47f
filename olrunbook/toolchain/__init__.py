"""Packer, its Amazon plugin and Pulumi: found, or downloaded or built once.

`ensure()` returns all of them ready for use.
"""

from olrunbook.toolchain.chain import ensure
from olrunbook.toolchain.model import Toolchain, ToolFound

__all__ = ["ToolFound", "Toolchain", "ensure"]
