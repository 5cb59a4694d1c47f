"""Mask secrets before the first byte is written. The one leaf every process uses.

`redactor` is the face; `forms` knows the forms a known value may take, `patterns`
what looks like a secret, `user_data` what hides inside encoded blobs, `stream` how a
stream is masked that comes in pieces, `environment` which variables are secret. Only
the standard library is imported: a tool's supervisor starts in a blink.
"""

from __future__ import annotations

from olrunbook.redact.environment import KEY_VARIABLE, secrets_of_environment
from olrunbook.redact.redactor import Masked, Redactor, new_key
from olrunbook.redact.stream import StreamMask

__all__ = [
    "KEY_VARIABLE",
    "Masked",
    "Redactor",
    "StreamMask",
    "new_key",
    "secrets_of_environment",
]
