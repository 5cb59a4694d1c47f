"""The rehearsal's identity and keys (needs no moto: the commands use it, too)."""

from __future__ import annotations

import base64
import secrets

from olrunbook.rehearsal.places import ACCOUNT
from olrunbook.targets.place import user

ROLE = "olrunbook-rehearsal"


def new_key(prefix: str) -> tuple[str, str]:
    """Return an access key id and its secret key, random and of AWS's form.

    Args:
        prefix: `AKIA` for a lasting key, `ASIA` for a temporary one.

    """
    letters = base64.b32encode(secrets.token_bytes(10)).decode()
    return f"{prefix}OL{letters[:14]}", secrets.token_urlsafe(30)


def rehearsal_identity() -> str:
    """Return the identity's ARN: a role no account has, and this machine's user."""
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{user()[:64]}"
