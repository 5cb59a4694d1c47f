"""Hardware made of nothing: instances reach their states after a moment."""

from __future__ import annotations

import time
from collections.abc import Callable

from olrunbook.rehearsal.machines.machine import Machine


class Records:
    """Instances without machines.

    Args:
        boot_s: Seconds until an instance runs.
        immediate: Whether the pace is set to "immediate": then nothing takes time.

    """

    def __init__(self, boot_s: float, immediate: Callable[[], bool]) -> None:
        self._boot_s, self._immediate = boot_s, immediate

    @property
    def instant(self) -> bool:
        """Whether jobs take no time."""
        return self._immediate()

    def boot(self, machine: Machine) -> None:  # noqa: ARG002
        """Wait the boot's time."""
        if not self.instant:
            time.sleep(self._boot_s)

    def start(self, machine: Machine) -> None:
        """Start at once."""

    def stop(self, machine: Machine) -> None:
        """Stop at once."""

    def restart(self, machine: Machine) -> None:
        """Restart at once."""

    def runs(self, machine: Machine) -> bool:  # noqa: ARG002
        """Say yes: nothing ends by itself."""
        return True

    def console(self, machine: Machine) -> str:
        """Return a line that shows whose console it would be."""
        return f"no console: {machine.id} is a record only\n"

    def remove(self, machine: Machine) -> None:
        """Remove nothing."""

    def commit(self, machine: Machine, image: str, labels: dict[str, str]) -> None:
        """Make nothing."""

    def copy(self, image: str, name: str) -> None:
        """Copy nothing."""

    def discard(self, image: str) -> bool:  # noqa: ARG002
        """Remove nothing."""
        return True

    def has(self, image: str) -> bool:  # noqa: ARG002
        """Say yes: a record needs no image."""
        return True
