"""Roles, policies, attachments and instance profiles."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

from typing_extensions import override

from olrunbook.rehearsal.providers.aws.tags import listed, seen_tags
from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler
from olrunbook.rehearsal.providers.values import Props, keep_form


def document(recorded: Any, actual: Any) -> Any:
    """Return the recorded policy document if it says the same as the actual one."""
    try:
        if isinstance(actual, str):
            actual = json.loads(urllib.parse.unquote(actual))
        if json.loads(recorded) == actual:
            return recorded
    except (TypeError, ValueError):
        pass
    return json.dumps(actual, sort_keys=True)


def _retag(call: Caller, kind: str, who: Props, old: Props, new: Props) -> None:
    iam = call.api("iam")
    tags = new.get("tagsAll") or {}
    if gone := sorted(set(old.get("tags") or {}) - set(tags)):
        getattr(iam, f"untag_{kind}")(**who, TagKeys=gone)
    if tags:
        getattr(iam, f"tag_{kind}")(**who, Tags=listed(tags))


class Role(Handler):
    """`aws:iam/role:Role`."""

    inputs = (
        "assumeRolePolicy",
        "description",
        "forceDetachPolicies",
        "maxSessionDuration",
        "name",
        "namePrefix",
        "path",
        "tags",
    )
    replace = ("name", "namePrefix", "path")
    computed = ("arn", "createDate", "uniqueId")
    autoname = AutoName(64)
    tagged = True

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        call.api("iam").create_role(
            RoleName=wanted["name"],
            AssumeRolePolicyDocument=wanted["assumeRolePolicy"],
            Path=wanted.get("path") or "/",
            Description=wanted.get("description") or "",
            MaxSessionDuration=int(wanted.get("maxSessionDuration") or 3600),
            Tags=listed(wanted.get("tagsAll")),
        )
        return str(wanted["name"])

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        role = call.api("iam").get_role(RoleName=ident)["Role"]
        return {
            **state,
            "assumeRolePolicy": document(
                state.get("assumeRolePolicy"), role.get("AssumeRolePolicyDocument")
            ),
            "tags": seen_tags(call, state, role.get("Tags")),
            "name": ident,
            "arn": role["Arn"],
            "uniqueId": role["RoleId"],
            "createDate": role["CreateDate"].isoformat(),
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        iam = call.api("iam")
        if "assumeRolePolicy" in changed:
            iam.update_assume_role_policy(
                RoleName=ident, PolicyDocument=new["assumeRolePolicy"]
            )
        if changed & {"description", "maxSessionDuration"}:
            iam.update_role(
                RoleName=ident,
                Description=new.get("description") or "",
                MaxSessionDuration=int(new.get("maxSessionDuration") or 3600),
            )
        if "tags" in changed:
            _retag(call, "role", {"RoleName": ident}, old, new)

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        iam = call.api("iam")
        if state.get("forceDetachPolicies"):
            found = iam.list_attached_role_policies(RoleName=ident)
            for policy in found["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=ident, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=ident)


class Policy(Handler):
    """`aws:iam/policy:Policy`; an update makes a new default version."""

    inputs = ("description", "name", "namePrefix", "path", "policy", "tags")
    replace = ("description", "name", "namePrefix", "path")
    computed = ("arn", "policyId")
    autoname = AutoName(128)
    tagged = True

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        made = call.api("iam").create_policy(
            PolicyName=wanted["name"],
            PolicyDocument=wanted["policy"],
            Path=wanted.get("path") or "/",
            Description=wanted.get("description") or "",
            Tags=listed(wanted.get("tagsAll")),
        )
        return str(made["Policy"]["Arn"])

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        iam = call.api("iam")
        policy = iam.get_policy(PolicyArn=ident)["Policy"]
        version = iam.get_policy_version(
            PolicyArn=ident, VersionId=policy["DefaultVersionId"]
        )["PolicyVersion"]
        return {
            **state,
            "policy": document(state.get("policy"), version["Document"]),
            "tags": seen_tags(call, state, policy.get("Tags")),
            "arn": ident,
            "name": policy["PolicyName"],
            "policyId": policy["PolicyId"],
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        iam = call.api("iam")
        if "policy" in changed:
            _drop_versions(iam, ident)
            iam.create_policy_version(
                PolicyArn=ident, PolicyDocument=new["policy"], SetAsDefault=True
            )
        if "tags" in changed:
            _retag(call, "policy", {"PolicyArn": ident}, old, new)

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        _drop_versions(call.api("iam"), ident)
        call.api("iam").delete_policy(PolicyArn=ident)


def _drop_versions(iam: Any, arn: str) -> None:
    """Remove the versions that are not in force; AWS keeps five at most."""
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])


class RolePolicyAttachment(Handler):
    """`aws:iam/rolePolicyAttachment:RolePolicyAttachment`."""

    inputs = ("policyArn", "role")
    replace = ("policyArn", "role")

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        call.api("iam").attach_role_policy(
            RoleName=wanted["role"], PolicyArn=wanted["policyArn"]
        )
        return f"{wanted['role']}/{wanted['policyArn']}"

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = call.api("iam").list_attached_role_policies(RoleName=state["role"])
        attached = {policy["PolicyArn"] for policy in found["AttachedPolicies"]}
        return dict(state) if state["policyArn"] in attached else None

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("iam").detach_role_policy(
            RoleName=state["role"], PolicyArn=state["policyArn"]
        )


class InstanceProfile(Handler):
    """`aws:iam/instanceProfile:InstanceProfile`."""

    inputs = ("name", "namePrefix", "path", "role", "tags")
    replace = ("name", "namePrefix", "path")
    computed = ("arn", "createDate", "uniqueId")
    autoname = AutoName(128)
    tagged = True

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        call.api("iam").create_instance_profile(
            InstanceProfileName=wanted["name"],
            Path=wanted.get("path") or "/",
            Tags=listed(wanted.get("tagsAll")),
        )
        return str(wanted["name"])

    @override
    def complete(self, call: Caller, ident: str, wanted: Props) -> None:
        if wanted.get("role"):
            call.api("iam").add_role_to_instance_profile(
                InstanceProfileName=ident, RoleName=wanted["role"]
            )

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = call.api("iam").get_instance_profile(InstanceProfileName=ident)
        profile = found["InstanceProfile"]
        roles = [role["RoleName"] for role in profile.get("Roles", [])]
        return {
            **state,
            "role": keep_form(state.get("role"), roles[0] if roles else None),
            "tags": seen_tags(call, state, profile.get("Tags")),
            "name": ident,
            "arn": profile["Arn"],
            "uniqueId": profile["InstanceProfileId"],
            "createDate": profile["CreateDate"].isoformat(),
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        if "role" in changed:
            if old.get("role"):
                call.api("iam").remove_role_from_instance_profile(
                    InstanceProfileName=ident, RoleName=old["role"]
                )
            self.complete(call, ident, new)
        if "tags" in changed:
            who = {"InstanceProfileName": ident}
            _retag(call, "instance_profile", who, old, new)

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        iam = call.api("iam")
        found = iam.get_instance_profile(InstanceProfileName=ident)["InstanceProfile"]
        for role in found.get("Roles", []):
            iam.remove_role_from_instance_profile(
                InstanceProfileName=ident, RoleName=role["RoleName"]
            )
        iam.delete_instance_profile(InstanceProfileName=ident)


RESOURCES: dict[str, Handler] = {
    "aws:iam/role:Role": Role(),
    "aws:iam/policy:Policy": Policy(),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": RolePolicyAttachment(),
    "aws:iam/instanceProfile:InstanceProfile": InstanceProfile(),
}
