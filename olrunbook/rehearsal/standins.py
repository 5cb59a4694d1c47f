"""Stand-ins of Vault's and Consul's HTTP APIs: enough for the stacks, and they say so.

Each listens on loopback, wants its token, and keeps what it is given in memory. An
address may carry one name before `/v1/` (`http://127.0.0.1:8200/ci`): each name is a
server of its own, so that three stages have three Vaults as they have at home. Nothing
is enforced: a bound image is kept and shown, no instance ever logs in.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import re
import threading
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from typing_extensions import override

HEADER = "X-Olrunbook-Stand-In"
NOTE = "stand-in of a rehearsal, not the real service"
LARGEST_BODY = 1 << 20
POLICIES = "sys/policies/acl/"
_PATH = re.compile(r"(?:/(?P<name>[a-z0-9-]+))?/v1/(?P<path>[^?]*)(?:\?(?P<query>.*))?")

Answer = tuple[int, Any]


@dataclass(slots=True)
class Store:
    """What one named server holds."""

    # vault policies by name
    policies: dict[str, Any] = field(
        default_factory=lambda: {
            name: {"name": name, "policy": ""} for name in ("default", "root")
        }
    )
    # auth mounts by path
    auth: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"aws": _mount("aws"), "token": _mount("token")}
    )
    # secret mounts by path
    mounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    # everything else by path: roles, keys
    data: dict[str, Any] = field(default_factory=dict)
    index: int = 0  # counts changes (Consul's ModifyIndex)


def _mount(kind: str, description: str = "") -> dict[str, Any]:
    accessor = f"auth_{kind}_{uuid.uuid4().hex[:8]}"
    return {"type": kind, "description": description, "accessor": accessor}


class _Service(BaseHTTPRequestHandler, ABC):
    """What both have in common: the token, the name, the answer."""

    service: ClassVar[str]
    token_header: ClassVar[str]
    public: ClassVar[tuple[str, ...]]  # paths that are answered without the token
    token: ClassVar[str]
    stores: ClassVar[dict[str, Store]]
    lock: ClassVar[threading.RLock]
    protocol_version = "HTTP/1.1"
    server_version = "olrunbook-stand-in"
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: what is sent may be secret."""

    def handle_method(self) -> None:
        """Answer one request."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self.close_connection = True
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"errors": ["too large"]})
            return
        body = self.rfile.read(length)
        found = _PATH.fullmatch(self.path)
        if not found:
            self._send(HTTPStatus.NOT_FOUND, {"errors": []})
            return
        path = found["path"].strip("/")
        if path not in self.public and not hmac.compare_digest(
            self.headers.get(self.token_header, "").encode(), self.token.encode()
        ):
            self._send(HTTPStatus.FORBIDDEN, {"errors": ["permission denied"]})
            return
        with self.lock:
            store = self.stores.setdefault(found["name"] or "", Store())
            try:
                answer = self.respond(store, path, found["query"] or "", body)
            except (ValueError, KeyError) as error:
                answer = HTTPStatus.BAD_REQUEST, {"errors": [str(error)]}
        self._send(*answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_LIST = handle_method  # noqa: N815

    def _send(self, status: int, body: Any) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.send_header(HEADER, f"{self.service}: {NOTE}")
        self.end_headers()
        self.wfile.write(raw)

    @abstractmethod
    def respond(self, store: Store, path: str, query: str, body: bytes) -> Answer:
        """Return status and body."""


class _Vault(_Service):
    service = "vault"
    token_header = "X-Vault-Token"  # noqa: S105  (a header's name)
    public = ("sys/health", "sys/seal-status")

    @override
    def respond(self, store: Store, path: str, query: str, body: bytes) -> Answer:
        given = json.loads(body) if body else {}
        for base, mounts in (("sys/auth", store.auth), ("sys/mounts", store.mounts)):
            if path == base or path.startswith(f"{base}/"):
                return self._mounts(mounts, path[len(base) + 1 :], given)
        if path.startswith(POLICIES):
            name = path.removeprefix(POLICIES)
            return self._kept(store.policies, name, {"name": name}, given)
        if path in self.public:
            state = {"initialized": True, "sealed": False, "standby": False}
            return HTTPStatus.OK, {**state, "version": "stand-in", "note": NOTE}
        if path == "auth/token/lookup-self":
            return HTTPStatus.OK, {"data": {"policies": ["root"], "display_name": NOTE}}
        found = re.fullmatch(r"auth/(.+)/role/([^/]+)", path)
        if found and found[1] in store.auth:
            new = {"role_id": str(uuid.uuid4())}
            return self._kept(store.data, path, new, given)
        error = f"no handler for {path!r}: not mounted, or not part of the stand-in"
        return HTTPStatus.NOT_FOUND, {"errors": [error]}

    def _mounts(
        self, mounts: dict[str, dict[str, Any]], path: str, given: dict[str, Any]
    ) -> Answer:
        if self.command == "GET":
            found = {f"{key}/": one for key, one in mounts.items()}
            return HTTPStatus.OK, {"data": found}
        if self.command == "DELETE":
            mounts.pop(path, None)
        elif path.endswith("/tune"):
            mounts[path.removesuffix("/tune")] |= given
        elif path in mounts:
            error = f"path is already in use at {path}/"
            return HTTPStatus.BAD_REQUEST, {"errors": [error]}
        else:
            mounts[path] = _mount(given["type"], given.get("description", ""))
        return HTTPStatus.NO_CONTENT, None

    def _kept(
        self, kept: dict[str, Any], key: str, new: dict[str, Any], given: dict[str, Any]
    ) -> Answer:
        if self.command == "GET":
            if key not in kept:
                return HTTPStatus.NOT_FOUND, {"errors": []}
            return HTTPStatus.OK, {"data": kept[key]}
        if self.command == "DELETE":
            kept.pop(key, None)
        else:
            kept[key] = {**kept.get(key, new), **given}
        return HTTPStatus.NO_CONTENT, None


class _Consul(_Service):
    service = "consul"
    token_header = "X-Consul-Token"  # noqa: S105  (a header's name)
    public = ("status/leader",)

    @override
    def respond(self, store: Store, path: str, query: str, body: bytes) -> Answer:
        if path in self.public:
            return HTTPStatus.OK, "127.0.0.1:8300"
        if path == "agent/self":
            return HTTPStatus.OK, {"Config": {"Version": "stand-in", "NodeName": NOTE}}
        if not path.startswith("kv/"):
            return HTTPStatus.NOT_FOUND, {"errors": [f"the stand-in has no {path}"]}
        key = path.removeprefix("kv/")
        if self.command in ("PUT", "POST"):
            store.index += 1
            store.data[key] = (base64.b64encode(body).decode(), store.index)
            return HTTPStatus.OK, True
        below = "recurse" in query
        names = [
            name
            for name in store.data
            if name == key or (below and name.startswith(key))
        ]
        if self.command == "DELETE":
            for name in names:
                del store.data[name]
            return HTTPStatus.OK, True
        found = [
            {
                "Key": name,
                "Value": store.data[name][0],
                "ModifyIndex": store.data[name][1],
            }
            for name in names
        ]
        return (HTTPStatus.OK, found) if found else (HTTPStatus.NOT_FOUND, None)


def start(
    host: str, vault_port: int, consul_port: int, vault_token: str, consul_token: str
) -> list[ThreadingHTTPServer]:
    """Start both stand-ins, each on a thread of its own.

    Args:
        host: An address in 127.0.0.0/8.
        vault_port: Port of the Vault stand-in; 0: any free one (`server_address`).
        consul_port: Port of the Consul stand-in, likewise.
        vault_token: The token Vault's callers must send.
        consul_token: The token Consul's callers must send.

    Returns:
        The two servers, Vault first; `shutdown()` and `server_close()` end one.

    Raises:
        ValueError: The host is not on loopback.
        OSError: A port is taken.

    """
    if not ipaddress.ip_address(host).is_loopback:
        msg = f"a stand-in listens on loopback only, not on {host}"
        raise ValueError(msg)
    servers: list[ThreadingHTTPServer] = []
    kinds: list[tuple[type[_Service], int, str]] = [
        (_Vault, vault_port, vault_token),
        (_Consul, consul_port, consul_token),
    ]
    try:
        for kind, port, token in kinds:
            # A class of its own: two rehearsals in one process share nothing.
            own = {"token": token, "stores": {}, "lock": threading.RLock()}
            handler = type(kind.__name__, (kind,), own)
            servers.append(ThreadingHTTPServer((host, port), handler))
    except OSError:
        for server in servers:
            server.server_close()
        raise
    for server in servers:
        name = f"stand-in {server.server_address}"
        threading.Thread(target=server.serve_forever, name=name, daemon=True).start()
    return servers
