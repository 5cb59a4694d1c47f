"""Typed reads of an AWS account: who we are, what serves, what a refresh is doing.

Nothing here changes anything. A group's physical name carries a random suffix, so
groups are found by their tag `Name`; two of the same name are an error, because nobody
could say which one serves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

from olrunbook.adapters.aws.answers import (
    asked,
    health_of,
    instance_seen,
    refresh_seen,
    status_of,
    tags_of,
    template_of,
    utc,
)
from olrunbook.adapters.aws.seen import (
    ActivitySeen,
    GroupSeen,
    ImageSeen,
    RefreshSeen,
    TemplateSeen,
)
from olrunbook.adapters.context import Context
from olrunbook.errors import RefusedError, ToolError, UsageError
from olrunbook.project.catalog import App
from olrunbook.project.stack import BY_NAME, called, group_key
from olrunbook.targets import Target

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

T = TypeVar("T")
CHUNK = 100  # ids in one request
BALANCED = 20  # load balancers and target groups in one request
LAUNCHED = ("instance", "volume", "network-interface")  # a group makes them
DEFAULT_PORTS = {"HTTPS": 443, "HTTP": 80}


def require_identity(ctx: Context) -> str:
    """Return who we are; RefusedError where that is not the target's own identity."""
    if wrong := Account(ctx.target).wrong_identity():
        hint = "Look at the profile and the role of the target in catalog.toml."
        if ctx.target.kind == "rehearsal":
            hint = "Credentials of another account are in use. Reset the rehearsal."
        raise RefusedError(wrong, hint)
    return ctx.target.identity_arn


def as_ourselves(ctx: Context, change: Callable[[], T]) -> Callable[[], T]:
    """Return a change before which AWS says who we are, where there is a target."""

    def work() -> T:
        if ctx.place:
            require_identity(ctx)
        return change()

    return work


def images_exist(ctx: Context, images: Mapping[str, str]) -> dict[str, ImageSeen]:
    """Return what is seen of each image of a set; an empty state: there is none."""
    found = Account(ctx.target).images(list(images.values()))
    return {node: found[image] for node, image in images.items()}


def unseen(app: App, stage: str) -> list[GroupSeen]:
    """Return an app's groups in a stage as if none were there; UsageError: no stack."""
    if app.stack is None:
        msg = f"{app.title} has no stack in the catalog: nothing of it is deployed"
        raise UsageError(msg)
    return [
        GroupSeen(node_type=node, tag_name=tag, alone=len(app.stack.groups[node]) == 1)
        for node, tag in app.stack.group_tags(stage)
    ]


def _chunks(ids: list[str], most: int = CHUNK) -> Iterator[list[str]]:
    return (ids[at : at + most] for at in range(0, len(ids), most))


def _key(group: AutoScalingGroupTypeDef, names: Collection[str]) -> str:
    return group_key(tags_of(group), group["AutoScalingGroupName"], names)


class Account:
    """Reads an account; keep it while polling.

    It counts its calls, and does not ask again for what does not change.
    """

    def __init__(self, target: Target) -> None:
        self.calls = 0
        self.target = target  # new credentials of the same one may take its place
        self._known: dict[str, InstanceTypeDef] = {}
        self._templates: dict[str, tuple[str, str]] = {}

    def _ask(self, call: Callable[..., Any], **wanted: object) -> Any:
        """Return the answer of a call, and count it."""
        self.calls += 1
        return call(**wanted)

    def _every(
        self, call: Callable[..., Any], key: str, **wanted: object
    ) -> Iterator[Any]:
        """Yield what a call lists, page by page."""
        while True:
            page = self._ask(call, **wanted)
            yield from page[key]
            if not page.get("NextToken"):
                return
            wanted["NextToken"] = page["NextToken"]

    def wrong_identity(self) -> str:
        """Return that GetCallerIdentity answers another; empty: the target's."""
        with asked("who we are"):
            found = self.target.client("sts").get_caller_identity()
        return self.target.wrong(found)

    def groups(self, app: App, stage: str) -> list[GroupSeen]:
        """Return the app's groups in a stage, in the catalog's order."""
        return [group for group, _ in self.observe(app, stage)]

    def observe(
        self, app: App, stage: str
    ) -> list[tuple[GroupSeen, list[RefreshSeen]]]:
        """Return the app's groups in a stage, each with its refreshes, newest first.

        Raises:
            UsageError: The app has no stack.
            ToolError: A tag `Name` belongs to two groups, or the API does not answer.

        """
        none = unseen(app, stage)
        names = sorted(group.tag_name for group in none)
        tagged = {"Filters": [{"Name": "tag:Name", "Values": names}]}
        # AWS cannot be asked for the beginning of a name.
        every = any(name.startswith(BY_NAME) for name in names)
        with asked(f"the groups of {stage}"):
            found = self._described(**({} if every else tagged))
        found = [g for g in found if _key(g, names)]
        raw = [group for group in found if not group.get("Status")]  # being deleted
        machines = self._machines(raw)
        checked = self._statuses(raw)
        return [self._group(group, raw, machines, checked) for group in none]

    def _described(self, **wanted: object) -> list[AutoScalingGroupTypeDef]:
        call = self.target.client("autoscaling").describe_auto_scaling_groups
        found = list(self._every(call, "AutoScalingGroups", **wanted))
        self._templates |= {g["AutoScalingGroupName"]: template_of(g) for g in found}
        return found

    def _group(
        self,
        none: GroupSeen,
        raw: Sequence[AutoScalingGroupTypeDef],
        machines: Mapping[str, InstanceTypeDef],
        checked: Mapping[str, tuple[str, str]],
    ) -> tuple[GroupSeen, list[RefreshSeen]]:
        """Return a group of a tag `Name` as it is, in place of what names it."""
        tag = none.tag_name
        found = [group for group in raw if _key(group, [tag])]
        if not found:
            return none, []
        if len(found) > 1:
            names = ", ".join(sorted(group["AutoScalingGroupName"] for group in found))
            msg = f"{len(found)} Auto Scaling groups are {called(tag)}: {names}"
            raise ToolError(msg, "Delete the one that no stack owns, then try again.")
        (group,) = found
        refreshes = self.refreshes(group["AutoScalingGroupName"])
        balanced = group.get("TargetGroupARNs", [])
        health = self._target_health(balanced) if balanced else [checked]
        instances = [
            instance_seen(item, machines.get(item["InstanceId"], {}), health)
            for item in group["Instances"]
        ]
        seen = {
            "name": group["AutoScalingGroupName"],
            "desired": group["DesiredCapacity"],
            "created_at": utc(group.get("CreatedTime")),
            "refresh_ids": [refresh.id for refresh in refreshes],
            "instances": sorted(instances, key=lambda item: item.id),
        }
        return none.model_copy(update=seen), refreshes

    def _machines(
        self, groups: Sequence[AutoScalingGroupTypeDef]
    ) -> dict[str, InstanceTypeDef]:
        """Return what EC2 says of the groups' instances, by id.

        Asked by filter: an id that vanished a moment ago is left out, not an error.
        Asked once: image and launch of an instance do not change.
        """
        every = {item["InstanceId"] for group in groups for item in group["Instances"]}
        ids = sorted(every - set(self._known))
        call = self.target.client("ec2").describe_instances
        with asked("the instances"):
            for some in _chunks(ids):
                wanted = [{"Name": "instance-id", "Values": some}]
                for more in self._every(call, "Reservations", Filters=wanted):
                    self._known |= {one["InstanceId"]: one for one in more["Instances"]}
        return self._known

    def _target_health(self, arns: Sequence[str]) -> list[dict[str, tuple[str, str]]]:
        """Return instance to state and reason for each target group."""
        with asked("the health of the targets"):
            call = self.target.client("elbv2").describe_target_health
            answers = [self._ask(call, TargetGroupArn=arn) for arn in arns]
        return [
            {
                target["Target"]["Id"]: health_of(target["TargetHealth"])
                for target in answer["TargetHealthDescriptions"]
            }
            for answer in answers
        ]

    def _statuses(
        self, groups: Sequence[AutoScalingGroupTypeDef]
    ) -> dict[str, tuple[str, str]]:
        """Return what EC2's status checks say of instances without a balancer."""
        ids = sorted(
            item["InstanceId"]
            for group in groups
            if not group.get("TargetGroupARNs")
            for item in group["Instances"]
        )
        found = dict.fromkeys(ids, ("status initializing", ""))
        call = self.target.client("ec2").describe_instance_status
        with asked("the status of the instances"):
            for some in _chunks(ids):
                for one in self._every(call, "InstanceStatuses", InstanceIds=some):
                    found[one["InstanceId"]] = status_of(one)
        return found

    def console(self, instance: str) -> str:
        """Return what an instance wrote on its console; empty: nothing is kept."""
        ec2 = self.target.client("ec2")
        call = ec2.get_console_output
        with asked(f"the console of {instance}"):
            try:
                answer = self._ask(call, InstanceId=instance, Latest=True)
            except ec2.exceptions.ClientError as error:
                # Only newer types of instances can say what they wrote just now.
                if error.response["Error"]["Code"] != "UnsupportedOperation":
                    raise
                answer = self._ask(call, InstanceId=instance)
        return str(answer.get("Output", ""))

    def refreshes(self, group: str) -> list[RefreshSeen]:
        """Return all instance refreshes of a group, the one that began last first."""
        with asked(f"the refreshes of {group}"):
            call = self.target.client("autoscaling").describe_instance_refreshes
            raw = self._every(call, "InstanceRefreshes", AutoScalingGroupName=group)
            found = [refresh_seen(item) for item in raw]
        never = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda item: item.started_at or never, reverse=True)

    def activities(self, group: str, since: datetime) -> list[ActivitySeen]:
        """Return what a group did since a moment, newest first."""
        with asked(f"the scaling activities of {group}"):
            call = self.target.client("autoscaling").describe_scaling_activities
            every = self._every(call, "Activities", AutoScalingGroupName=group)
            # They come newest first, and reach back for weeks.
            recent = takewhile(lambda item: item["StartTime"] >= since, every)
            return [
                ActivitySeen(
                    at=item["StartTime"].astimezone(UTC),
                    status=item["StatusCode"],
                    description=item.get("Description", ""),
                    cause=item.get("Cause", ""),
                    message=item.get("StatusMessage", ""),
                )
                for item in recent
            ]

    def url(self, groups: Sequence[GroupSeen]) -> str:
        """Return where the groups' load balancer answers; empty: nowhere yet."""
        names = [group.name for group in groups if group.name]
        if not names:
            return ""
        with asked("the load balancer"):
            for group in self._described(AutoScalingGroupNames=names):
                for arn in group.get("TargetGroupARNs", []):
                    if url := self._balancer_url(arn):
                        return url
        return ""

    def _balancer_url(self, target_group: str) -> str:
        elb = self.target.client("elbv2")
        found = elb.describe_target_groups(TargetGroupArns=[target_group])
        for arn in found["TargetGroups"][0].get("LoadBalancerArns", []):
            balancers = elb.describe_load_balancers(LoadBalancerArns=[arn])
            listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
            host = balancers["LoadBalancers"][0]["DNSName"]
            by_scheme: dict[str, int] = {i["Protocol"]: i["Port"] for i in listeners}
            for scheme, default in DEFAULT_PORTS.items():  # HTTPS before HTTP
                if scheme in by_scheme:
                    port = by_scheme[scheme]
                    suffix = "" if port == default else f":{port}"
                    return f"{scheme.lower()}://{host}{suffix}"
        return ""

    def tags(self, group: str) -> dict[str, str]:
        """Return the tags of a group as they are now."""
        wanted = [{"Name": "auto-scaling-group", "Values": [group]}]
        with asked(f"the tags of {group}"):
            call = self.target.client("autoscaling").describe_tags
            found = list(self._every(call, "Tags", Filters=wanted))
        return tags_of({"Tags": found})

    def tagged(self, names: Sequence[str]) -> dict[str, str]:
        """Return id (of balancers the ARN) to kind of what has such a tag `Name`.

        Groups, load balancers, target groups, launch templates, security groups; not
        what a group launches, and nothing of IAM.
        """
        key = {"Name": "key", "Values": ["Name"]}
        wanted = [key, {"Name": "value", "Values": list(names)}]
        elb, ec2 = self.target.client("elbv2"), self.target.client("ec2")
        asg = self.target.client("autoscaling")
        with asked(f"what is tagged Name={', '.join(names)}"):
            tags = self._every(ec2.describe_tags, "Tags", Filters=wanted)
            kinds = {tag["ResourceId"]: tag["ResourceType"] for tag in tags}
            found = {one: kind for one, kind in kinds.items() if kind not in LAUNCHED}
            for tag in self._every(asg.describe_tags, "Tags", Filters=wanted):
                found[tag["ResourceId"]] = "auto-scaling-group"
            balancers = elb.get_paginator("describe_load_balancers").paginate()
            behind = elb.get_paginator("describe_target_groups").paginate()
            arns = balancers.search("LoadBalancers[].LoadBalancerArn")
            kinds = dict.fromkeys(arns, "load-balancer")
            arns = behind.search("TargetGroups[].TargetGroupArn")
            kinds |= dict.fromkeys(arns, "target-group")
            for some in _chunks(list(kinds), BALANCED):
                for item in elb.describe_tags(ResourceArns=some)["TagDescriptions"]:
                    if tags_of(item).get("Name") in names:
                        found[item["ResourceArn"]] = kinds[item["ResourceArn"]]
        return found

    def template(self, group: str) -> TemplateSeen:
        """Return the launch template of a group, with its image."""
        with asked(f"the launch template of {group}"):
            if group not in self._templates:
                self._described(AutoScalingGroupNames=[group])
            name, version = self._templates.get(group, ("", ""))
            if not name:
                return TemplateSeen()
            call = self.target.client("ec2").describe_launch_template_versions
            answer = self._ask(call, LaunchTemplateId=name, Versions=[version])
        (launched,) = answer["LaunchTemplateVersions"]
        return TemplateSeen(
            version=version,
            number=str(launched["VersionNumber"]),
            image=launched["LaunchTemplateData"].get("ImageId", ""),
        )

    def images(self, ids: Sequence[str]) -> dict[str, ImageSeen]:
        """Return what is seen of each image; an empty state: there is none."""
        found = {image: ImageSeen(id=image) for image in ids}
        if not ids:
            return found
        wanted = [{"Name": "image-id", "Values": sorted(set(ids))}]
        with asked("the images"):
            call = self.target.client("ec2").describe_images
            for item in self._every(call, "Images", Filters=wanted):
                found[item["ImageId"]] = ImageSeen(
                    id=item["ImageId"],
                    name=item.get("Name", ""),
                    state=item.get("State", ""),
                    tags=tags_of(item),
                )
        return found
