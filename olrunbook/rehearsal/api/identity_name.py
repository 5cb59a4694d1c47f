"""The name of the rehearsal's identity (needs no moto: the commands use it, too)."""

from __future__ import annotations

import getpass
import re

from olrunbook.rehearsal.places import ACCOUNT

__all__ = ["rehearsal_identity"]

ROLE = "olrunbook-rehearsal"


def rehearsal_identity() -> str:
    """Return the identity's ARN: a role no account has, and this machine's user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "nobody"
    session = re.sub(r"[^\w+=,.@-]", "-", user)[:64] or "nobody"
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{session}"
