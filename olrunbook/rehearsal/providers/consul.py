"""The stand-in `consul` provider: keys of the key-value store."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from typing_extensions import override

from olrunbook.rehearsal.providers.clients import HttpClient
from olrunbook.rehearsal.providers.handler import Caller, Function, Handler
from olrunbook.rehearsal.providers.values import Props

DEFAULT_ADDRESS = "http://127.0.0.1:8500"


class Keys(Handler):
    """`consul:index/keys:Keys`."""

    inputs = ("datacenter", "keys")
    replace = ("datacenter",)
    computed = ("var",)

    def _put(self, call: Caller, keys: list[Props]) -> None:
        for key in keys:
            call.api("PUT", f"kv/{key['path']}", str(key.get("value") or ""))

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        self._put(call, wanted.get("keys") or [])
        return "consul"

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        keys = []
        for key in state.get("keys") or []:
            found = call.api("GET", f"kv/{key['path']}")
            value = (
                base64.b64decode(found[0]["Value"] or "").decode() if found else None
            )
            keys.append({**key, "value": value if found else ""})
        var = {key["name"]: key["value"] for key in keys if key.get("name")}
        return {**state, "keys": keys, "var": var}

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        gone = {key["path"] for key in old.get("keys") or []}
        gone -= {key["path"] for key in new.get("keys") or []}
        for path in sorted(gone):
            call.api("DELETE", f"kv/{path}")
        self._put(call, new.get("keys") or [])

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        for key in state.get("keys") or []:
            if key.get("delete"):
                call.api("DELETE", f"kv/{key['path']}")


RESOURCES: dict[str, Handler] = {"consul:index/keys:Keys": Keys()}
FUNCTIONS: dict[str, Function] = {}


def connect(config: Props, environment: Mapping[str, str]) -> Caller:
    """Return the caller; CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN fill the gaps."""
    address = config.get("address") or environment.get(
        "CONSUL_HTTP_ADDR", DEFAULT_ADDRESS
    )
    token = config.get("token") or environment.get("CONSUL_HTTP_TOKEN", "")
    full = str(address)
    if config.get("scheme") and "://" not in full:
        full = f"{config['scheme']}://{full}"
    return Caller(HttpClient(full, "X-Consul-Token", str(token)))
