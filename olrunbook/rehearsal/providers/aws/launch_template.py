"""Launch templates: an update makes a new version and leaves the default alone."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from olrunbook.rehearsal.providers.aws.tags import ec2_tags, listed, tag_specification
from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler
from olrunbook.rehearsal.providers.values import Props, api, keep_form

PLAIN = (
    "blockDeviceMappings",
    "disableApiTermination",
    "ebsOptimized",
    "imageId",
    "instanceInitiatedShutdownBehavior",
    "instanceMarketOptions",
    "instanceType",
    "keyName",
    "metadataOptions",
    "monitoring",
    "userData",
)
DATA = {*PLAIN, "iamInstanceProfile", "tagSpecifications", "vpcSecurityGroupIds"}
READ_BACK = ("imageId", "instanceType", "keyName", "userData")


class LaunchTemplate(Handler):
    """`aws:ec2/launchTemplate:LaunchTemplate`."""

    inputs = (
        *DATA,
        "defaultVersion",
        "description",
        "name",
        "namePrefix",
        "tags",
        "updateDefaultVersion",
    )
    replace = ("name", "namePrefix")
    unordered = ("vpcSecurityGroupIds",)
    computed = ("arn", "latestVersion", "defaultVersion")
    autoname = AutoName(125)
    tagged = True

    @override
    def moving(self, changed: set[str]) -> tuple[str, ...]:
        if not changed & (DATA | {"description"}):
            return ()
        return ("latestVersion", "defaultVersion")

    def data(self, wanted: Props) -> Props:
        """Return the template's data as EC2 takes it."""
        data: Props = {
            name[:1].upper() + name[1:]: api(wanted[name])
            for name in PLAIN
            if wanted.get(name) is not None
        }
        if wanted.get("iamInstanceProfile"):
            data["IamInstanceProfile"] = api(wanted["iamInstanceProfile"])
        if wanted.get("vpcSecurityGroupIds"):
            data["SecurityGroupIds"] = wanted["vpcSecurityGroupIds"]
        if wanted.get("tagSpecifications"):
            data["TagSpecifications"] = [
                {"ResourceType": item["resourceType"], "Tags": listed(item.get("tags"))}
                for item in wanted["tagSpecifications"]
            ]
        return data

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        made = call.api("ec2").create_launch_template(
            LaunchTemplateName=wanted["name"],
            LaunchTemplateData=self.data(wanted),
            VersionDescription=wanted.get("description") or "",
            TagSpecifications=tag_specification(
                "launch-template", wanted.get("tagsAll")
            ),
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        ec2 = call.api("ec2")
        found = ec2.describe_launch_templates(LaunchTemplateIds=[ident])[
            "LaunchTemplates"
        ]
        if not found:
            return None
        latest = ec2.describe_launch_template_versions(
            LaunchTemplateId=ident, Versions=["$Latest"]
        )["LaunchTemplateVersions"][0]
        data: dict[str, Any] = latest["LaunchTemplateData"]
        seen = {
            name: keep_form(state.get(name), data.get(name[:1].upper() + name[1:]))
            for name in READ_BACK
        }
        seen["vpcSecurityGroupIds"] = keep_form(
            state.get("vpcSecurityGroupIds"),
            data.get("SecurityGroupIds"),
            unordered=True,
        )
        owner = found[0].get("CreatedBy", "").split(":")[4:5] or [""]
        return {
            **state,
            **seen,
            "name": found[0]["LaunchTemplateName"],
            "latestVersion": found[0]["LatestVersionNumber"],
            "defaultVersion": found[0]["DefaultVersionNumber"],
            "arn": f"arn:aws:ec2:{call.region}:{owner[0]}:launch-template/{ident}",
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        ec2 = call.api("ec2")
        default = new.get("defaultVersion")
        if changed & (DATA | {"description"}):
            made = ec2.create_launch_template_version(
                LaunchTemplateId=ident,
                LaunchTemplateData=self.data(new),
                VersionDescription=new.get("description") or "",
            )
            if new.get("updateDefaultVersion"):
                default = made["LaunchTemplateVersion"]["VersionNumber"]
        if default and (new.get("updateDefaultVersion") or "defaultVersion" in changed):
            ec2.modify_launch_template(
                LaunchTemplateId=ident, DefaultVersion=str(default)
            )
        if "tags" in changed:
            ec2_tags(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("ec2").delete_launch_template(LaunchTemplateId=ident)


RESOURCES: dict[str, Handler] = {
    "aws:ec2/launchTemplate:LaunchTemplate": LaunchTemplate()
}
