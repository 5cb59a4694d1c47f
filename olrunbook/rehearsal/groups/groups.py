"""Auto Scaling groups: launch, observe, heal, scale. The control loop calls `tick`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import (
    ASG_NAME_TAG,
    FakeAutoScalingGroup,
    InstanceState,
    autoscaling_backends,
)
from moto.ec2.models.instances import Instance
from moto.elbv2.exceptions import InvalidTargetError, TargetGroupNotFoundError
from moto.elbv2.models import FakeTargetGroup

from olrunbook.rehearsal.balancers.health import Health
from olrunbook.rehearsal.balancers.targets import target_group
from olrunbook.rehearsal.groups.members import Ledger
from olrunbook.rehearsal.groups.source import LaunchSource
from olrunbook.rehearsal.settings import Settings
from olrunbook.rehearsal.signals import log

RETRY_S = 2.0  # after a failed launch; AWS waits longer and longer


def all_groups() -> list[FakeAutoScalingGroup]:
    """Return every Auto Scaling group of every account and region."""
    return [
        group
        for account in list(autoscaling_backends.values())
        for backend in list(account.values())
        for group in list(backend.autoscaling_groups.values())
    ]


def suspended(group: FakeAutoScalingGroup, process: str) -> bool:
    """Whether a process of a group (`Launch`, `Terminate`, …) is suspended."""
    return any(entry["ProcessName"] == process for entry in group.suspended_processes)


class Groups:
    """What happens to instances of Auto Scaling groups.

    Args:
        ledger: Keeps what moto does not.
        settings: When an instance counts as InService.
        health: How targets are.
        draining: Called with a target group's ARN and an instance id that leaves it.

    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        health: Health,
        draining: Callable[[str, str], None],
    ) -> None:
        self.ledger, self._settings = ledger, settings
        self._health, self._draining = health, draining

    # -- in and out -----------------------------------------------------------------

    def launch(
        self,
        group: FakeAutoScalingGroup,
        count: int,
        source: LaunchSource | None = None,
    ) -> list[InstanceState]:
        """Launch instances into a group.

        Args:
            group: The group.
            count: How many.
            source: What from; None: what the group would use now (during a refresh with
                a desired configuration: that one).

        Raises:
            ValidationError: The AMI does not exist.

        """
        refresh = self.ledger.group(group).refresh
        if source is None:
            forward = refresh and refresh.source and refresh.forward
            source = refresh.source if refresh and forward else LaunchSource.of(group)
        assert source is not None
        with source.used_by(group):
            image = str(group.image_id)
            if image.startswith("ami-") and image not in group.ec2_backend.amis:
                msg = (
                    "You must use a valid fully-formed launch template. "
                    f"The image id '[{image}]' does not exist"
                )
                raise ValidationError(msg)
            return [self._launch_one(group, source) for _ in range(count)]

    def _launch_one(
        self, group: FakeAutoScalingGroup, source: LaunchSource
    ) -> InstanceState:
        version = source.version
        tags = {**group.get_propagated_tags(), ASG_NAME_TAG: group.name}
        tags.update(group.instance_tags or {})
        template = None
        if version:
            template = {
                "LaunchTemplateId": version.template.id,
                "LaunchTemplateName": version.template.name,
                "Version": str(version.number),
            }
        subnets = (group.vpc_zone_identifier or "").split(",")
        used = [state.instance.subnet_id for state in group.instance_states]
        config: Any = group.launch_config  # None where a template is used
        first = (source.overrides or [{}])[0]
        made = group.ec2_backend.run_instances(
            group.image_id,
            1,
            group.user_data,
            group.security_groups,
            tags={"instance": tags},
            instance_type=first.get("InstanceType") or group.instance_type,
            subnet_id=min(subnets, key=used.count) or None,  # spread, as AWS does
            placement=group.availability_zones[0],
            launch_config=config,
            is_instance_type_default=False,
            launch_template=template,
            associate_public_ip=config.associate_public_ip_address if config else None,
        )
        instance: Any = made.instances[0]
        instance.autoscaling_group = group
        protected = group.new_instances_protected_from_scale_in
        state = InstanceState(instance, "Pending", protected_from_scale_in=protected)
        self.ledger.member(state).template = template
        group.instance_states.append(state)
        what = f"Launching a new EC2 instance: {instance.id}"
        self.ledger.note(group, what, "an instance was started to match capacity.")
        return state

    def retire(
        self, group: FakeAutoScalingGroup, state: InstanceState, why: str
    ) -> None:
        """Take an instance out of the group and its target groups, and terminate it.

        Its machine goes only when nothing is in flight to it any more.
        """
        if state not in group.instance_states:
            return
        group.instance_states.remove(state)
        self.leave_targets(state.instance)
        if state.instance.state not in ("shutting-down", "terminated"):
            group.ec2_backend.terminate_instances([state.instance.id])
        self.ledger.note(group, f"Terminating EC2 instance: {state.instance.id}", why)

    def leave_targets(self, instance: Instance) -> None:
        """Deregister a group's instance wherever its group registered it."""
        group: FakeAutoScalingGroup = instance.autoscaling_group  # type: ignore[attr-defined]
        for targets in self._target_groups(group):
            if instance.id in targets.targets:
                self._draining(targets.arn, instance.id)
                try:
                    targets.deregister([{"Id": instance.id}])
                except (InvalidTargetError, TargetGroupNotFoundError):
                    continue  # somebody else did it meanwhile

    # -- one turn of the control loop -------------------------------------------------

    def tick(self, group: FakeAutoScalingGroup) -> None:
        """Observe a group's instances, replace the unhealthy, match the capacity."""
        kept, now = self.ledger.group(group), time.time()
        refresh = kept.refresh
        arriving = refresh.arriving() if refresh else []
        for state in list(group.instance_states):
            self.observe(group, state)
            if state.health_status == "Healthy" or state in arriving:
                continue
            in_standby = state.lifecycle_state == "Standby"
            if in_standby or suspended(group, "ReplaceUnhealthy"):
                continue
            log(group.name, state.instance.id, "unhealthy: replaced")
            if refresh:
                refresh.forget(state)
            self._note_failed_boot(group, state, now)
            self.retire(group, state, "an instance was found unhealthy.")
        missing = (group.desired_capacity or 0) - len(group.active_instances())
        if missing > 0 and not arriving and now >= kept.retry_at:
            group.replace_autoscaling_group_instances(
                missing, group.get_propagated_tags()
            )
        elif missing < 0 and not refresh:
            group.set_desired_capacity(group.desired_capacity)

    def observe(self, group: FakeAutoScalingGroup, state: InstanceState) -> None:
        """Write what is true of one instance now: registered, InService, unhealthy."""
        instance, member = state.instance, self.ledger.member(state)
        now = time.time()
        if instance.state == "running":
            member.up_since = member.up_since or now
            self._register(group, state)
        if state.lifecycle_state == "Pending" and self._serves(group, state):
            state.lifecycle_state = "InService"
            took = f"{now - member.born:.1f} s after its launch"
            log(group.name, instance.id, "InService", took)
        up = instance.state in ("pending", "running")
        if not up or self._elb_says_no(group, state):
            state.health_status = "Unhealthy"

    def _register(self, group: FakeAutoScalingGroup, state: InstanceState) -> None:
        if state.lifecycle_state == "Standby":
            self.leave_targets(state.instance)
            return
        for targets in self._target_groups(group):
            if state.instance.id not in targets.targets:
                targets.register([{"Id": state.instance.id, "Port": targets.port}])

    def _serves(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if state.instance.state != "running":
            return False
        if self._settings.aws_order or (group.health_check_type or "EC2") != "ELB":
            return True
        return all(found == "healthy" for found in self._states(group, state))

    def _elb_says_no(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        up = self.ledger.member(state).up_since
        if group.health_check_type != "ELB" or up is None:
            return False
        if state.lifecycle_state not in ("Pending", "InService"):
            return False
        if time.time() - up <= float(group.health_check_grace_period or 0):
            return False
        states = self._states(group, state)
        return any(found not in ("healthy", None) for found in states)

    def _states(
        self, group: FakeAutoScalingGroup, state: InstanceState
    ) -> list[str | None]:
        targets = self._target_groups(group)
        return [self._health.state(one.arn, state.instance.id) for one in targets]

    def _note_failed_boot(
        self, group: FakeAutoScalingGroup, state: InstanceState, now: float
    ) -> None:
        reason = state.instance.state_reason
        if reason.code == "Server.InternalError":
            self.ledger.group(group).retry_at = now + RETRY_S
            what = f"Launching a new EC2 instance.  Status Reason: {reason.message}"
            self.ledger.note(group, what, "an instance failed to start.", failed=True)

    @staticmethod
    def _target_groups(group: FakeAutoScalingGroup) -> list[FakeTargetGroup]:
        found = (target_group(arn) for arn in group.target_group_arns or [])
        return [targets for targets in found if targets]
