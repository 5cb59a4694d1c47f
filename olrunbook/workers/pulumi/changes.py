"""What Pulumi's engine says about a resource: plain values in, plain values out."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

SECRET = "[secret]"  # noqa: S105  (how the engine prints one)
SIGNATURE = "4dabf18193072939515e22adb298388d"
WHOLE_MASKED = {"userdata", "userdatabase64"}  # often a secret nobody marked as one
LONGEST = 400
MADE_UP = re.compile(r".-[0-9a-f]{7}$")
DEFAULTS = "__defaults"  # the providers' mark for inputs nobody wrote
_STEP = re.compile(r"""\[(?:"((?:[^"\\]|\\.)*)"|(\d+))\]|\.?([^.\[\]"]+)""")


def steps(path: str) -> list[str | int]:
    """Return the steps of a property path, `a.b[0]["c.d"]`."""
    found: list[str | int] = []
    for quoted, number, plain in _STEP.findall(path):
        if number:
            found.append(int(number))
        else:
            found.append(quoted.replace('\\"', '"') if quoted else plain)
    return found


def value_at(tree: Any, path: str) -> Any:
    """Return what stands at a property path; None: nothing."""
    for step in steps(path):
        if isinstance(tree, Mapping):
            tree = tree.get(str(step))
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def is_hidden(path: str) -> bool:
    """Whether a property is never shown, whatever its value."""
    first = steps(path)[:1]
    return bool(first) and str(first[0]).lower() in WHOLE_MASKED


def is_secret(value: Any) -> bool:
    """Whether a value is one the engine has hidden."""
    if isinstance(value, Mapping):
        return SIGNATURE in value
    return isinstance(value, str) and value == SECRET


def resource_name(urn: str) -> str:
    """Return the logical name in a URN."""
    return urn.rsplit("::", 1)[-1]


def shown(value: Any) -> str:
    """Return a value as one short line."""
    if value is None:
        return ""
    if is_secret(value):
        return SECRET
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(text) <= LONGEST:
        return text
    # What is cut off must still be told apart: an approval is over these texts.
    tail = f"… (sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"
    return text[: LONGEST - len(tail)] + tail


def sealed_fingerprint(
    key: str,
    inputs: Mapping[str, Any],
    secrets: Mapping[str, str],
    made: Mapping[str, str],
) -> str:
    """Return a digest of a resource's inputs, its secret ones too, under a key.

    Those that nobody wrote are left out: a name that was made up is another one in each
    preview.

    Args:
        key: The key (hex).
        inputs: The inputs.
        secrets: Property (no case) to its value in clear, of texts the engine hides.
        made: Made up names, and what stands for them.

    """
    hidden = {k: secrets.get(k.lower(), "") for k, v in inputs.items() if is_secret(v)}
    text = json.dumps([_written(inputs), hidden], sort_keys=True, ensure_ascii=False)
    for name, urn in made.items():
        text = text.replace(name, urn)
    raw = text.encode(errors="surrogatepass")
    return hmac.new(bytes.fromhex(key), raw, hashlib.sha256).hexdigest()


def made_up(inputs: Mapping[str, Any]) -> list[str]:
    """Return the names among a resource's inputs that Pulumi made up."""
    values = (inputs.get(name) for name in inputs.get(DEFAULTS) or [])
    return [v for v in values if isinstance(v, str) and MADE_UP.search(v)]


def _written(value: Any) -> Any:
    if is_secret(value):
        return SECRET  # its cipher text is another one each time
    if isinstance(value, Mapping):
        left_out = {DEFAULTS, *(value.get(DEFAULTS) or [])}
        return {k: _written(v) for k, v in value.items() if k not in left_out}
    return [_written(item) for item in value] if isinstance(value, list) else value


def property_changes(metadata: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what changes by a step's metadata: path, kind, old and new."""
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    details: Mapping[str, Any] = metadata.get("detailedDiff") or {}
    changes: list[dict[str, str]] = []
    keyed: set[str] = set()
    for path in sorted(details):
        detail = details[path]
        side = "inputs" if detail.get("inputDiff") else "outputs"
        first = str((steps(path) or [path])[0])
        before = (old.get(side) or {}).get(first)
        after = (new.get("inputs") or {}).get(first)
        if _keyed(before) and _keyed(after):
            if first not in keyed:
                keyed.add(first)
                changes += _by_key(first, before or [], after or [])
            continue
        was = value_at(old.get(side) or {}, path)
        now = value_at(new.get("inputs") or {}, path)
        kind = str(detail.get("diffKind") or "update")
        changes.append(_change(path, kind, shown(was), shown(now)))
    if not details:
        changes += [_change(name, "update") for name in metadata.get("diffs") or []]
    return changes


def _change(path: str, kind: str, old: str = "", new: str = "") -> dict[str, str]:
    return {"path": path, "kind": kind, "old": old, "new": new}


def _keyed(value: Any) -> bool:
    """Whether a list is a set of `{key, value, …}`, as the tags of a group are."""
    return value is None or (
        isinstance(value, list)
        and all(
            isinstance(item, Mapping) and {"key", "value"} <= set(item)
            for item in value
        )
    )


def _by_key(
    name: str, old: list[Mapping[str, Any]], new: list[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Return the changes of a keyed list by key: its order says nothing."""
    before = {str(item["key"]): item for item in old}
    after = {str(item["key"]): item for item in new}
    changes = []
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        kind = "add" if was is None else "delete" if now is None else "update"
        same_value = was and now and was["value"] == now["value"]
        values = [
            "" if item is None else shown(dict(item) if same_value else item["value"])
            for item in (was, now)
        ]
        changes.append(_change(f"{name}.{key}", kind, *values))
    return changes


def facts(kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a step must know of a resource that may not change at all."""
    if kind == "aws:ec2/launchTemplate:LaunchTemplate":
        return {"image": inputs.get("imageId")}
    if kind == "aws:autoscaling/group:Group":
        tags = inputs.get("tags") or []
        names = ("minSize", "maxSize", "desiredCapacity", "instanceRefresh")
        return {
            **{name: inputs.get(name) for name in names},
            "version": (inputs.get("launchTemplate") or {}).get("version"),
            "tags": {tag["key"]: tag["value"] for tag in tags if _keyed([tag])},
        }
    return {}
