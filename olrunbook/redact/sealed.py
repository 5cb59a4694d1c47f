"""Hand a secret on through a pipe that is also logged: sealed under the run's mask key.

The key exists in memory only, in the processes of one run. What a log keeps is noise.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

__all__ = ["seal", "unseal"]

NONCE = 16
TAG = 32


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    blocks = [
        hmac.digest(key, b"seal" + nonce + number.to_bytes(4), hashlib.sha256)
        for number in range(-(-length // TAG))
    ]
    return b"".join(blocks)[:length]


def seal(key: str, text: str) -> str:
    """Return the text sealed (base64).

    Args:
        key: The run's mask key (hex).
        text: The secret.

    """
    raw, secret, nonce = text.encode(), bytes.fromhex(key), os.urandom(NONCE)
    pad = _stream(secret, nonce, len(raw))
    body = bytes(one ^ other for one, other in zip(raw, pad, strict=True))
    tag = hmac.digest(secret, b"tag" + nonce + body, hashlib.sha256)
    return base64.b64encode(nonce + tag + body).decode()


def unseal(key: str, sealed: str) -> str:
    """Return the text again.

    Raises:
        ValueError: It was sealed under another key, or changed on its way.

    """
    data, secret = base64.b64decode(sealed), bytes.fromhex(key)
    nonce, tag, body = data[:NONCE], data[NONCE : NONCE + TAG], data[NONCE + TAG :]
    wanted = hmac.digest(secret, b"tag" + nonce + body, hashlib.sha256)
    if not hmac.compare_digest(tag, wanted):
        msg = "a sealed value cannot be opened with this run's key"
        raise ValueError(msg)
    pad = _stream(secret, nonce, len(body))
    return bytes(one ^ other for one, other in zip(body, pad, strict=True)).decode()
