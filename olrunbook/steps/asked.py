"""What a check of a preflight is asked about, and what it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from olrunbook.adapters.context import Context
from olrunbook.adapters.pulumi.found import State
from olrunbook.adapters.pulumi.settings import stack_spec
from olrunbook.adapters.pulumi.state import look_at
from olrunbook.record.model import RollbackRecord

Status = Literal["ok", "warning", "failed"]


class Seen(NamedTuple):
    """What a check saw; see `CheckRow`."""

    status: Status
    found: str
    wanted: str
    hint: str = ""


@dataclass(frozen=True)
class Asked:
    """What the checks are asked about."""

    ctx: Context
    images: Mapping[str, str]
    rollback: RollbackRecord | None

    @cached_property
    def ran(self) -> dict[tuple[str, ...], str]:
        """What each `before` command ended with: it is run once for all checks."""
        return {}

    @cached_property
    def backend(self) -> State:
        """What the stack's backend holds, read once for all checks."""
        ctx = self.ctx
        stack_spec(ctx)
        return look_at(ctx.target, ctx.project, ctx.app, ctx.stage)
