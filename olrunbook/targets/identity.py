"""Whether AWS says that we are who we must be: of the standard library alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any


def wrong_identity(
    answer: Mapping[str, Any], account: str, identity: str, pattern: str = ""
) -> str:
    """Return how GetCallerIdentity answers otherwise than it must; empty: not.

    The name of a session may change, as long as the pattern fits: some tools that give
    credentials name it after the clock.

    Args:
        answer: What it answers.
        account: AWS account id.
        identity: ARN, or a pattern (`*`, `?`) of it where it is not known yet.
        pattern: What the catalog wants; empty: the identity.

    """
    found, arn = answer["Account"], str(answer["Arn"])
    if found != account:
        return f"the AWS account is {found} ({arn}), wanted {account}"
    same = fnmatchcase(arn, identity) or (pattern and _role(arn) == _role(identity))
    if same and fnmatchcase(arn, pattern or identity):
        return ""
    return f"the AWS identity is {arn}, wanted {identity}"


def _role(arn: str) -> str:
    """Return the ARN of an assumed role without its session; any other as it is."""
    return re.sub(r"(:assumed-role/.+)/[^/]*$", r"\1", arn)
