"""The digest of a preview: over canonical values of everything that is shown.

What moves by itself is left out, or no approval would live an hour: which instances
there are, how many (the share that keeps serving is in), their health and images, the
status of a refresh, names that Pulumi makes up. What was deployed is in the stack's
state, and what somebody has changed in it since is a part of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from olrunbook.adapters.aws.seen import GroupSeen
from olrunbook.steps.results import ResourceChange

# Masks are under the key of one run. What they hide is in the worker's fingerprint of
# the resource's inputs, under a key of the target.
MASK = re.compile(r"\[masked:[0-9a-f]{8}\]")
REFRESH_STATUS = re.compile(r"(cancels refresh \S+) \([^)]*\)")
# Of the outlook: that instances go before others serve counts, not how many there are.
COUNTS = re.compile(r"\b\d+( of \d+)?(?= (instances?|serve|go)\b)")
WORDS = {
    "commit": "the commit or the files that differ from it",
    "state": "the state of the stack",
    "outlook": "what it means for what serves",
    "serving": "the share that keeps serving",
    # of a run that waits since an earlier version
    "since": "what else changed since what serves was built",
    "changes": "what would change",
    "groups": "the groups",
    "images": "the image set",
    "rules": "what the rules say",
    "refresh": "template or settings of the refresh",
    "findings": "what is no part of an image roll",
    "target": "target or account",
    "outside": "what was changed outside",
    "user_data": "the user data",
}


def canonical_groups(groups: Sequence[GroupSeen]) -> list[dict[str, Any]]:
    """Return which groups there are, without what moves by itself in them."""
    named = {"node_type", "tag_name", "name"}
    return [group.model_dump(include=named) for group in groups]


def part_digests(
    parts: Mapping[str, Any], made_up: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the digest of each part of what is shown: name to plain JSON.

    `made_up` has names that are others in each preview, and what stands for them.
    """
    found = {}
    for name, value in parts.items():
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        text = REFRESH_STATUS.sub(r"\1", MASK.sub("[masked]", text))
        text = COUNTS.sub("", text) if name == "outlook" else text
        for given, stable in (made_up or {}).items():
            text = text.replace(given, stable)
        found[name] = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return found


def digest(parts: Mapping[str, str]) -> str:
    """Return the digest over the digests of the parts."""
    text = json.dumps(dict(parts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(
    before: Mapping[str, str],
    now: Mapping[str, str],
    changes_before: Sequence[ResourceChange],
    changes_now: Sequence[ResourceChange],
) -> list[str]:
    """Return in words what differs between two previews; empty: nothing."""
    names = [n for n in dict.fromkeys([*before, *now]) if before.get(n) != now.get(n)]
    found = [WORDS.get(name, name) for name in names if name != "changes"]
    if "changes" in names:
        was, new = set(_lines(changes_before)), set(_lines(changes_now))
        told = [f"not shown before: {x}" for x in _lines(changes_now) if x not in was]
        told += [f"no more: {x}" for x in _lines(changes_before) if x not in new]
        found += told or [f"{WORDS['changes']} (a secret, or a value not shown)"]
    return found


def _lines(changes: Sequence[ResourceChange]) -> list[str]:
    """Return changes as lines without the masks of their run."""
    return [MASK.sub("[masked]", change.line().rstrip()) for change in changes]
