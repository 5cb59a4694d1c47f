"""What differs between any two runs and means nothing: clocks, ids, order."""

from __future__ import annotations

import json
import re
from typing import Any

# Keys whose value is a moment, a length of time, or a handle of this run alone.
_CLOCK = re.compile(
    r"(.*_)?(at|s|ms|seconds|elapsed|duration|took|since|until|heartbeat|time|"
    r"timestamp|timeline|first_failure|last_failure|execution_count|pid|port|boot|"
    r"run_id|cloud_id|release|resumes|record|request_id|refresh_ids?|url|"
    r"before_first_answer|requests|probe_seconds|version_id|template_version)"
)
_ZONE = r"(?:\.\d+)?\s?(?:Z|UTC|[+-]\d\d:?\d\d)?"
# In this order: what is longer and says more comes first.
_NOISE = (
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>"),
    (r"\b[0-9a-f]{4}…[0-9a-f]{3}\b", "<id>"),
    (r"\b\d{4}-\d\d-\d\d[T _]\d\d[:-]\d\d(?:[:-]\d\d)?" + _ZONE, "<time>"),
    (r"\b\d{4}-\d\d-\d\d\b", "<time>"),
    (r"(?<!\d)20\d{12}(?!\d)", "<time>"),
    (r"\b\d\d:\d\d(?::\d\d)?" + _ZONE + r"(?!\w)", "<time>"),
    (r"\b\d+ min(?: \d+ s)?\b|\b\d+(?:\.\d+)? ?(?:ms|s|seconds)\b", "<duration>"),
    # Handles AWS gives anew each time; an AMI's id is what was deployed and stays.
    (r"\b(?:i|r|eni|vol|sg|sgr|lt|snap|key|eipalloc)-[0-9a-f]{8,17}\b", "<id>"),
    (r"(?<=/)[0-9a-f]{16}\b", "<id>"),
    (r"\b(?:ip-\d+-\d+-\d+-\d+)\b", "<host>"),
    (r"(?<=@)[0-9a-f]{12}\b", "<host>"),
    (r"(?<=/tmp/)[^/\s]+", "<folder>"),
    (r"(?<=/)(?:tmp|[\w.-]*-)(?=[a-z_]*\d)[a-z0-9_]{8}(?![\w-])", "<folder>"),
    (r"(?:(?<=\d\.\d:)|(?<=alhost:))\d{4,5}\b", "<port>"),
    (r"\b\d+ (?:of \d+ )?requests\b", "<requests>"),
)
_PATTERNS = [(re.compile(pattern), word) for pattern, word in _NOISE]


def quiet(value: Any, key: str = "") -> Any:
    """Return plain JSON without what differs between any two runs.

    Under a key that is a clock's no value counts, whatever it is.
    """
    if key and _CLOCK.fullmatch(key):
        return "<noise>" if value not in (None, "", [], {}) else None
    if key == "version" and isinstance(value, int):
        return "<noise>"  # a stack's state counts its updates
    if isinstance(value, dict):
        # Keys may be ids, too (instances by id); two that read alike are kept apart.
        pairs = [(_text(str(k)), quiet(v, str(k))) for k, v in value.items()]
        if len({name for name, _ in pairs}) == len(pairs):
            return dict(pairs)
        return _sorted([{name: inner} for name, inner in pairs])
    if isinstance(value, list):
        return _sorted([quiet(item) for item in value])
    return _text(value) if isinstance(value, str) else value


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=str))


def _text(text: str) -> str:
    for pattern, word in _PATTERNS:
        text = pattern.sub(word, text)
    return text


def same(first: Any, second: Any, key: str = "") -> bool:
    """Whether two values are the same but for clocks, ids and order."""
    return bool(quiet(first, key) == quiet(second, key))
