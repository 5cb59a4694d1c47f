"""The stand-in `vault` provider: policies, auth mounts, AWS auth roles, mounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from olrunbook.rehearsal.providers.clients import HttpClient
from olrunbook.rehearsal.providers.handler import Caller, Function, Handler
from olrunbook.rehearsal.providers.values import Props, keep_form

DEFAULT_ADDRESS = "http://127.0.0.1:8200"


class Policy(Handler):
    """`vault:index/policy:Policy`."""

    inputs = ("name", "policy")
    replace = ("name",)

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        self.update(call, wanted["name"], {}, wanted, set())
        return str(wanted["name"])

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = call.api("GET", f"sys/policies/acl/{ident}")
        if found is None:
            return None
        return {**state, "name": ident, "policy": found["data"]["policy"]}

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        call.api("PUT", f"sys/policies/acl/{ident}", {"policy": new["policy"]})

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("DELETE", f"sys/policies/acl/{ident}")


FIELDS = {
    "authType": "auth_type",
    "boundAccountIds": "bound_account_id",
    "boundAmiIds": "bound_ami_id",
    "boundIamInstanceProfileArns": "bound_iam_instance_profile_arn",
    "boundIamPrincipalArns": "bound_iam_principal_arn",
    "boundIamRoleArns": "bound_iam_role_arn",
    "boundRegions": "bound_region",
    "boundSubnetIds": "bound_subnet_id",
    "boundVpcIds": "bound_vpc_id",
    "inferredAwsRegion": "inferred_aws_region",
    "inferredEntityType": "inferred_entity_type",
    "resolveAwsUniqueIds": "resolve_aws_unique_ids",
    "tokenMaxTtl": "token_max_ttl",
    "tokenPeriod": "token_period",
    "tokenPolicies": "token_policies",
    "tokenTtl": "token_ttl",
}


class AuthBackendRole(Handler):
    """`vault:aws/authBackendRole:AuthBackendRole`."""

    inputs = (*FIELDS, "backend", "role")
    replace = ("authType", "backend", "role")
    unordered = tuple(name for name in FIELDS if name.endswith("s"))
    computed = ("roleId",)

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        mount = str(wanted.get("backend") or "aws").strip("/")
        ident = f"auth/{mount}/role/{wanted['role']}"
        self.update(call, ident, {}, wanted, set())
        return ident

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = call.api("GET", ident)
        if found is None:
            return None
        data: dict[str, Any] = found["data"]
        seen = {
            name: keep_form(state.get(name), data.get(field), unordered=True)
            for name, field in FIELDS.items()
            if name in state
        }
        return {**state, **seen, "roleId": data.get("role_id", "")}

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        wanted = {
            FIELDS[name]: new[name] for name in FIELDS if new.get(name) is not None
        }
        call.api("POST", ident, wanted)

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("DELETE", ident)


class Mounted(Handler):
    """`vault:index/authBackend:AuthBackend` and `vault:index/mount:Mount`.

    Args:
        base: Where the API keeps these mounts.

    """

    inputs = ("description", "path", "type")
    replace = ("path", "type")
    computed = ("accessor", "path")

    def __init__(self, base: str) -> None:
        self.base = base

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        path = str(wanted.get("path") or wanted["type"]).strip("/")
        body = {"type": wanted["type"], "description": wanted.get("description") or ""}
        call.api("POST", f"{self.base}/{path}", body)
        return path

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = (call.api("GET", self.base) or {}).get("data", {}).get(f"{ident}/")
        if found is None:
            return None
        return {**state, "path": ident, "accessor": found["accessor"]}

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        body = {"description": new.get("description") or ""}
        call.api("POST", f"{self.base}/{ident}/tune", body)

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("DELETE", f"{self.base}/{ident}")


RESOURCES: dict[str, Handler] = {
    "vault:index/policy:Policy": Policy(),
    "vault:aws/authBackendRole:AuthBackendRole": AuthBackendRole(),
    "vault:index/authBackend:AuthBackend": Mounted("sys/auth"),
    "vault:index/mount:Mount": Mounted("sys/mounts"),
}
FUNCTIONS: dict[str, Function] = {}


def connect(config: Props, environment: Mapping[str, str]) -> Caller:
    """Return the caller; VAULT_ADDR and VAULT_TOKEN fill the gaps."""
    address = config.get("address") or environment.get("VAULT_ADDR", DEFAULT_ADDRESS)
    token = config.get("token") or environment.get("VAULT_TOKEN", "")
    return Caller(HttpClient(str(address), "X-Vault-Token", str(token)))
