"""A network whose only way to AWS is a proxy, with certificates of a CA of its own.

Both stand on loopback: a proxy that tunnels to one address (with a password), and what
answers TLS there and passes on to a rehearsal what it gets. The address is 0.0.0.0:1:
an IP, because S3 is asked by path there, but no 127.0.0.1, for which Go's clients use
no proxy. Who goes past the proxy meets nobody on this machine's port 1.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import re
import secrets
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

ADDRESS = "0.0.0.0:1"
PASSWORD = secrets.token_hex(12)  # the proxy's
WHO = f"operator:{PASSWORD}"
AGENT = re.compile(rb"\r\nuser-agent: *([^\r]*)", re.IGNORECASE)
CA, KEY = "ca.pem", "own.pem"


@dataclass
class Network:
    """Such a network.

    Args:
        folder: Where its CA's certificate is.
        port: The proxy's.
        tunnels: How many it has opened.
        refused: What else it was asked for, or without its password: the first lines.
        agents: The user agents whose requests have come through.

    """

    folder: Path
    port: int = 0
    tunnels: int = 0
    refused: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)

    @property
    def shell(self) -> dict[str, str]:
        """What a person's shell exports here."""
        return {"HTTPS_PROXY": self.proxy, "NO_PROXY": "127.0.0.1,localhost"}

    @property
    def proxy(self) -> str:
        """The proxy's address, with its password."""
        return f"http://{WHO}@127.0.0.1:{self.port}"

    def into(self, config: Path, endpoint: str) -> None:
        """Let an AWS config that leads to an endpoint lead here, and name the CA."""
        own = f"https://{ADDRESS}\nca_bundle = {self.folder / CA}"
        config.write_text(config.read_text().replace(endpoint, own))


def certify(folder: Path) -> None:
    """Make a CA, and a key with its certificate for the address."""
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    host = x509.IPAddress(ipaddress.ip_address(ADDRESS.partition(":")[0]))

    def signed(key: ec.EllipticCurvePrivateKey, title: str) -> bytes:
        name, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
            for text in (title, "a private CA")
        )
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
        its = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(issuer, name, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.BasicConstraints(ca=key is authority, path_length=None),
                critical=True,
            )
            .add_extension(by, critical=False)
            .add_extension(its, critical=False)
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .sign(authority, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)

    private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / CA).write_bytes(signed(authority, "a private CA"))
    (folder / KEY).write_bytes(private + signed(own, "its server"))


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(
    client: Ends, server: Ends, change: Callable[[bytes], bytes] = bytes
) -> None:
    """Pass on what is sent, both ways, until one ends; what is asked is changed."""

    async def pump(
        source: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        change: Callable[[bytes], bytes] = bytes,
    ) -> None:
        while data := await source.read(1 << 16):
            to.write(change(data))
            await to.drain()

    ways = [pump(client[0], server[1], change), pump(server[0], client[1])]
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server[1].close()


async def _listen(
    serve: Callable[[Ends], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> int:
    """Serve on a port of loopback from now on, and return it."""

    async def one(*client: *Ends) -> None:
        stopped = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*stopped):
            await serve(client)
        client[1].close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _serve(
    network: Network, endpoint: str, up: threading.Event, end: threading.Event
) -> None:
    where = urlsplit(endpoint)
    # A rehearsal answers to its own name alone.
    host, its = (f"\r\nHost: {name}\r\n".encode() for name in (ADDRESS, where.netloc))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(network.folder / KEY)
    word = base64.b64encode(WHO.encode()).decode()

    def change(data: bytes) -> bytes:
        network.agents.update(agent.decode() for agent in AGENT.findall(data))
        return data.replace(host, its)

    async def pass_on(client: Ends) -> None:
        cloud = await asyncio.open_connection(where.hostname, where.port)
        await _join(client, cloud, change)

    async def tunnel(client: Ends) -> None:
        head = (await client[0].readuntil(b"\r\n\r\n")).decode()
        answer = "200 Connection established"
        if not head.startswith(f"CONNECT {ADDRESS} "):
            answer = "403 Forbidden"
        elif f"\r\nproxy-authorization: basic {word}\r\n".lower() not in head.lower():
            answer = "407 Proxy Authentication Required"
        client[1].write(f"HTTP/1.1 {answer}\r\n\r\n".encode())
        await client[1].drain()
        if not answer.startswith("200"):
            network.refused.append(head.partition("\r\n")[0])
            return
        network.tunnels += 1
        await _join(client, await asyncio.open_connection("127.0.0.1", behind))

    behind, network.port = await _listen(pass_on, tls), await _listen(tunnel)
    up.set()
    await asyncio.to_thread(end.wait)


@contextlib.contextmanager
def network_before(endpoint: str, folder: Path) -> Iterator[Network]:
    """Have such a network for a while.

    Args:
        endpoint: The rehearsal's API, to which it is another way.
        folder: Where it makes its CA.

    """
    folder.mkdir(parents=True, exist_ok=True)
    certify(folder)
    network, up, end = Network(folder), threading.Event(), threading.Event()
    work = partial(asyncio.run, _serve(network, endpoint, up, end))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert up.wait(30)
        yield network
    finally:
        end.set()
        thread.join(30)
