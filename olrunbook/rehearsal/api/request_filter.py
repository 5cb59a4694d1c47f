"""What every request passes before moto sees it: Host, access key, allowed service."""

from __future__ import annotations

import io
import json
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from olrunbook.rehearsal.api.calls import Calls
from olrunbook.rehearsal.api.faults import Fault, fault_of, respond
from olrunbook.rehearsal.api.headers import KEY_HEADER, OWN_PREFIX, PACE_PREFIX, TOKENS
from olrunbook.rehearsal.api.keys import Keys
from olrunbook.rehearsal.signals import log

# What a release meets, by signing name. Not here: whatever could reach out of loopback
# (SNS and EventBridge deliver to URLs, Lambda and Batch start containers of their own).
SERVICES = frozenset(
    {
        "acm",
        "autoscaling",
        "cloudwatch",
        "dynamodb",
        "ec2",
        "ecr",
        "elasticache",
        "elasticloadbalancing",
        "iam",
        "kms",
        "logs",
        "monitoring",
        "rds",
        "resource-groups",
        "route53",
        "s3",
        "secretsmanager",
        "sqs",
        "ssm",
        "sts",
        "tagging",
    }
)

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/[^/]*/([^/]+)/aws4_request")
_ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z0-9]+)")
MOST_PEEKED = 1 << 20
CALLS = f"{OWN_PREFIX}calls"
INVOCATION, ATTEMPT = "HTTP_AMZ_SDK_INVOCATION_ID", "HTTP_AMZ_SDK_REQUEST"
KEPT = 100  # answers

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class _Answer(NamedTuple):
    """What a call was answered."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class RequestFilter:
    """A WSGI application around moto's.

    `POST /_rehearsal/fault` with `{"code": "Throttling", "seconds": 5}` lets every call
    fail with that code for a while; without a code nobody answers at all.
    `POST /_rehearsal/tokens` with `{"seconds": 60}` lets the keys of roles that are
    assumed from now on live no longer; 0: as long as asked.

    Args:
        app: moto's.
        host: The only Host that is served (`address:port`): no page in a browser can
            reach the API under another name.
        keys: The access keys that are served.
        status: Returns what `GET /_rehearsal/status` answers; what was called is at
            `GET /_rehearsal/calls`.

    """

    def __init__(
        self, app: App, host: str, keys: Keys, status: Callable[[], dict[str, Any]]
    ) -> None:
        self._app, self._host = app, host
        self._keys, self._status = keys, status
        self._fault, self._fault_until = "", 0.0
        self._calls = Calls()
        self._answers: dict[str, _Answer] = {}  # by the SDK's own id of a call
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path = environ.get("PATH_INFO", "")
        key, service = _signed_by(environ)
        if path.startswith((OWN_PREFIX, PACE_PREFIX)):
            key = environ.get(f"HTTP_{KEY_HEADER.upper().replace('-', '_')}", "")
            service = "rehearsal"
        if fault := self._refusal(environ, key, service):
            return self._answer(environ, start, fault, service)
        if path.startswith(OWN_PREFIX):
            return self._own(environ, start)
        if time.monotonic() < self._fault_until and service != "rehearsal":
            if not self._fault:
                msg = "the rehearsal cloud is silent: a test wants it so"
                raise ConnectionAbortedError(msg)  # the server hangs up
            asked_for = Fault(self._fault, "The rehearsal cloud was told to say so.")
            return self._answer(environ, start, asked_for, service)
        action = _action(environ)
        self._calls.note(environ, service, action)
        said = self._answers.get(environ.get(INVOCATION, ""))
        if said and "attempt=1;" not in environ.get(ATTEMPT, "attempt=1;"):
            log("REPEATED", service, action, environ[ATTEMPT], said.status)
            start(said.status, said.headers)
            return [said.body]
        try:
            return self._told(environ, start)
        except Exception as error:  # noqa: BLE001  (moto's own page is no answer for an SDK)
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rsplit('/', 2)[-1]}:{where.lineno}"
            log("FAULT", service, action, type(error).__name__, error, place)
            return self._answer(
                environ, start, fault_of(error, service, action), service
            )

    def _told(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Return moto's answer; of what it has done it is kept for a second attempt.

        An SDK makes one where it did not get the answer. To do the same twice would end
        in a duplicate that AWS never made.
        """
        given: list[Any] = []
        told = self._app(environ, lambda *how: given.extend(how))
        try:
            body = b"".join(told)
        finally:
            getattr(told, "close", lambda: None)()
        status, headers = given[:2]
        start(status, headers)
        named = environ.get(INVOCATION)
        if named and status.startswith("2") and environ["REQUEST_METHOD"] != "GET":
            with self._lock:
                self._answers[named] = _Answer(status, headers, body)
                if len(self._answers) > KEPT:
                    del self._answers[next(iter(self._answers))]
        return [body]

    def _refusal(self, environ: Environ, key: str, service: str) -> Fault | None:
        if environ.get("HTTP_HOST") != self._host:
            return Fault(
                "AccessDenied", f"This cloud is served as {self._host} only.", 403
            )
        token = _token(environ)
        is_json = bool(environ.get("HTTP_X_AMZ_TARGET"))
        if fault := self._keys.refusal(key, token, service, json_target=is_json):
            return fault
        if service == "rehearsal" and not self._keys.is_own(key):
            return Fault("AccessDenied", "A role may call AWS's API only.", 403)
        if service != "rehearsal" and service not in SERVICES:
            return Fault(
                "InvalidAction", f"The rehearsal cloud has no service {service!r}."
            )
        return None

    def _own(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        if environ.get("REQUEST_METHOD") == "POST":
            length = int(environ.get("CONTENT_LENGTH") or 0)
            wanted = json.loads(environ["wsgi.input"].read(length))
            seconds = float(wanted["seconds"])
            if environ["PATH_INFO"] == OWN_PREFIX + TOKENS:
                self._keys.token_s = seconds
            else:
                self._fault = str(wanted.get("code", ""))
                self._fault_until = time.monotonic() + seconds
        calls = environ.get("PATH_INFO") == CALLS
        body = json.dumps(self._calls.rows() if calls else self._status()).encode()
        start("200 OK", [("Content-Type", "application/json")])
        return [body]

    @staticmethod
    def _answer(
        environ: Environ, start: StartResponse, fault: Fault, service: str
    ) -> Iterable[bytes]:
        target = bool(environ.get("HTTP_X_AMZ_TARGET"))
        status, kind, body = respond(fault, service, json_target=target)
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def _signed_by(environ: Environ) -> tuple[str, str]:
    """Return access key id and service of a signed request; both empty: it is not."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not found:
        found = _CREDENTIAL.search(f"Credential={_query(environ, 'X-Amz-Credential')}")
    return (found.group(1), found.group(2).lower()) if found else ("", "")


def _token(environ: Environ) -> str:
    """Return the session token of a request, from a header or a signed URL."""
    token = str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
    return token or _query(environ, "X-Amz-Security-Token")


def _query(environ: Environ, name: str) -> str:
    return parse_qs(str(environ.get("QUERY_STRING", ""))).get(name, [""])[0]


def _action(environ: Environ) -> str:
    """Return the action a request names, for messages; leave its body unread."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form")
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not form or not 0 < length < MOST_PEEKED:
        return f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
    body = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    found = _ACTION.search(body)
    return found.group(1).decode() if found else ""
