"""Hand a secret on through a pipe that is also logged: sealed under the run's mask key.

The key exists in memory only, in the processes of one run. What a log keeps is noise.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

NONCE = 16
TAG = 32


def _turned(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """Return data under a pad that the key and nonce make; twice, it is as before."""
    pad = b"".join(
        hmac.digest(key, b"seal" + nonce + number.to_bytes(4), hashlib.sha256)
        for number in range(-(-len(data) // TAG))
    )
    return bytes(one ^ other for one, other in zip(data, pad, strict=False))


def seal(key: str, text: str) -> str:
    """Return the text sealed (base64) under the run's mask key (hex)."""
    secret, nonce = bytes.fromhex(key), os.urandom(NONCE)
    body = _turned(secret, nonce, text.encode())
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
    return _turned(secret, nonce, body).decode()
