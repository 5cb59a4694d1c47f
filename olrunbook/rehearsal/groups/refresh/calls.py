"""The four API calls of instance refresh, as methods of moto's response class.

moto finds an action by a method's name, parses its parameters and writes its XML from
botocore's model, so shapes and enums are AWS's own.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.moto_api import state_manager

from olrunbook.rehearsal.api.patching import override
from olrunbook.rehearsal.groups.groups import Groups
from olrunbook.rehearsal.groups.members import moment
from olrunbook.rehearsal.groups.refresh.engine import Pace, Refresh
from olrunbook.rehearsal.groups.refresh.preferences import Preferences
from olrunbook.rehearsal.groups.source import LaunchSource
from olrunbook.rehearsal.settings import Settings

PACE_MODEL = "autoscaling::instancerefresh"  # name in moto's state manager
SIX_WEEKS_S = 42 * 86400
DEFAULT_WARMUP_S = 300
MOST_RECORDS = 100

History = WeakKeyDictionary[FakeAutoScalingGroup, list[Refresh]]  # newest first


def current_pace(settings: Settings) -> Pace:
    """Return the pace that is set in moto's state manager now."""
    transition = state_manager.get_transition(PACE_MODEL)
    if transition["progression"] == "immediate":
        return Pace(0.0, 0.0)
    return Pace(
        float(transition.get("seconds", settings.launch_s)), settings.time_scale
    )


def group_of(response: AutoScalingResponse) -> FakeAutoScalingGroup:
    """Return the group a request names.

    Raises:
        ValidationError: There is none of the name.

    """
    name = _get(response, "AutoScalingGroupName")
    groups = response.autoscaling_backend.autoscaling_groups
    if name not in groups:
        msg = f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
        raise ValidationError(msg)
    group: FakeAutoScalingGroup = groups[name]
    return group


def install(groups: Groups, settings: Settings) -> None:
    """Add the calls to moto, and the pace to its state manager."""
    transition = {"progression": "time", "seconds": settings.launch_s}
    state_manager.register_default_transition(PACE_MODEL, transition)
    history: History = WeakKeyDictionary()
    _install_start(groups, settings, history)
    _install_describe(history)
    _install_endings(groups, history)


def _install_start(groups: Groups, settings: Settings, history: History) -> None:
    @override(AutoScalingResponse)
    def start_instance_refresh(_: Any, response: AutoScalingResponse) -> ActionResult:
        group = group_of(response)
        kept = groups.ledger.group(group)
        if kept.refresh:
            msg = (
                "An Instance Refresh is already in progress and blocks the execution "
                "of this Instance Refresh."
            )
            raise fault(msg, "InstanceRefreshInProgress")
        if _get(response, "Strategy", "Rolling") != "Rolling":
            msg = "The rehearsal cloud only does the Rolling strategy."
            raise ValidationError(msg)
        desired = _get(response, "DesiredConfiguration") or None
        grace = group.health_check_grace_period
        defaults = (kept.default_warmup, grace, DEFAULT_WARMUP_S)
        preferences = Preferences.parse(
            dict(_get(response, "Preferences") or {}),
            desired,
            LaunchSource.of(group),
            next(int(value) for value in defaults if value is not None),
        )
        refresh = Refresh(
            groups, group, desired, preferences, lambda: current_pace(settings)
        )
        kept.refresh = refresh
        history.setdefault(group, []).insert(0, refresh)
        return ActionResult({"InstanceRefreshId": refresh.id})


def _install_describe(history: History) -> None:
    @override(AutoScalingResponse)
    def describe_instance_refreshes(
        _: Any, response: AutoScalingResponse
    ) -> ActionResult:
        refreshes = history.get(group_of(response), [])
        ids = _get(response, "InstanceRefreshIds", [])
        oldest = time.time() - SIX_WEEKS_S
        recent = [refresh for refresh in refreshes if refresh.started > oldest]
        found = [refresh for refresh in recent if not ids or refresh.id in ids]
        at = int(_get(response, "NextToken") or 0)
        end = at + min(int(_get(response, "MaxRecords", 50)), MOST_RECORDS)
        return ActionResult(
            {
                "InstanceRefreshes": [_shown(refresh) for refresh in found[at:end]],
                "NextToken": str(end) if len(found) > end else None,
            }
        )


def _shown(refresh: Refresh) -> dict[str, Any]:
    """Return a refresh in AWS's shape; what has no value yet is left out."""
    back = refresh.rollback
    waiting = back["InstancesToUpdateOnRollback"] if back else len(refresh.todo)
    fields = {
        "InstanceRefreshId": refresh.id,
        "AutoScalingGroupName": refresh.group.name,
        "Status": refresh.status,
        "StatusReason": refresh.reason,
        "StartTime": moment(refresh.started),
        "EndTime": moment(refresh.ended) if refresh.ended else None,
        "PercentageComplete": refresh.percent(),
        "InstancesToUpdate": waiting,
        "Preferences": refresh.preferences.values,
        "DesiredConfiguration": refresh.desired,
        "RollbackDetails": back,
        "Strategy": "Rolling",
    }
    return {key: value for key, value in fields.items() if value is not None}


def _install_endings(groups: Groups, history: History) -> None:
    @override(AutoScalingResponse)
    def cancel_instance_refresh(_: Any, response: AutoScalingResponse) -> ActionResult:
        refresh = active(response)
        wait = response._get_bool_param("WaitForTransitioningInstances", if_none=True)  # noqa: SLF001
        refresh.cancel(wait=wait is not False)
        return ActionResult({"InstanceRefreshId": refresh.id})

    @override(AutoScalingResponse)
    def rollback_instance_refresh(
        _: Any, response: AutoScalingResponse
    ) -> ActionResult:
        refresh = active(response)
        if refresh.rollback:
            raise _not_found(refresh.group.name)
        if not refresh.desired or not refresh.before.reversible:
            msg = (
                "The request failed because a desired configuration was not found or "
                "an incompatible launch template or launch template version is present "
                "on the Auto Scaling group."
            )
            raise fault(msg, "IrreversibleInstanceRefresh")
        refresh.roll_back("Rollback initiated by user.", time.time())
        return ActionResult({"InstanceRefreshId": refresh.id})

    def active(response: AutoScalingResponse) -> Refresh:
        group = group_of(response)
        if groups.ledger.group(group).refresh is None:
            raise _not_found(group.name)
        return history[group][0]


def _not_found(name: str) -> AutoscalingClientError:
    words = "No in progress or pending Instance Refresh found for Auto Scaling group"
    msg = f"{words} {name}"
    return fault(msg, "ActiveInstanceRefreshNotFound")


def _get(response: AutoScalingResponse, name: str, default: Any = None) -> Any:
    return response._get_param(name, default)  # noqa: SLF001


def fault(words: str, code: str) -> AutoscalingClientError:
    """Return the error of the API with a code and its words."""
    return AutoscalingClientError(code, words)
