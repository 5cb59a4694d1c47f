"""Auto Scaling groups, with the real provider's rules for starting a refresh."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from olrunbook.rehearsal.providers.aws.refresh import (
    start_refresh,
    wait_for_capacity,
    wait_until_gone,
)
from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler, is_gone
from olrunbook.rehearsal.providers.values import Props, api, keep_form

NAME = "AutoScalingGroupName"
DEFAULT_GRACE_S = 300  # the real provider's default, not the API's
SCALARS = {
    "capacityRebalance": "CapacityRebalance",
    "defaultCooldown": "DefaultCooldown",
    "defaultInstanceWarmup": "DefaultInstanceWarmup",
    "desiredCapacity": "DesiredCapacity",
    "healthCheckGracePeriod": "HealthCheckGracePeriod",
    "healthCheckType": "HealthCheckType",
    "maxInstanceLifetime": "MaxInstanceLifetime",
    "maxSize": "MaxSize",
    "minSize": "MinSize",
    "protectFromScaleIn": "NewInstancesProtectedFromScaleIn",
}
# What starts a refresh whatever the triggers say. `$Latest` never changes, so a new
# version of the template alone starts none.
ALWAYS = {"launchTemplate", "launchConfiguration", "mixedInstancesPolicy"}


class Group(Handler):
    """`aws:autoscaling/group:Group` with a launch template."""

    inputs = (
        *SCALARS,
        "forceDelete",
        "instanceRefresh",
        "launchTemplate",
        "metricsGranularity",
        "minElbCapacity",
        "name",
        "namePrefix",
        "tags",
        "targetGroupArns",
        "vpcZoneIdentifiers",
        "waitForCapacityTimeout",
    )
    replace = ("name", "namePrefix")
    unordered = ("tags", "targetGroupArns", "vpcZoneIdentifiers")
    computed = ("arn", "availabilityZones", "desiredCapacity", "defaultCooldown")
    autoname = AutoName(255)

    def arguments(self, wanted: Props) -> Props:
        """Return what creation and update have in common."""
        args = {SCALARS[key]: api(wanted[key]) for key in SCALARS if key in wanted}
        args.setdefault("HealthCheckGracePeriod", DEFAULT_GRACE_S)
        args["VPCZoneIdentifier"] = ",".join(wanted.get("vpcZoneIdentifiers") or [])
        if template := wanted.get("launchTemplate"):
            which = "LaunchTemplateId" if template.get("id") else "LaunchTemplateName"
            args["LaunchTemplate"] = {
                which: template.get("id") or template["name"],
                "Version": str(template.get("version") or "$Default"),
            }
        return {key: value for key, value in args.items() if value is not None}

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        name = str(wanted["name"])
        call.api("autoscaling").create_auto_scaling_group(
            **{NAME: name},
            Tags=_tags(name, wanted.get("tags")),
            TargetGroupARNs=wanted.get("targetGroupArns") or [],
            **self.arguments(wanted),
        )
        return name

    @override
    def complete(self, call: Caller, ident: str, wanted: Props) -> None:
        """Wait until the group has launched its instances, as the real one does."""
        wait_for_capacity(call, ident, wanted)

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = call.api("autoscaling").describe_auto_scaling_groups(
            AutoScalingGroupNames=[ident]
        )["AutoScalingGroups"]
        if not found:
            return None
        group = found[0]
        seen = {
            key: keep_form(state.get(key), group.get(name))
            for key, name in SCALARS.items()
            if key in state or key == "desiredCapacity"
        }
        seen["tags"] = keep_form(
            state.get("tags"),
            [
                {
                    "key": tag["Key"],
                    "value": tag["Value"],
                    "propagateAtLaunch": tag["PropagateAtLaunch"],
                }
                for tag in group.get("Tags", [])
            ],
            unordered=True,
        )
        zones = [zone for zone in group.get("VPCZoneIdentifier", "").split(",") if zone]
        for key, actual in (
            ("vpcZoneIdentifiers", zones),
            ("targetGroupArns", group.get("TargetGroupARNs")),
        ):
            seen[key] = keep_form(state.get(key), actual, unordered=True)
        if template := group.get("LaunchTemplate"):
            seen["launchTemplate"] = _template(state.get("launchTemplate"), template)
        return {
            **state,
            **seen,
            "name": ident,
            "arn": group["AutoScalingGroupARN"],
            "availabilityZones": sorted(group["AvailabilityZones"]),
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        scaling = call.api("autoscaling")
        if changed - {"instanceRefresh", "tags", "targetGroupArns", "forceDelete"}:
            scaling.update_auto_scaling_group(**{NAME: ident}, **self.arguments(new))
        if "tags" in changed:
            gone = {tag["key"] for tag in old.get("tags") or []}
            gone -= {tag["key"] for tag in new.get("tags") or []}
            if gone:
                scaling.delete_tags(
                    Tags=[{**_of_group(ident), "Key": key} for key in sorted(gone)]
                )
            if new.get("tags"):
                scaling.create_or_update_tags(Tags=_tags(ident, new["tags"]))
        if "targetGroupArns" in changed:
            have = set(old.get("targetGroupArns") or [])
            want = set(new.get("targetGroupArns") or [])
            if have - want:
                scaling.detach_load_balancer_target_groups(
                    **{NAME: ident}, TargetGroupARNs=sorted(have - want)
                )
            if want - have:
                scaling.attach_load_balancer_target_groups(
                    **{NAME: ident}, TargetGroupARNs=sorted(want - have)
                )
        refresh = new.get("instanceRefresh")
        if refresh and changed & (ALWAYS | triggers(refresh)):
            start_refresh(
                call, ident, refresh, self.arguments(new).get("LaunchTemplate")
            )
        if changed & {"minSize", "desiredCapacity"}:
            wait_for_capacity(call, ident, new)

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        scaling = call.api("autoscaling")
        try:
            scaling.update_auto_scaling_group(
                **{NAME: ident}, MinSize=0, MaxSize=0, DesiredCapacity=0
            )
        except scaling.exceptions.ClientError as error:
            if is_gone(error):
                return
            raise
        scaling.delete_auto_scaling_group(**{NAME: ident}, ForceDelete=True)
        wait_until_gone(call, ident)


def triggers(refresh: Props) -> set[str]:
    """Return the properties that start a refresh beside the ones that always do.

    `tag` is the name the provider has known since version 5; `tags` is nobody's.
    """
    names = {"tag": "tags", "tags": ""}
    return {names.get(name, _camel(name)) for name in refresh.get("triggers") or []}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _of_group(name: str) -> dict[str, str]:
    return {"ResourceId": name, "ResourceType": "auto-scaling-group"}


def _tags(name: str, tags: list[Props] | None) -> list[dict[str, Any]]:
    return [
        {
            **_of_group(name),
            "Key": tag["key"],
            "Value": tag["value"],
            "PropagateAtLaunch": tag.get("propagateAtLaunch") in (True, "true"),
        }
        for tag in tags or []
    ]


def _template(recorded: Props | None, actual: dict[str, str]) -> Props:
    """Return the template a group launches from, in the recorded form where equal."""
    recorded = recorded or {}
    if actual.get("LaunchTemplateId") == recorded.get("id") or (
        actual.get("LaunchTemplateName") == recorded.get("name")
    ):
        wanted = str(recorded.get("version") or "$Default")
        if wanted == str(actual.get("Version")):
            return recorded
        if wanted.startswith("$") and not str(actual.get("Version")).startswith("$"):
            return recorded  # some APIs answer with the number the name stands for
    return {"id": actual.get("LaunchTemplateId"), "version": str(actual.get("Version"))}


RESOURCES: dict[str, Handler] = {"aws:autoscaling/group:Group": Group()}
