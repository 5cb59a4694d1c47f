"""One HTTP request on a connection of its own; every way it can fail is an answer."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import client
from urllib.parse import urlsplit

TARGET_HEADER = "x-ol-target"  # the rehearsal's balancer says which instance answered
MAX_BODY = 1 << 18


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int  # HTTP status; 0: no answer
    seconds: float  # from the first byte of the connection to the last of the answer
    body: str = field(default="", repr=False)  # the beginning of the body
    target: str = ""  # the instance that answered, where the balancer says so
    error: str = ""  # why there is no answer, in a few words


WORDS: dict[type[Exception], str] = {
    TimeoutError: "timed out",
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "connection closed",  # RemoteDisconnected is one
    ssl.SSLError: "TLS failed",
}
# Any certificate is accepted: rehearsals sign their own.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE


def ask(
    url: str,
    method: str = "GET",
    *,
    body: str = "",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 2.0,
) -> Answer:
    """Make one request; never raises for what the other side does.

    `timeout_s` is for the connection, and for each part of the answer.

    Certificates are not verified: what is asked is whether a stage answers, and a
    rehearsal's certificate is its own. Whoever shows the answer says so.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    began = time.monotonic()
    connection = client.HTTPConnection(host, port, timeout=timeout_s)
    if parts.scheme == "https":
        connection = client.HTTPSConnection(host, port, timeout=timeout_s, context=TLS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(
            method,
            path,
            body=body.encode() if body else None,
            headers={"Connection": "close", **(headers or {})},
        )
        answer = connection.getresponse()
        text = answer.read(MAX_BODY).decode(errors="replace")
    except (OSError, client.HTTPException, ValueError) as error:
        return Answer(0, time.monotonic() - began, error=_words(error))
    finally:
        connection.close()
    target = answer.getheader(TARGET_HEADER, "")
    return Answer(answer.status, time.monotonic() - began, text, target)


def _words(error: Exception) -> str:
    """Return a short name of what went wrong, the same for the same cause."""
    said = (words for kind, words in WORDS.items() if isinstance(error, kind))
    return next(said, type(error).__name__)
