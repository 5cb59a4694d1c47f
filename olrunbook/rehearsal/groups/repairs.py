"""What moto 5.2.5 does differently from EC2 Auto Scaling, put right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import (
    AutoScalingBackend,
    FakeAutoScalingGroup,
    InstanceState,
)
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from olrunbook.rehearsal.api.patching import override
from olrunbook.rehearsal.groups.groups import RETRY_S, Groups, suspended
from olrunbook.rehearsal.groups.refresh.calls import fault, group_of

_FROM_DESIRED_CONFIGURATION = (
    "An active instance refresh with a desired configuration exists. All configuration "
    "options derived from the desired configuration are not available for update while "
    "the instance refresh is active."
)


def install(
    groups: Groups,
    lock: threading.RLock,
    advance: Callable[[], None],
    changed: Callable[[], None],
) -> None:
    """Repair groups, instances and calls.

    Args:
        groups: Launches and retires instances.
        lock: Held during every call and every turn of the control loop.
        advance: Brings all refreshes to the present.
        changed: Wakes the control loop.

    """
    _repair_instances(groups)
    _repair_capacity(groups)
    _repair_updates(groups)
    _repair_deletion(groups)
    _repair_calls(groups, lock, advance)

    @override(AutoScalingBackend)
    def update_attached_target_groups(_: Any, _backend: Any, _name: str) -> None:
        changed()  # the control loop registers instances once they run

    @override(AutoScalingBackend)
    def notify_terminate_instances(_: Any, _backend: Any, _ids: list[str]) -> None:
        changed()  # the control loop finds them unhealthy, as AWS does


def _repair_instances(groups: Groups) -> None:
    by_moto: Any = InstanceState.launch_template

    def launch_template(state: InstanceState) -> Any:
        """Show the version an instance was launched from, not today's default."""
        return groups.ledger.member(state).template or by_moto.fget(state)

    shown: Any = property(launch_template)
    InstanceState.launch_template = shown  # type: ignore[method-assign]

    @override(FakeAutoScalingGroup)
    def active_instances(_: Any, group: FakeAutoScalingGroup) -> list[InstanceState]:
        """Count starting instances, too, but not those that replace one still there."""
        return [
            state
            for state in group.instance_states
            if state.lifecycle_state in ("InService", "Pending")
            and not groups.ledger.member(state).surplus
        ]

    @override(FakeAutoScalingGroup)
    def replace_autoscaling_group_instances(
        _: Any, group: FakeAutoScalingGroup, count: int, _tags: dict[str, str]
    ) -> None:
        if suspended(group, "Launch"):
            return  # the group stays below its capacity
        try:
            groups.launch(group, count)
        except ValidationError as error:
            if group.name not in group.autoscaling_backend.autoscaling_groups:
                raise  # it is just being created: the call is refused
            groups.ledger.group(group).retry_at = time.time() + RETRY_S
            what = f"Launching a new EC2 instance.  Status Reason: {error.message}"
            groups.ledger.note(group, what, "a launch was refused.", failed=True)


def _repair_capacity(groups: Groups) -> None:
    @override(FakeAutoScalingGroup)
    def set_desired_capacity(
        original: Any, group: FakeAutoScalingGroup, capacity: int | None
    ) -> None:
        """Scale in through the groups, so that targets drain."""
        wanted = (group.min_size if capacity is None else capacity) or 0
        free = [
            state
            for state in group.instance_states
            if not state.protected_from_scale_in and state.lifecycle_state != "Standby"
        ]
        free = [] if suspended(group, "Terminate") else free
        for state in _oldest_first(groups, group, free)[
            : max(len(group.active_instances()) - wanted, 0)
        ]:
            groups.retire(group, state, "the desired capacity was lowered.")
        group.desired_capacity = wanted
        if len(group.active_instances()) <= wanted:
            original(group, wanted)

    @override(AutoScalingResponse, "set_desired_capacity")
    def checked(original: Any, response: AutoScalingResponse) -> Any:
        group = group_of(response)
        wanted = response._get_int_param("DesiredCapacity")  # noqa: SLF001
        if group.max_size is not None and wanted > group.max_size:
            limit = f"above max value {group.max_size}"
        elif group.min_size is not None and wanted < group.min_size:
            limit = f"below min value {group.min_size}"
        else:
            return original(response)
        value = f"New SetDesiredCapacity value {wanted} is {limit}"
        msg = f"{value} for the AutoScalingGroup."
        raise ValidationError(msg)


def _oldest_first(
    groups: Groups, group: FakeAutoScalingGroup, states: list[InstanceState]
) -> list[InstanceState]:
    """Order instances as a termination policy takes them: oldest template first."""
    if (group.termination_policies or ["Default"])[0] == "NewestInstance":
        return sorted(states, key=lambda state: -groups.ledger.member(state).born)

    def age(state: InstanceState) -> tuple[int, float]:
        member = groups.ledger.member(state)
        return int((member.template or {}).get("Version", 0)), member.born

    return sorted(states, key=age)


def _repair_updates(groups: Groups) -> None:
    @override(FakeAutoScalingGroup)
    def update(original: Any, group: FakeAutoScalingGroup, **given: Any) -> None:
        names = ("launch_config_name", "launch_template", "mixed_instances_policy")
        changes_source = any(given.get(name) for name in names)
        refresh = groups.ledger.group(group).refresh
        if changes_source and refresh and refresh.desired:
            raise ValidationError(_FROM_DESIRED_CONFIGURATION)
        policy = group.mixed_instances_policy
        original(group, **given)
        if not changes_source:
            group.mixed_instances_policy = policy  # moto drops it on any other update

    for action in ("create_auto_scaling_group", "update_auto_scaling_group"):

        @override(AutoScalingResponse, action)
        def keeps_warmup(original: Any, response: AutoScalingResponse) -> Any:
            """Keep DefaultInstanceWarmup, which moto forgets."""
            answer = original(response)
            warmup = response._get_int_param("DefaultInstanceWarmup")  # noqa: SLF001
            if warmup is not None:
                group = group_of(response)
                kept = None if warmup == -1 else warmup
                groups.ledger.group(group).default_warmup = kept
                group.default_instance_warmup = kept  # type: ignore[attr-defined]  # shown
            return answer


def _repair_deletion(groups: Groups) -> None:
    @override(AutoScalingBackend)
    def detach_instances(
        original: Any,
        backend: AutoScalingBackend,
        group_name: str,
        instance_ids: list[str],
        should_decrement: bool,  # noqa: FBT001  (moto's signature)
    ) -> Any:
        """Take detached instances out of the target groups, too."""
        for state in backend.autoscaling_groups[group_name].instance_states:
            if state.instance.id in instance_ids:
                groups.leave_targets(state.instance)
        return original(backend, group_name, instance_ids, should_decrement)

    @override(AutoScalingResponse)
    def delete_auto_scaling_group(original: Any, response: AutoScalingResponse) -> Any:
        """Refuse a group with instances without ForceDelete; else take all with it."""
        group = group_of(response)
        force = response._get_bool_param("ForceDelete", if_none=False)  # noqa: SLF001
        if group.instance_states and not force:
            msg = (
                "You cannot delete an AutoScalingGroup while there are instances or "
                "pending Spot instance request(s) still in the group."
            )
            raise fault(msg, "ResourceInUse")
        groups.ledger.group(group).refresh = None
        for state in list(group.instance_states):
            groups.retire(group, state, "its group was deleted.")
        return original(response)


def _repair_calls(
    groups: Groups, lock: threading.RLock, advance: Callable[[], None]
) -> None:
    @override(AutoScalingResponse)
    def call_action(original: Any, response: AutoScalingResponse) -> Any:
        with lock:
            advance()
            return original(response)

    @override(AutoScalingResponse)
    def describe_scaling_activities(
        _: Any, response: AutoScalingResponse
    ) -> ActionResult:
        name = response._get_param("AutoScalingGroupName")  # noqa: SLF001
        known = response.autoscaling_backend.autoscaling_groups
        chosen = [group_of(response)] if name else list(known.values())
        rows = [
            row for group in chosen for row in groups.ledger.group(group).activities
        ]
        rows.sort(key=lambda row: row["StartTime"], reverse=True)
        most = min(int(response._get_param("MaxRecords", 100)), 100)  # noqa: SLF001
        return ActionResult({"Activities": rows[:most]})

    _answers("describe_notification_configurations", {"NotificationConfigurations": []})
    _answers("describe_traffic_sources", {"TrafficSources": []})
    _answers(
        "describe_account_limits",
        {
            "MaxNumberOfAutoScalingGroups": 500,
            "MaxNumberOfLaunchConfigurations": 200,
            "NumberOfAutoScalingGroups": 0,
            "NumberOfLaunchConfigurations": 0,
        },
    )
    _answers("describe_metric_collection_types", {"Metrics": [], "Granularities": []})


def _answers(action: str, answer: dict[str, Any]) -> None:
    """Give an action that moto lacks the answer of an account that does not use it."""

    @override(AutoScalingResponse, action)
    def plain(_: Any, _response: AutoScalingResponse) -> ActionResult:
        return ActionResult(answer)
