"""Property values: what a provider must not tell apart, and where two trees differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

Props = dict[str, Any]
Difference = Literal["add", "delete", "update"]

# pulumi.runtime.rpc.UNKNOWN: a value that is known only after the update.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def whole(value: Any) -> Any:
    """Return a tree whose whole floats are ints again (protobuf has no ints)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list) else value


def unset(value: Any) -> bool:
    """Whether an API would not tell this from a property that was never given."""
    return value is None or value in ([], {}, "")


def normal(value: Any) -> Any:
    """Return a tree in which what an API does not tell apart is equal.

    `true` and `"true"`, `300` and `"300"`, absent and empty.
    """
    if isinstance(value, dict):
        found = {key: normal(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not None} or None
    if isinstance(value, list):
        return [normal(item) for item in value] or None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(whole(value))
    return None if unset(value) else value


def _bag(values: Iterable[Any]) -> Counter[str]:
    """Return a list's items without their order."""
    return Counter(repr(_ordered(value)) for value in values)


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _ordered(item)) for key, item in value.items())
    return value


def same(old: Any, new: Any, *, unordered: bool = False) -> bool:
    """Whether two values are the same to an API; lists without order if so asked."""
    left, right = normal(old), normal(new)
    if unordered and isinstance(left, list | None) and isinstance(right, list | None):
        return _bag(left or []) == _bag(right or [])
    return bool(left == right)


def keep_form(recorded: Any, actual: Any, *, unordered: bool = False) -> Any:
    """Return the recorded value where the actual one is the same, else the actual one.

    So a refresh shows drift, and never a change of spelling or order.
    """
    return recorded if same(recorded, actual, unordered=unordered) else actual


def differences(
    old: Any, new: Any, path: str = "", *, unordered: bool = False
) -> Iterator[tuple[str, Difference]]:
    """Yield the property paths that differ, in Pulumi's notation (`a.b[0].c`).

    Args:
        old: The value before.
        new: The value wanted.
        path: Where the two stand.
        unordered: The lists are sets; those of `{key, …}` are matched by their keys.

    """
    if same(old, new, unordered=unordered):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            at = f"{path}.{key}" if path else key
            yield from differences(old.get(key), new.get(key), at)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _in_lists(old, new, path, unordered=unordered)
    else:
        yield path, "add" if unset(old) else "delete" if unset(new) else "update"


def _in_lists(
    old: list[Any], new: list[Any], path: str, *, unordered: bool
) -> Iterator[tuple[str, Difference]]:
    if unordered and all(
        isinstance(item, dict) and "key" in item for item in old + new
    ):
        before = {item["key"]: (at, item) for at, item in enumerate(old)}
        for at, item in enumerate(new):
            _, was = before.pop(item["key"], (at, None))
            yield from differences(was, item, f"{path}[{at}]")
        for at, _ in before.values():
            yield f"{path}[{at}]", "delete"
        return
    for at in range(max(len(old), len(new))):
        was = old[at] if at < len(old) else None
        now = new[at] if at < len(new) else None
        yield from differences(was, now, f"{path}[{at}]")


def top(path: str) -> str:
    """Return the top-level property a path lies in."""
    return path.split(".", 1)[0].split("[", 1)[0]


def api(value: Any) -> Any:
    """Return a camelCase property value as an AWS API takes it, in PascalCase."""
    if isinstance(value, Mapping):
        return {
            key[:1].upper() + key[1:]: api(item)
            for key, item in value.items()
            if item is not None and not key.startswith("__")
        }
    if isinstance(value, list):
        return [api(item) for item in value]
    return value == "true" if value in ("true", "false") else value
