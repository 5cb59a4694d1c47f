"""Which instances a refresh replaces, which it leaves alone, and what may stop it."""

from __future__ import annotations

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.cloudwatch.models import cloudwatch_backends

from olrunbook.rehearsal.groups.refresh.preferences import Preferences
from olrunbook.rehearsal.groups.source import LaunchSource


def due(
    states: list[InstanceState], source: LaunchSource, preferences: Preferences
) -> list[InstanceState]:
    """Return the instances to replace; with SkipMatching, those that differ."""
    if not preferences.skip_matching:
        return list(states)
    return [state for state in states if not _matches(state, source)]


def held_back(
    todo: list[InstanceState], preferences: Preferences
) -> tuple[list[InstanceState], list[InstanceState]]:
    """Return the instances to ignore, and those to wait for."""

    def told(state: InstanceState, word: str) -> bool:
        if state.lifecycle_state == "Standby" and preferences.standby == word:
            return True
        return bool(state.protected_from_scale_in and preferences.protected == word)

    ignored = [state for state in todo if told(state, "Ignore")]
    waited_for = [state for state in todo if told(state, "Wait")]
    return ignored, [state for state in waited_for if state not in ignored]


def ringing(group: FakeAutoScalingGroup, preferences: Preferences) -> str | None:
    """Return the first of the refresh's alarms that is in the ALARM state."""
    if not preferences.alarms:
        return None
    alarms = cloudwatch_backends[group.account_id][group.region].alarms
    known = (name for name in preferences.alarms if name in alarms)
    return next((name for name in known if alarms[name].state_value == "ALARM"), None)


def _matches(state: InstanceState, source: LaunchSource) -> bool:
    version, has = source.version, state.launch_template
    if version is None or not has:
        return False
    kinds = [entry.get("InstanceType") for entry in source.overrides]
    return (
        has["LaunchTemplateId"] == source.template_id
        and str(has["Version"]) == str(version.number)
        and state.instance_type in (kinds or [version.instance_type])
    )
