"""A proxy on loopback before the rehearsal's API, which can fail as AWS does."""

from __future__ import annotations

import http.client
import itertools
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from olrunbook.rehearsal.api.faults import Fault, respond

Mood = Literal["well", "throttling", "expired", "down"]
SERVICE = re.compile(r"/([a-z0-9-]+)/aws4_request")
FAULTS = {
    "throttling": Fault("Throttling", "Rate exceeded"),
    "expired": Fault("ExpiredToken", "The security token is expired", 403),
}
PASSED = ("content-length", "connection", "transfer-encoding", "host")


class Faulty:
    """How the API answers now; `met`: the moods that some request has met.

    Args:
        endpoint: The rehearsal's API.

    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = urlsplit(endpoint)
        self.url = ""
        self.mood: Mood = "well"
        self.met: set[Mood] = set()
        self._count = itertools.count()

    @property
    def unlucky(self) -> bool:
        """Whether this request is among those that are throttled: two of three."""
        return next(self._count) % 3 != 0


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    faulty: ClassVar[Faulty]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        mood = self.faulty.mood
        found = SERVICE.search(self.headers.get("Authorization", ""))
        service = found[1] if found else "s3"
        # The state of the stacks is in S3, and the secrets' key in KMS.
        aws = service not in ("s3", "kms")
        if mood == "down" and aws:
            self.faulty.met.add(mood)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        throttled = mood == "throttling" and self.faulty.unlucky
        if aws and (throttled or mood == "expired"):
            self.faulty.met.add(mood)
            json_target = bool(self.headers.get("X-Amz-Target"))
            status, kind, text = respond(FAULTS[mood], service, json_target=json_target)
            self._answer(int(status[:3]), {"Content-Type": kind}, text)
            return
        self._pass_on(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _pass_on(self, body: bytes) -> None:
        where = self.faulty.endpoint.netloc
        headers = {k: v for k, v in self.headers.items() if k.lower() not in PASSED}
        connection = http.client.HTTPConnection(where, timeout=60)
        try:
            headers |= {"Host": where, "Content-Length": str(len(body))}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in PASSED}
            if self.command == "HEAD" and (size := answer.getheader("Content-Length")):
                kept["Content-Length"] = size
            self._answer(answer.status, kept, text)
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def faulty(endpoint: str) -> Iterator[Faulty]:
    """Have such a proxy for a while."""
    made = Faulty(endpoint)
    handler = type("Handler", (_Handler,), {"faulty": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
