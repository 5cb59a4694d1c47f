"""What changes mean: part of an image roll or not, and what serves meanwhile."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from olrunbook.adapters.aws.seen import GroupSeen, RefreshSeen, short
from olrunbook.adapters.pulumi.found import Found
from olrunbook.project.stack import StackSpec, group_key
from olrunbook.steps.deploy.availability import availability, cancels, serving
from olrunbook.steps.results import OutsideChange, PropertyChange, ResourceChange

GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
VAULT_ROLE = "vault:aws/authBackendRole:AuthBackendRole"
IMAGE_TAG = "ami_id"

# Resource type to the property paths that an image roll changes.
IMAGE_ROLL = {
    TEMPLATE: re.compile(r"imageId"),
    GROUP: re.compile(rf"tags\.{IMAGE_TAG}"),
    VAULT_ROLE: re.compile(r"boundAmiIds(\[\d+\])?"),
}
# What serves: none of these may go without a person's word. A launch configuration is
# another one each time, and so is a launch template that is named after its image.
GUARDED = re.compile(
    r"aws:(autoscaling/(group|attachment):|ec2/launchTemplate:|route53/record:|"
    r"(lb|alb|elb)/(loadBalancer|targetGroup|listener|listenerRule):)"
)
# … nor may a group be taken off what sends it requests.
BALANCED_BY = re.compile(r"(targetGroupArns|loadBalancers|trafficSources)\b")
GOES = {"replace", "delete", "create-replacement", "delete-replaced"}
LEFT_ALONE = (
    "the launch template changes, but nothing that starts a refresh. Running "
    "instances stay as they are; new ones get the new template. The group stays mixed "
    "until each has been replaced, and nothing replaces them before the next image "
    "roll or refresh."
)
ALWAYS_REFRESH = ("launchTemplate", "mixedInstancesPolicy", "launchConfiguration")


def resource_changes(found: Found) -> list[ResourceChange]:
    """Return the changes, each marked whether an image roll has it."""
    # An update says what the state is afterwards: a group that it made is there then.
    made = any(item.type == GROUP and item.op == "create" for item in found.changes)
    first = made or GROUP not in found.state.types
    return [
        ResourceChange(
            op=one.op,
            gap=one.gap,
            type=one.type,
            name=one.name,
            urn=one.urn,
            changes=[PropertyChange.model_validate(item) for item in one.changes],
            expected=is_roll(one.op, one.type, [item["path"] for item in one.changes])
            or (first and one.op == "create"),
        )
        for one in found.changes
    ]


def is_roll(op: str, kind: str, paths: Sequence[str]) -> bool:
    """Whether these properties of a resource are some that an image roll changes."""
    roll = IMAGE_ROLL.get(kind) if op == "update" and paths else None
    return roll is not None and all(map(roll.fullmatch, paths))


def apart(changes: Sequence[ResourceChange]) -> list[ResourceChange]:
    """Return the changes that are no part of an image roll."""
    return [change for change in changes if not change.expected]


def guarded(changes: Sequence[ResourceChange]) -> list[ResourceChange]:
    """Return the changes by which something that serves would go."""
    return [
        one
        for one in changes
        if (one.op in GOES and GUARDED.match(one.type) and not _succeeded(one))
        or taken_off(one)
    ]


def _succeeded(change: ResourceChange) -> bool:
    """Whether it is a launch template whose successor is there before it goes."""
    return (change.type, change.op, change.gap) == (TEMPLATE, "replace", False)


def taken_off(change: ResourceChange) -> bool:
    """Whether an update takes a group off a load balancer that it is behind."""
    rows = [one for one in change.changes if BALANCED_BY.match(one.path)]
    # At the index of what is added, another one may have stood before.
    olds = (one.old for one in rows if not one.kind.startswith("add"))
    old = {item for text in olds for item in _items(text)}
    new = {item for one in rows for item in _items(one.new)} - {"[secret]"}
    return (change.op, change.type) == ("update", GROUP) and not old <= new


def _items(text: str) -> list[str]:
    """Return the items of a list that is told as a whole; else the text itself."""
    with contextlib.suppress(ValueError):
        if isinstance(found := json.loads(text), list):
            return [str(item) for item in found]
    return [text] if text else []


def outside(found: Found) -> list[OutsideChange]:
    """Return what somebody changed outside, and what the update does about it."""
    after = {(c.urn, i["path"]): i["new"] for c in found.changes for i in c.changes}
    after |= {(c.urn, ""): "there" for c in found.changes if c.op == "create"}
    gone = [{"path": "", "old": "there", "new": "gone"}]
    rows = []
    for seen in sorted(found.outside, key=lambda change: change.urn):
        for item in gone if seen.op == "delete" else seen.changes:
            new, then = after.get((seen.urn, item["path"])), "leaves it"
            if new is not None:
                then = "puts it back" if new == item["old"] else "sets another value"
            row = {"where": seen.name, "what": item["path"], "urn": seen.urn}
            row |= {"old": item["old"], "new": item["new"], "then": then}
            rows.append(OutsideChange.model_validate(row))
    return rows


def sizes(found: Found) -> dict[str, tuple[int, int, int]]:
    """Return least, wanted and most instances of each group, by its tag `Name`."""
    given = {}
    for urn, fact in _facts(found, GROUP):
        least, most = _number(fact.get("minSize")), _number(fact.get("maxSize"))
        if least is None or most is None:  # not known before the update
            continue
        wanted = _number(fact.get("desiredCapacity"))
        # Where the program leaves it open, it stays as it is.
        wanted = max(least, 1) if wanted is None else wanted
        tag = str((fact.get("tags") or {}).get("Name", urn))
        given[tag] = (least, wanted, most)
    return given


def _facts(found: Found, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield URN and facts of the resources of a type."""
    return ((urn, fact) for urn, fact in found.facts.items() if fact["type"] == kind)


def _key(urn: str, fact: Mapping[str, Any], wanted: Collection[str]) -> str:
    """Return by which of the catalog's words a group of a preview is found."""
    return group_key(fact.get("tags") or {}, urn.rpartition("::")[2], wanted)


def _number(value: Any) -> int | None:
    """Return a whole number; None: there is none, or Pulumi does not know it yet."""
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return None


def wrong_images(
    spec: StackSpec, stage: str, images: Mapping[str, str], found: Found
) -> list[str]:
    """Return what does not carry the image it should, in words.

    Every image of the set must be in a launch template, and the tag of each group must
    name its node type's image. A program that looks images up may have no others.
    """
    templates = {str(fact.get("image")) for _, fact in _facts(found, TEMPLATE)}
    have = ", ".join(sorted(templates))
    wrong = [
        f"no launch template has {image} of {node} (found {have})"
        for node, image in images.items()
        if image not in templates
    ]
    others = templates - {*images.values()} if spec.image_lookup else set()
    wrong += [f"a launch template has {image}" for image in sorted(others)]
    for urn, fact in _facts(found, GROUP):
        tags: Mapping[str, str] = fact.get("tags") or {}
        for node, tag in spec.group_tags(stage):
            has = tags.get(IMAGE_TAG, images[node])
            if _key(urn, fact, [tag]) and has != images[node]:
                wrong.append(f"the {node} group {tag} is tagged {has}")
    return wrong


def outlook(
    found: Found,
    changes: Sequence[ResourceChange],
    seen: Sequence[tuple[GroupSeen, Sequence[RefreshSeen]]],
    images: Mapping[str, str],
    refresh: str,
) -> list[str]:
    """Return what the update means for what serves, a sentence each.

    `seen` are the groups as they are, with their refreshes; `refresh` is the command
    that replaces the stage's instances.
    """
    by_urn = {change.urn: change for change in changes}
    by_tag = {group.tag_name: (group, refreshes) for group, refreshes in seen}
    template_changes = any(change.type == TEMPLATE for change in changes)
    lines: list[str] = []
    for urn, fact in _facts(found, GROUP):
        tag = _key(urn, fact, by_tag) or str((fact.get("tags") or {}).get("Name", ""))
        none = GroupSeen(node_type="", tag_name=tag)
        group, refreshes = by_tag.get(tag, (none, ()))
        said = _group_outlook(
            fact, by_urn.get(urn), group, refreshes, template_changes=template_changes
        )
        # As after an update that was cut off: the tag is set, its refresh never began.
        if not said and (text := left_behind(group, refreshes, images)):
            said = [f"{text}, and this update starts no refresh. To replace: {refresh}"]
        lines += said
    if changes or lines:
        return lines
    return ["Nothing to do: no resource changes, no instance is replaced."]


def shares(
    found: Found, changes: Sequence[ResourceChange], groups: Sequence[GroupSeen]
) -> dict[str, int]:
    """Return what share of each group that is refreshed keeps serving, by its tag."""
    by_urn = {change.urn: change for change in changes}
    by_tag = {group.tag_name: group for group in groups}
    return {
        tag: serving(by_tag[tag].desired, _preferences(fact))
        for urn, fact in _facts(found, GROUP)
        if (tag := _key(urn, fact, by_tag))
        and (change := by_urn.get(urn))
        and _starts_refresh(fact, change)
    }


def left_behind(
    group: GroupSeen, refreshes: Sequence[RefreshSeen], images: Mapping[str, str]
) -> str:
    """Return what a group runs that nothing replaces; empty: nothing but its image.

    `images` says which it should run, by node type.
    """
    wanted = images.get(group.node_type, "")
    others = group.others(wanted)
    if not others or not wanted or any(one.active for one in refreshes):
        return ""
    return f"{group.name} runs {others}, not {short(wanted)}"


def _group_outlook(
    fact: Mapping[str, Any],
    change: ResourceChange | None,
    group: GroupSeen,
    refreshes: Sequence[RefreshSeen],
    *,
    template_changes: bool,
) -> list[str]:
    planned = _number(fact.get("desiredCapacity")) or 0
    desired = group.desired if group.name else planned
    name = group.name or group.tag_name
    if change and change.op == "create":
        number = "1 instance is" if desired == 1 else f"{desired} instances are"
        return [f"{name} is new: {number} launched, nothing is replaced."]
    if change is None or not _starts_refresh(fact, change):
        return [f"{name}: {LEFT_ALONE}"] if template_changes else []
    lines = [f"{name}: {availability(desired, _preferences(fact))}"]
    lines += [f"{name}: {line}" for line in cancels(refreshes)]
    if str(fact.get("version") or "").startswith("$"):
        lines.append(
            f"{name}: AWS's own rollback is not available, because the group launches "
            f"from {fact['version']}. The way back: olrunbook rollback."
        )
    return lines


def _starts_refresh(fact: Mapping[str, Any], change: ResourceChange) -> bool:
    """Whether the provider starts an instance refresh for these changes."""
    refresh = fact.get("instanceRefresh")
    if not refresh:
        return False
    # Since version 5 of the provider `tags` is no trigger.
    given = [str(item) for item in refresh.get("triggers") or [] if item != "tags"]
    camel = (re.sub("_(.)", lambda found: found[1].upper(), item) for item in given)
    triggers = {"tags" if item == "tag" else item for item in camel}
    wanted = triggers.union(ALWAYS_REFRESH)
    changed = {re.split(r"[.\[]", item.path, maxsplit=1)[0] for item in change.changes}
    return bool(wanted & changed)


def _preferences(fact: Mapping[str, Any]) -> RefreshSeen:
    given = (fact.get("instanceRefresh") or {}).get("preferences") or {}
    return RefreshSeen(
        id="",
        status="",
        min_healthy=_number(given.get("minHealthyPercentage")),
        max_healthy=_number(given.get("maxHealthyPercentage")),
        warmup_s=_number(given.get("instanceWarmup")),
    )
