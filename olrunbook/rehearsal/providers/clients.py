"""API clients of the stand-in providers: loopback only, patient with throttling."""

from __future__ import annotations

import functools
import ipaddress
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

ATTEMPTS = 25  # as the real provider does when the API throttles


def on_loopback(url: str) -> str:
    """Return the URL if it names this machine: localhost, 127.0.0.0/8 or 0.0.0.0.

    Raises:
        PermissionError: It leaves this machine.

    """
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        inside = address.is_loopback or address.is_unspecified
    except ValueError:
        inside = False
    if not inside:
        msg = f"a stand-in provider calls this machine only, not {host or url!r}"
        raise PermissionError(msg)
    return url


def _proxies(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the proxies of an environment by scheme; none where the URL needs none."""
    from requests.utils import should_bypass_proxies  # noqa: PLC0415  (light start)

    found = {
        name.lower().removesuffix("_proxy"): value
        for name, value in environment.items()
        if name.lower().endswith("_proxy") and value
    }
    return {} if should_bypass_proxies(url, found.get("no", "")) else found


@functools.cache
def _models() -> Any:
    """Return the loader of AWS's models: it keeps what it read, for all of a process.

    A client costs little then, and stays its provider's own: so do its retries.
    """
    from botocore.loaders import create_loader  # noqa: PLC0415  (light start)

    return create_loader()


class AwsClients:
    """botocore clients by service, made once each (gRPC calls come on many threads).

    Args:
        environment: Where AWS_ENDPOINT_URL, the region and the keys are, or else
            AWS_CONFIG_FILE: a profile with `endpoint_url` and `credential_process`.
        region: The region; empty: AWS_REGION, else the profile's.

    Raises:
        PermissionError: The endpoint is not on loopback.

    """

    def __init__(self, environment: Mapping[str, str], region: str = "") -> None:
        import botocore.session  # noqa: PLC0415  (light start: only for aws)
        from botocore.config import Config  # noqa: PLC0415

        from olrunbook.rehearsal.providers import credentials  # noqa: PLC0415

        profile = credentials.profile_of(environment)
        self.endpoint = on_loopback(
            environment.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url", "")
        )
        self.region = (
            region or environment.get("AWS_REGION") or profile.get("region", "")
        )
        self._environment = environment
        self._trusted = environment.get("AWS_CA_BUNDLE") or profile.get("ca_bundle")
        self._session = botocore.session.Session()
        if command := profile.get("credential_process"):
            # Keys in the environment come first, as in AWS's SDKs
            asked = credentials.refreshed_by(command, environment)
            chain = SimpleNamespace(load_credentials=lambda: asked)
            self._session.register_component("credential_provider", chain)
        self._session.register_component("data_loader", _models())
        self._config = Config(
            user_agent_appid=environment.get("AWS_SDK_UA_APP_ID"),  # type: ignore[call-arg]
            # The plugin's own: this process may be one for all plugins
            proxies=_proxies(environment, self.endpoint),
            retries={"mode": "standard", "max_attempts": ATTEMPTS},
            connect_timeout=5,
            read_timeout=60,
            s3={"addressing_style": "path"},
        )
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, service: str) -> Any:
        """Return the client of a service."""
        with self._lock:
            if service not in self._made:
                # Named, so that AWS_ENDPOINT_URL_EC2 or a profile changes nothing
                self._made[service] = self._session.create_client(
                    service,
                    region_name=self.region,
                    endpoint_url=self.endpoint,
                    config=self._config,
                    verify=self._trusted,
                    aws_access_key_id=self._environment.get("AWS_ACCESS_KEY_ID"),
                    aws_secret_access_key=self._environment.get(
                        "AWS_SECRET_ACCESS_KEY"
                    ),
                    aws_session_token=self._environment.get("AWS_SESSION_TOKEN"),
                )
            return self._made[service]


class HttpClient:
    """Calls of Vault's and Consul's HTTP APIs.

    Args:
        address: Where the service answers, before `/v1/`.
        token_header: The header its token goes in.
        token: The token.

    Raises:
        PermissionError: The address is not on loopback.

    """

    def __init__(self, address: str, token_header: str, token: str) -> None:
        full = address if "://" in address else f"http://{address}"
        self.base = on_loopback(full).rstrip("/")
        self._headers = {token_header: token, "Content-Type": "application/json"}
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API.

        A body of text is sent as it is, any other as JSON. What the JSON answer says is
        returned; None for 404.

        Raises:
            RuntimeError: Any other error of the service.

        """
        data = body if isinstance(body, str | None) else json.dumps(body)
        request = urllib.request.Request(  # noqa: S310  (checked to be loopback)
            f"{self.base}/v1/{urllib.parse.quote(path)}",
            None if data is None else data.encode(),
            self._headers,
            method=method,
        )
        try:
            with self._open(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:  # noqa: PLR2004
                return None
            detail = error.read()[:300].decode(errors="replace")
            msg = f"{method} {path}: {error.code} {detail}"
            raise RuntimeError(msg) from None
        return json.loads(text) if text else {}
