"""Rules over a preview: what no update does unasked, and the rules of a team.

A rule is a function over the preview that yields `deny("…")` or `warn("…")`. A team's
are the public functions in `rules/*.py` of its project. One that fails denies.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from olrunbook.errors import UsageError
from olrunbook.steps.deploy.plan import Finding, PreviewResult
from olrunbook.steps.deploy.rules import TEMPLATE, apart, guarded, taken_off

FOLDER = "rules"


class Said(NamedTuple):
    """What a rule says; made by `deny` and `warn`."""

    verdict: Literal["deny", "warn"]
    text: str


Rule = Callable[[PreviewResult], Iterable[Said]]


def deny(text: str) -> Said:
    """Return that the update must not be made; `text` says why."""
    return Said("deny", text)


def warn(text: str) -> Said:
    """Return what people should know before the update is made."""
    return Said("warn", text)


def _serving_goes(preview: PreviewResult) -> Iterator[Said]:
    """Deny to replace or delete what serves, or to take a group off its balancer."""
    for change in guarded(preview.changes):
        how = ", and is taken off a load balancer" if taken_off(change) else ""
        # It stands in no way back: what runs does not need it, and a new one is made.
        again = preview.rollback and change.type == TEMPLATE and change.op == "replace"
        say = warn if again else deny
        yield say(f"{change.op} {change.type} {change.name}: it serves{how}")


def _image_roll(preview: PreviewResult) -> Iterator[Said]:
    """Deny in a protected stage what is no part of an image roll."""
    for change in apart(preview.changes) if preview.protected else ():
        yield deny(f"{preview.stage} is protected: {change.line().rstrip()}")


def _size(preview: PreviewResult) -> Iterator[Said]:
    """Deny a group without instances, or outside the catalog's `sizes`."""
    for tag, (least, wanted, most) in preview.sizes.items():
        if wanted < 1 or most < 1:
            yield deny(f"{tag} would have no instance")
        elif not least <= wanted <= most:
            yield deny(f"{tag} would want {wanted} instances, of {least} to {most}")
        elif preview.bounds:
            low, high = preview.bounds
            if not low <= least <= most <= high:
                size = f"{tag} would have {least} to {most} instances"
                yield deny(f"{size}; the catalog allows {low} to {high}")


def _revoked(preview: PreviewResult) -> Iterator[Said]:
    """Deny to go back to what is revoked: people say why, or do not."""
    if preview.rollback and preview.rollback.revoked:
        yield deny(preview.rollback.revoked)


def _rolled_back(preview: PreviewResult) -> Iterator[Said]:
    """Deny to go back to what a rollback has left: people say why, or do not."""
    if preview.rollback and preview.rollback.rolled_back:
        yield deny(preview.rollback.rolled_back)


def _by_hand(preview: PreviewResult) -> Iterator[Said]:
    """Deny to go back before the app has what it needs first."""
    if preview.rollback and preview.rollback.by_hand:
        yield deny(f"do this first, by hand: {preview.rollback.by_hand}")


BUILT_IN: dict[str, Rule] = {
    "serving-goes": _serving_goes,
    "image-roll": _image_roll,
    "size": _size,
    "revoked": _revoked,
    "rolled-back": _rolled_back,
    "by-hand": _by_hand,
}
# What denies a rollback too; what other rules deny, it only says: nothing but its gate
# stands between people and the way back.
OF_ROLLBACKS = ("serving-goes", "revoked", "rolled-back", "by-hand")


def rules_of(root: Path, *, rollback: bool = False) -> dict[str, Rule]:
    """Return the rules by name: those that are built in, and the project's.

    UsageError where a file of rules cannot be loaded, or two rules have one name; of a
    rollback, what is wrong with a file is a rule that warns of it.
    """
    found = dict(BUILT_IN)
    for path in sorted((root / FOLDER).glob("*.py")):
        try:
            found |= _rules_in(path, found)
        except UsageError as error:
            if not rollback:
                raise
            found[path.name] = _warning(str(error).replace(f"{root}/", ""))
    return found


def _warning(text: str) -> Rule:
    return lambda _: [warn(text)]


def _rules_in(path: Path, known: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return the rules of a file, by name; UsageError says what is wrong with it."""
    module = ModuleType(f"olrunbook_rules_{path.stem}")
    module.__file__ = str(path)
    try:
        # Not imported: that would write a __pycache__ into the checkout.
        code = compile(path.read_bytes(), str(path), "exec")
        exec(code, vars(module))  # noqa: S102  (the project's own code)
    except (Exception, SystemExit) as error:
        msg = f"{path} cannot be loaded: {type(error).__name__}: {error}"
        raise UsageError(msg, "Mend it; nothing was changed.") from error
    found = {}
    for name, rule in vars(module).items():
        mine = inspect.isfunction(rule) and rule.__module__ == module.__name__
        if not mine or name.startswith("_"):
            continue
        if name in known:
            msg = f"{path}: there is a rule {name} already"
            raise UsageError(msg, "Give it another name.")
        found[name] = rule
    return found


def require_rules(root: Path, names: Iterable[str]) -> None:
    """Raise UsageError unless there are rules of these names."""
    rules = rules_of(root, rollback=True)  # what it may be, nobody has said yet
    for name in names:
        if name not in rules:
            rules_of(root)  # a file that cannot be loaded may have it
            near = get_close_matches(name, rules, 1)
            hint = f"Did you mean {near[0]}?" if near else ""
            msg = f"there is no rule {name!r}; there are {', '.join(rules)}"
            raise UsageError(msg, hint)


def findings(
    preview: PreviewResult, rules: Mapping[str, Rule], overrides: Mapping[str, str]
) -> list[Finding]:
    """Return what rules say of a preview.

    `overrides` is rule to the reason why what it denies is done nevertheless.
    """
    found = []
    for name, rule in rules.items():
        for said in _ask(rule, preview):
            heard = name in OF_ROLLBACKS or not preview.rollback
            denied = said.verdict == "deny" and heard
            found.append(
                Finding(
                    rule=name,
                    verdict="deny" if denied else "warn",
                    text=said.text,
                    overridden=overrides.get(name, "") if denied else "",
                )
            )
    return found


def _ask(rule: Rule, preview: PreviewResult) -> list[Said]:
    """Return what a rule says; one that fails, or says something else, denies."""
    try:
        said: list[Any] = list(rule(preview) or ())
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever a team's code raises)
        return [deny(f"the rule failed: {type(error).__name__}: {error}")]
    right = [isinstance(one, Said) and isinstance(one.text, str) for one in said]
    if wrong := [one for one, good in zip(said, right, strict=True) if not good]:
        return [deny(f"the rule said {wrong[0]!r}; it must yield deny(…) or warn(…)")]
    return said
