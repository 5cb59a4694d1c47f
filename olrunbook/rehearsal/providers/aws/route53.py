"""DNS records."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from olrunbook.rehearsal.providers.handler import Caller, Handler
from olrunbook.rehearsal.providers.values import Props, keep_form


def _name(name: str) -> str:
    return name.rstrip(".").lower()


class Record(Handler):
    """`aws:route53/record:Record`, simple routing with values or an alias."""

    inputs = ("aliases", "allowOverwrite", "name", "records", "ttl", "type", "zoneId")
    replace = ("name", "type", "zoneId")
    unordered = ("records",)
    computed = ("fqdn",)

    def _change(self, call: Caller, action: str, wanted: Props) -> None:
        entry: dict[str, Any] = {"Name": wanted["name"], "Type": wanted["type"]}
        if wanted.get("aliases"):
            alias = wanted["aliases"][0]
            entry["AliasTarget"] = {
                "HostedZoneId": alias["zoneId"],
                "DNSName": alias["name"],
                "EvaluateTargetHealth": bool(alias.get("evaluateTargetHealth")),
            }
        else:
            entry["TTL"] = int(wanted["ttl"])
            entry["ResourceRecords"] = [{"Value": item} for item in wanted["records"]]
        call.api("route53").change_resource_record_sets(
            HostedZoneId=wanted["zoneId"],
            ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": entry}]},
        )

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        self._change(
            call, "UPSERT" if wanted.get("allowOverwrite") else "CREATE", wanted
        )
        return f"{wanted['zoneId']}_{wanted['name']}_{wanted['type']}"

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        pages = call.api("route53").get_paginator("list_resource_record_sets")
        for page in pages.paginate(HostedZoneId=state["zoneId"]):
            for entry in page["ResourceRecordSets"]:
                if (_name(entry["Name"]), entry["Type"]) == (
                    _name(state["name"]),
                    state["type"],
                ):
                    return self._seen(entry, state)
        return None

    def _seen(self, entry: dict[str, Any], state: Props) -> Props:
        seen: Props = {"fqdn": _name(state["name"])}
        if state.get("records") is not None:
            actual = [item["Value"] for item in entry.get("ResourceRecords", [])]
            recorded = state["records"]
            if sorted(map(_name, actual)) == sorted(map(_name, recorded)):
                actual = recorded
            seen["records"] = actual
            seen["ttl"] = keep_form(state.get("ttl"), entry.get("TTL"))
        return {**state, **seen}

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        self._change(call, "UPSERT", new)

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        self._change(call, "DELETE", state)


RESOURCES: dict[str, Handler] = {"aws:route53/record:Record": Record()}
