"""Changes that one person approved where more were demanded; who signed them later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from olrunbook.archive import chain
from olrunbook.errors import RefusedError
from olrunbook.record.files import short
from olrunbook.steps.approval.decisions import (
    By,
    Standing,
    does_not_count,
    listed,
    of_kind,
    signed,
    signer_of,
)
from olrunbook.steps.approval.model import Asked


class Emergency(NamedTuple):
    """A change that one person approved where more were demanded."""

    use: dict[str, Any]  # the entry of its use
    approval: dict[str, Any]  # the entry of the approval
    countersigned: dict[str, Any] | None  # the entry of who did; None: nobody yet


def emergencies(entries: Sequence[dict[str, Any]]) -> list[Emergency]:
    """Return the emergencies of a stage, oldest first."""
    approvals = {entry["n"]: entry for entry in of_kind(entries, "approved")}
    signed = {entry.get("of"): entry for entry in of_kind(entries, "countersigned")}
    return [
        Emergency(entry, approvals[number], signed.get(entry["n"]))
        for entry in of_kind(entries, "used")
        for number in listed(entry.get("approvals"))
        if number in approvals and approvals[number].get("emergency")
    ]


def countersign(
    room: Path, asked: Asked, by: By, reason: str, *, signers: Path | None
) -> dict[str, Any]:
    """Enter a second person's signature for the emergency; return the entry.

    Raises:
        RefusedError: There is no emergency of this run, or it is countersigned; the
            signature is none, or is of who approved it or started the run.
        UsageError: What is to sign is no key, or cannot be opened.
        ToolError: ssh-keygen could not be run.
        OSError: The chain cannot be written.

    """
    run = short(asked.runs[0])
    with chain.locked(room):
        found = emergencies(chain.entries(room))
        mine = [one for one in found if one.use.get("run_id") == asked.runs[0]]
        if not mine or mine[-1].countersigned:
            none = "made no change in an emergency"
            msg = f"run {run} {'is countersigned already' if mine else none}"
            raise RefusedError(msg, "There is nothing to countersign.")
        data = {name: mine[-1].use.get(name) for name in ("run_id", "gate", "digest")}
        data |= {"of": mine[-1].use["n"], "reason": reason}
        data = signed("countersigned", data, by, signers, datetime.now(UTC))
        # Who approved may have another key by now, or be no signer any more.
        first = signer_of(mine[-1].approval, signers)
        there = Standing(names={str(mine[-1].approval.get("person")).lower()})
        if not isinstance(first, str):
            there.names.update(map(str.lower, first.names))
            there.keys.add(first.key)
        entry = {"kind": "countersigned", **data}
        if why := does_not_count(entry, asked, signers, there):
            msg = f"this does not countersign run {run}: {why}"
            raise RefusedError(msg, "Somebody else must sign it.")
        return chain.append(room, "countersigned", held=True, **data)
