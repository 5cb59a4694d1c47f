"""A vendor on loopback: a real HTTP server, and releases laid out as the real ones."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from olrunbook.toolchain.pins import Pin
from tests.toolchain.support import PULUMI

SAYS = {
    "packer": "Packer v1.15.4",
    "packer-plugin-amazon": '{"version": "1.8.2", "api_version": "x5.0"}',
    "pulumi": "v3.259.0",
}
Answer = Callable[[BaseHTTPRequestHandler], None]


def script(pin: Pin) -> bytes:
    """Return a program that says a tool's version."""
    return f"#!/bin/sh\necho '{SAYS[pin.name]}'\n".encode()


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """Return a tar.gz of these members, and of links to other names."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return out.getvalue()


@cache
def archive_of(pin: Pin) -> bytes:
    """Return a release's archive with the members the vendor's has, always the same."""
    member = pin.filled(pin.release.member)
    if pin is PULUMI:
        more = {"pulumi/pulumi-language-python": b"another program"}
        return tarred({**more, member: script(pin)})
    return zipped({"LICENSE.txt": b"a licence", member: script(pin)})


class Vendor(ThreadingHTTPServer):
    """Answers by path: bytes as they are, or as a function does."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        self.over = threading.Event()  # whoever stalls waits for this
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def offer(self, pin: Pin, archive: bytes = b"", listed: str = "") -> str:
        """Offer a release with its list of checksums; return the archive's path."""
        archive = archive or archive_of(pin)
        path = f"/{pin.filled(pin.release.archive)}"
        digest = listed or hashlib.sha256(archive).hexdigest()
        lines = f"{'0' * 64}  another\n{digest}  {path.rpartition('/')[2]}\n"
        self.answers[f"/{pin.filled(pin.release.sums)}"] = lines.encode()
        self.answers[path] = archive
        return path


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Vendor

    def do_GET(self) -> None:
        """Answer as the vendor was told to; 404 to anything else."""
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        answer = self.server.answers.get(path)
        if answer is None:
            self.send_error(404)
        elif callable(answer):
            answer(self)
        else:
            begin(self, len(answer))
            self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def begin(handler: BaseHTTPRequestHandler, size: int) -> None:
    """Say that a file of a size follows."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(size))
    handler.end_headers()


def redirect(to: str) -> Answer:
    """Return an answer that sends the client elsewhere."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer
