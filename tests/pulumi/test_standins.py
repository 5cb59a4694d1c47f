"""Vault's and Consul's stand-ins: tokens, names, and that they say what they are."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest

from olrunbook.rehearsal import standins
from olrunbook.rehearsal.providers import consul, vault
from olrunbook.rehearsal.providers.clients import HttpClient, on_loopback
from olrunbook.rehearsal.providers.handler import Caller

Addresses = tuple[str, str]
VAULT_TOKEN, CONSUL_TOKEN = "vault-token", "consul-token"


@pytest.fixture
def addresses() -> Iterator[Addresses]:
    """Return where the two answer."""
    servers = standins.start("127.0.0.1", 0, 0, VAULT_TOKEN, CONSUL_TOKEN)
    first, second = (
        f"http://127.0.0.1:{server.server_address[1]}" for server in servers
    )
    yield first, second
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(
    url: str, method: str = "GET", body: Any = None, **headers: str
) -> HTTPResponse:
    """Ask an address."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=5)  # noqa: S310
    return answer


def status(url: str, **headers: str) -> int:
    """Return the status an address answers with."""
    try:
        return ask(url, **headers).status
    except urllib.error.HTTPError as error:
        return error.code


def test_both_say_that_they_are_stand_ins(addresses: Addresses) -> None:
    """In a header of every answer, and in Vault's health."""
    health = ask(f"{addresses[0]}/v1/sys/health")

    assert standins.NOTE in str(health.headers[standins.HEADER])
    assert json.loads(health.read())["note"] == standins.NOTE
    leader = ask(f"{addresses[1]}/v1/status/leader")
    assert standins.NOTE in str(leader.headers[standins.HEADER])


def test_without_the_token_nothing_is_told(addresses: Addresses) -> None:
    """403 for no token, for a wrong one, and for the other service's."""
    vault_url, consul_url = f"{addresses[0]}/v1/sys/auth", f"{addresses[1]}/v1/kv/a"

    assert status(vault_url) == 403
    assert status(vault_url, **{"X-Vault-Token": CONSUL_TOKEN}) == 403
    assert status(consul_url) == 403
    assert status(vault_url, **{"X-Vault-Token": VAULT_TOKEN}) == 200


def test_they_listen_on_loopback_only() -> None:
    """Any other address is refused before a socket is made."""
    with pytest.raises(ValueError, match="loopback only"):
        standins.start("0.0.0.0", 0, 0, "a", "b")  # noqa: S104


def test_a_port_that_is_taken_leaves_nothing_open(addresses: Addresses) -> None:
    """The first server is closed again when the second cannot start."""
    taken = int(addresses[1].rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        standins.start("127.0.0.1", 0, taken, "a", "b")


def test_a_policy_is_read_back_and_deleted(addresses: Addresses) -> None:
    """What the stack wrote is what is there."""
    call = Caller(HttpClient(addresses[0], "X-Vault-Token", VAULT_TOKEN))
    handler = vault.RESOURCES["vault:index/policy:Policy"]
    wanted = {"name": "tika-server", "policy": 'path "a" {}'}

    ident = handler.create(call, wanted)
    assert handler.read(call, ident, {}) == wanted
    handler.delete(call, ident, wanted)
    assert handler.read(call, ident, wanted) is None


def test_a_bound_image_is_kept_and_shown(addresses: Addresses) -> None:
    """The role's images are read back, and changed by an update."""
    call = Caller(HttpClient(addresses[0], "X-Vault-Token", VAULT_TOKEN))
    handler = vault.RESOURCES["vault:aws/authBackendRole:AuthBackendRole"]
    old = {
        "role": "tika",
        "backend": "aws",
        "boundAmiIds": ["ami-1"],
        "authType": "iam",
    }
    new = {**old, "boundAmiIds": ["ami-2"]}

    ident = handler.create(call, old)
    handler.update(call, ident, old, new, {"boundAmiIds"})
    found = handler.read(call, ident, old)

    assert ident == "auth/aws/role/tika"
    assert found is not None
    assert found["boundAmiIds"] == ["ami-2"]
    assert found["roleId"]


def test_a_role_of_a_mount_that_is_not_there_is_refused(addresses: Addresses) -> None:
    """As Vault does: the auth method must be enabled first."""
    call = Caller(HttpClient(addresses[0], "X-Vault-Token", VAULT_TOKEN))
    role = vault.RESOURCES["vault:aws/authBackendRole:AuthBackendRole"]
    mount = vault.RESOURCES["vault:index/authBackend:AuthBackend"]
    wanted = {"role": "tika", "backend": "aws-qa"}

    assert call.api("POST", "auth/aws-qa/role/tika", {}) is None
    mount.create(call, {"type": "aws", "path": "aws-qa"})
    assert role.read(call, role.create(call, wanted), wanted) is not None


def test_each_name_is_a_server_of_its_own(addresses: Addresses) -> None:
    """Three stages have three Vaults, at one address."""
    one, two = (
        HttpClient(f"{addresses[0]}/{name}", "X-Vault-Token", VAULT_TOKEN)
        for name in ("ci", "qa")
    )
    one("PUT", "sys/policies/acl/a", {"policy": "x"})

    assert one("GET", "sys/policies/acl/a")["data"]["policy"] == "x"
    assert two("GET", "sys/policies/acl/a") is None


def test_keys_are_put_changed_and_removed(addresses: Addresses) -> None:
    """A key the program drops is deleted; drift is seen."""
    call = Caller(HttpClient(addresses[1], "X-Consul-Token", CONSUL_TOKEN))
    handler = consul.RESOURCES["consul:index/keys:Keys"]
    old = {"keys": [{"path": "a/b", "value": "1", "delete": True}]}
    new = {"keys": [{"path": "a/c", "value": "2", "delete": True}]}

    ident = handler.create(call, old)
    assert handler.read(call, ident, old) == {**old, "var": {}}
    handler.update(call, ident, old, new, {"keys"})
    assert call.api("GET", "kv/a/b") is None
    call.api("PUT", "kv/a/c", "changed by hand")
    drifted = handler.read(call, ident, new)
    assert drifted is not None
    assert drifted["keys"][0]["value"] == "changed by hand"
    handler.delete(call, ident, new)
    assert call.api("GET", "kv/a/c") is None


@pytest.mark.parametrize(
    "url", ["https://vault-ci.odl.mit.edu", "http://10.0.0.1:8200", "", "http://[::2]"]
)
def test_a_stand_in_provider_never_leaves_this_machine(url: str) -> None:
    """A production address in a stack file is an error, not a request."""
    with pytest.raises(PermissionError, match="this machine only"):
        on_loopback(url)
