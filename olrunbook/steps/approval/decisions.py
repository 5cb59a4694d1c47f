"""Decisions of people as entries of a stage's chain: made, counted, and used once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from olrunbook.adapters import ssh
from olrunbook.archive import chain
from olrunbook.errors import RefusedError, ToolError
from olrunbook.record.files import short
from olrunbook.steps.approval.model import Approval, Asked

SIGNED = (
    *("kind", "run_id", "gate", "digest", "signed_at", "until", "reason"),
    *("emergency", "of"),
)


class By(NamedTuple):
    """Who decides."""

    person: str  # who, in one line
    known: str  # how that is known
    identity: str = ""  # the AWS identity the target is used with; a fact, no proof
    sign: Path | None = None  # the private key that signs it; None: it is not signed


@dataclass(slots=True)
class Standing:
    """What the chain says of a question."""

    # the entries that count, each of another person
    approvals: list[dict[str, Any]] = field(default_factory=list)
    # those given in an emergency: one is enough, and counts for nothing else
    alone: list[dict[str, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # who signed these, in lower case
    keys: set[str] = field(default_factory=set)  # with which keys
    notes: list[str] = field(default_factory=list)  # why other approvals do not count

    def enough(self, people: int) -> list[dict[str, Any]]:
        """Return the entries that open a gate of so many people; empty: none do."""
        if len(self.approvals) >= people:
            return self.approvals[:people]
        return self.alone[:1]


def message(entry: dict[str, Any]) -> bytes:
    """Return what the signature of a decision is over: one line of JSON."""
    facts = {name: entry.get(name) for name in SIGNED}
    return (json.dumps(facts, sort_keys=True, ensure_ascii=False) + "\n").encode()


def decide(
    room: Path,
    asked: Asked,
    by: By,
    reason: str,
    *,
    approved: bool,
    emergency: bool = False,
    signers: Path | None = None,
    outdated: str = "",
    now: datetime | None = None,
) -> dict[str, Any]:
    """Enter a person's decision into the chain of the stage; return the entry.

    Args:
        room: The folder of the stage.
        asked: What is decided; the run that asks is its first.
        by: Who decides.
        reason: Why, without secrets: it stays for good.
        approved: Approved, else rejected.
        emergency: One signature is to be enough where the gate asks for more people.
        signers: The file of allowed signers; needed for a signature.
        outdated: Why what was shown cannot be done any more; empty: it can.
        now: The present (UTC); None: the clock's.

    Raises:
        RefusedError: It was rejected before, or its approval was used; the approval
            would not count; the gate wants a signature and there is none, or one that
            does not count; an emergency where one person is enough.
        UsageError: What is to sign is no key, or cannot be opened.
        ToolError: ssh-keygen could not be run.
        OSError: The chain cannot be written.

    """
    kind = "approved" if approved else "rejected"
    if approved and asked.spec.signature and not by.sign:
        msg = f"the gate of {asked.gate} wants a signature"
        words = f'olrunbook approve {short(asked.runs[0])} --reason "…" --sign KEYFILE'
        raise RefusedError(msg, f"Sign it: {words}")
    if emergency and asked.spec.people == 1:
        msg = f"the gate of {asked.gate} asks for one person: this is no emergency"
        raise RefusedError(msg, "Leave --emergency out.")
    now = now or datetime.now(UTC)
    data: dict[str, Any] = {"run_id": asked.runs[0], "gate": asked.gate}
    data |= {"digest": asked.digest, "reason": reason}
    until = {"until": _text(now + asked.spec.lasts)}
    data |= until if approved else {"runs": asked.runs}
    data |= {"emergency": True} if emergency else {}
    data = signed(kind, data, by, signers, now)
    with chain.locked(room):
        entries = chain.entries(room)
        require_not_rejected(entries, asked.runs, asked.gate)
        if any(e.get("signature") == data.get("signature", "") for e in entries):
            msg = "this decision is in the chain already"
            raise RefusedError(msg, "There is nothing more to do.")
        if user := _user(entries, asked.gate, asked.runs[0]):
            msg = f"what was approved for run {short(asked.runs[0])} was used by "
            msg += f"run {short(user)}"
            raise RefusedError(msg, "Each run asks for an approval of its own.")
        if approved:
            there, entry = standing(entries, asked, signers), {"kind": kind, **data}
            if why := outdated or does_not_count(entry, asked, signers, there):
                msg = f"this approval would not count: {why}"
                hint = "Somebody else must approve it."
                if outdated:
                    hint = "See what would be done now: olrunbook resume RUN"
                raise RefusedError(msg, hint)
        return chain.append(room, kind, held=True, **data)


def signed(
    kind: str, data: dict[str, Any], by: By, signers: Path | None, now: datetime
) -> dict[str, Any]:
    """Return a decision with who made it, signed where there is a key.

    RefusedError where the signature does not count; of a key as `decide` says.
    """
    data = {**data, "person": by.person, "known": by.known}
    data |= {"identity": by.identity} if by.identity else {}
    if by.sign:
        data["signed_at"] = _text(now)
        data["signature"] = ssh.sign(by.sign, message({"kind": kind, **data}))
        signer = signer_of({"kind": kind, **data}, signers)
        if isinstance(signer, str):
            raise RefusedError(signer, f"Those who may sign stand in {signers}.")
        data["person"] = signer.names[0]
        data["known"] = f"signature, {signer.key}; {by.person}, {by.known}"
    return data


def use(
    room: Path, asked: Asked, signers: Path | None = None, now: datetime | None = None
) -> tuple[list[Approval], list[str]]:
    """Use up the approvals of a question, if there are enough: once, for its first run.

    Returns:
        The approvals that were used, and why others do not count; none: not enough.

    Raises:
        RefusedError: It was rejected, or head and chain disagree.
        OSError: The chain cannot be written.

    """
    with chain.locked(room):  # two that resume at once: the second sees the first
        if found_wrong := chain.disagreement(room):
            msg = f"the chain of {room.name} was changed: {found_wrong}"
            raise RefusedError(msg, "Look at it: olrunbook verify")
        entries = chain.entries(room)
        found = standing(entries, asked, signers, now)
        require_not_rejected(entries, asked.runs, asked.gate)
        if not (taken := found.enough(asked.spec.people)):
            given = ", ".join(str(entry.get("person")) for entry in found.approvals)
            many = f"{len(found.approvals)} of {asked.spec.people} people have approved"
            return [], [*([f"{many} it: {given}"] if given else []), *found.notes]
        data: dict[str, Any] = {"run_id": asked.runs[0], "gate": asked.gate}
        data |= {"digest": asked.digest, "runs": asked.runs}
        data["approvals"] = [entry["n"] for entry in taken]
        chain.append(room, "used", held=True, **data)
    names = ("person", "known", "reason", "at", "until")
    return [
        Approval(
            entry=entry["n"],
            emergency=entry in found.alone,
            **{name: str(entry.get(name)) for name in names},
        )
        for entry in taken
    ], []


def standing(
    entries: Sequence[dict[str, Any]],
    asked: Asked,
    signers: Path | None = None,
    now: datetime | None = None,
) -> Standing:
    """Return which approvals count for a question, and why the others do not."""
    now = now or datetime.now(UTC)
    found = Standing()
    used = {n: e for e in of_kind(entries, "used") for n in listed(e.get("approvals"))}
    copies: set[str] = set()
    for entry in of_kind(entries, "approved", asked.gate):
        copied = str(entry.get("signature") or entry.get("n")) in copies
        copies.add(str(entry.get("signature") or entry.get("n")))
        if entry.get("run_id") not in asked.runs:
            continue
        who = f"the approval of {entry.get('person')}"
        if entry.get("n") in used:
            by = short(str(used[entry["n"]].get("run_id")))
            found.notes.append(f"{who} was used by run {by}")
        elif user := _user(entries, asked.gate, str(entry.get("run_id"))):
            text = f"{who} is of a question whose approval was used by run"
            found.notes.append(f"{text} {short(user)}")
        elif copied:
            found.notes.append(f"{who} is a copy")
        elif entry.get("digest") != asked.digest:
            found.notes.append(f"{who} is of another preview")
        elif _expired(entry, now):
            found.notes.append(f"{who} expired at {entry.get('until')}")
        elif why := does_not_count(entry, asked, signers, found):
            found.notes.append(f"{who} does not count: {why}")
        else:
            (found.alone if entry.get("emergency") else found.approvals).append(entry)
    return found


def may_be_used(entries: Sequence[dict[str, Any]], run_id: str) -> bool:
    """Whether a run has an approval that is neither used, expired nor taken back."""
    now = datetime.now(UTC)
    used = {n for e in of_kind(entries, "used") for n in listed(e.get("approvals"))}
    if any(run_id in _rejected(entry) for entry in of_kind(entries, "rejected")):
        return False
    return any(
        entry.get("run_id") == run_id
        and entry.get("n") not in used
        and not _user(entries, str(entry.get("gate")), run_id)
        and not _expired(entry, now)
        for entry in of_kind(entries, "approved")
    )


def require_not_rejected(
    entries: Sequence[dict[str, Any]], runs: Sequence[str], gate: str = ""
) -> None:
    """Raise RefusedError where one of these runs was rejected."""
    for entry in of_kind(entries, "rejected", gate):
        if not _rejected(entry).isdisjoint(runs):
            msg = f"run {short(str(entry.get('run_id')))} was rejected by "
            msg += f'{entry.get("person")}: "{entry.get("reason")}"'
            raise RefusedError(msg, "Change what was rejected and run it anew.")


def does_not_count(
    entry: dict[str, Any], asked: Asked, signers: Path | None, there: Standing
) -> str:
    """Return why an approval adds nobody; else note its person, and return nothing."""
    if not entry.get("signature"):
        return "it is not signed" if asked.spec.signature else ""
    signer = signer_of(entry, signers)
    if isinstance(signer, str):
        return signer
    if asked.spec.people == 1:
        return ""
    return _not_another(entry, signer, asked.runners, there)


def _not_another(
    entry: dict[str, Any],
    signer: ssh.Signer,
    started: Sequence[str],
    there: Standing,
) -> str:
    """Return why a signer is not one more person; else note it, and return nothing."""
    mine = {name.lower() for name in signer.names if not set(name) & set("*?!")}
    if not mine:
        return f"{signer.names[0]} is a pattern: it names no person"
    if entry.get("emergency"):
        return ""  # whoever is there, the one who started the run too
    runners = {name.lower() for name in started}
    if (mine | {name.partition("@")[0] for name in mine}) & runners:
        return f"{signer.names[0]} started the run"
    why = ""
    if mine & there.names or signer.key in there.keys:
        why = f"{signer.names[0]} has approved it already"
    there.names |= mine
    there.keys.add(signer.key)
    return why


def signer_of(entry: dict[str, Any], signers: Path | None) -> ssh.Signer | str:
    """Return who signed an entry, or why nobody did whose signature counts."""
    if signers is None:
        return "the target has no file of allowed signers"
    try:
        return ssh.verify(signers, message(entry), str(entry.get("signature")))
    except ToolError as error:
        return str(error)


def _user(entries: Sequence[dict[str, Any]], gate: str, run_id: str) -> str:
    """Return the run that used what was approved for a run; empty: none did."""
    for entry in of_kind(entries, "used", gate):
        if run_id in listed(entry.get("runs")):
            return str(entry.get("run_id"))
    return ""


def _rejected(entry: dict[str, Any]) -> set[Any]:
    """Return the runs that a rejection is of: the run, and those it took up again."""
    return {str(entry.get("run_id")), *listed(entry.get("runs"))}


def of_kind(
    entries: Sequence[dict[str, Any]], kind: str, gate: str = ""
) -> list[dict[str, Any]]:
    """Return the entries of a kind, and of a gate where one is named."""
    mine = (entry for entry in entries if entry["kind"] == kind)
    # A line may have been written by anybody: without a number it is no decision.
    numbered = (entry for entry in mine if isinstance(entry.get("n"), int))
    return [entry for entry in numbered if gate in ("", entry.get("gate"))]


def listed(value: Any) -> list[Any]:
    """Return a list of texts and numbers; of anything else nothing."""
    found = value if isinstance(value, list) else []
    return [item for item in found if isinstance(item, str | int)]


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _expired(entry: dict[str, Any], now: datetime) -> bool:
    """Whether an approval is over, or does not say (in UTC) how long it holds."""
    try:
        return now >= datetime.fromisoformat(entry["until"])
    except (KeyError, TypeError, ValueError):
        return True
