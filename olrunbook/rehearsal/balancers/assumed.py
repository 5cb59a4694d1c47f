"""Target health without machines: a target is healthy as soon as its instance runs."""

from __future__ import annotations

from collections.abc import Callable

from olrunbook.rehearsal.balancers.health import TargetRecord


class AssumedHealth:
    """Answers like a health book of services that are always well.

    Args:
        address_of: Address of a running instance; None: it does not run.

    """

    def __init__(self, address_of: Callable[[str], str | None]) -> None:
        self._address_of = address_of

    def record(self, group_arn: str, target_id: str) -> TargetRecord | None:
        """Return a healthy record for what runs."""
        if self.state(group_arn, target_id) is None:
            return None
        return TargetRecord("healthy", None, None)

    def state(self, group_arn: str, target_id: str) -> str | None:  # noqa: ARG002
        """Return `healthy` for what runs, else None."""
        runs = not target_id.startswith("i-") or self._address_of(target_id)
        return "healthy" if runs else None

    def tick(self) -> None:
        """Do nothing: there is nothing to ask."""

    def end(self) -> None:
        """Do nothing."""
