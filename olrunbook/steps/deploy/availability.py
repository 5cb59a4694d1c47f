"""What an update does to availability, and what a failed one leaves behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from olrunbook.adapters.aws.seen import InstanceSeen, RefreshSeen, TemplateSeen, short

AWS_MIN_HEALTHY = 90  # where a refresh does not say


def replaced_first(
    desired: int, min_healthy: int | None, max_healthy: int | None
) -> int:
    """Return how many instances go before their replacements serve.

    Without a maximum AWS ends an instance and starts its replacement at once, at least
    one, whatever the minimum says. With a maximum above 100 % it may start first.
    """
    low = AWS_MIN_HEALTHY if min_healthy is None else min_healthy
    spare = desired - math.ceil(desired * low / 100)
    return min(max(spare, 1 if max_healthy is None else 0), desired)


def availability(desired: int, refresh: RefreshSeen) -> str:
    """Return what a refresh of these settings does to a group of this size."""
    low, high = refresh.min_healthy, refresh.max_healthy
    first = replaced_first(desired, low, high)
    how = f"(min healthy {AWS_MIN_HEALTHY if low is None else low} %, "
    how += "no maximum)" if high is None else f"max {high} %)"
    if not first:
        return f"New instances serve before old ones go {how}."
    if first == desired:
        which = "the only instance goes" if desired == 1 else f"all {desired} go"
        return f"An outage: {which} before the new one serves {how}."
    return (
        f"{first} of {desired} instances at a time go before their replacements serve; "
        f"{desired - first} serve meanwhile {how}."
    )


def serving(desired: int, refresh: RefreshSeen) -> int:
    """Return the share of a group that keeps serving: percent, in whole quarters."""
    first = replaced_first(desired, refresh.min_healthy, refresh.max_healthy)
    return (desired - first) * 4 // desired * 25 if desired else 100


def cancels(refreshes: Sequence[RefreshSeen]) -> list[str]:
    """Return which refreshes of a group its next refresh cancels, a sentence each."""
    return [
        f"This update cancels refresh {short(refresh.id)} "
        f"({refresh.status}, {refresh.percent} % done)."
        for refresh in refreshes
        if refresh.active
    ]


def consequences(
    instances: Mapping[str, Sequence[InstanceSeen]],
    templates: Mapping[str, TemplateSeen],
    way_back: str,
) -> list[str]:
    """Return what a failed rollout leaves behind, and the way back."""
    lines = []
    for group, found in instances.items():
        serving = [f"{short(i.id)} on {short(i.image)}" for i in found if i.serves]
        text = ", ".join(serving) or "nothing"
        lines.append(f"Serving now in {group}: {text}.")
    for group, template in templates.items():
        image = short(template.image) or "an unknown image"
        lines.append(
            f"Every instance that {group} launches from now on gets {image}, "
            "also one that replaces an instance that is lost."
        )
    if any(template.version.startswith("$") for template in templates.values()):
        lines.append(
            "AWS's own rollback is not available: the group launches from the "
            "template version $Latest."
        )
    lines.append(way_back)
    return lines
