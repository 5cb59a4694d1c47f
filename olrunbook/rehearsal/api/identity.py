"""GetCallerIdentity: whoever asks is told that this is a rehearsal."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.sts.responses import TokenResponse

from olrunbook.rehearsal.api.patching import override
from olrunbook.rehearsal.places import ACCOUNT

__all__ = ["install"]


def install(identity_arn: str) -> None:
    """Make GetCallerIdentity answer this identity."""
    session = identity_arn.rsplit("/", 1)[1]

    @override(TokenResponse)
    def get_caller_identity(_: Any, _response: TokenResponse) -> ActionResult:
        return ActionResult(
            {
                "UserId": f"AROAOLRUNBOOKREHEARSAL:{session}",
                "Account": ACCOUNT,
                "Arn": identity_arn,
            }
        )
