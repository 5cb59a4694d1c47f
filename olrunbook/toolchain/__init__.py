"""Packer, its Amazon plugin and Pulumi: found on the machine, or built once and kept.

`ensure()` returns all of them ready for use, `status()` says what there is.
"""

from olrunbook.toolchain.chain import ensure, status
from olrunbook.toolchain.model import Status, Toolchain, ToolFound

__all__ = ["Status", "ToolFound", "Toolchain", "ensure", "status"]
