"""SimulatePrincipalPolicy, which moto lacks: what the policies of a role or user allow.

What decides is Effect, Action, Resource and the conditions on texts, as AWS reads them.
Boundaries, and policies of groups, organisations and resources are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.access_control import IAMPolicy
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse

from olrunbook.rehearsal.api.patching import override

Document = Mapping[str, Any]


def matches(pattern: str, text: str, *, fold: bool = False) -> bool:
    """Whether a text fits a pattern of IAM's: `*` is any text, `?` one character."""
    parts = re.split(r"([*?])", pattern)
    wild = {"*": ".*", "?": "."}
    said = "".join(wild.get(part) or re.escape(part) for part in parts)
    return bool(re.fullmatch(said, text, re.DOTALL | (re.IGNORECASE if fold else 0)))


def decide(
    documents: list[Document],
    action: str,
    resource: str,
    context: Mapping[str, list[str]],
) -> str:
    """Return `allowed`, `explicitDeny` or `implicitDeny`, as AWS does."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _listed(document["Statement"])
        if _fits(statement, "Action", action, fold=True)
        and _fits(statement, "Resource", resource)
        and _holds(statement.get("Condition", {}), context)
    }
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if "Allow" in effects else "implicitDeny"


def install() -> None:
    """Make IAM answer SimulatePrincipalPolicy."""

    @override(IamResponse)
    def simulate_principal_policy(_: Any, response: IamResponse) -> ActionResult:
        asked = response.params
        documents = list(_documents(response, asked["PolicySourceArn"]))
        context = {
            entry["ContextKeyName"].lower(): entry["ContextKeyValues"]
            for entry in asked.get("ContextEntries", [])
        }
        found = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": decide(documents, action, resource, context),
            }
            for action in asked["ActionNames"]
            for resource in asked.get("ResourceArns") or ["*"]
        ]
        return ActionResult({"EvaluationResults": found, "IsTruncated": False})


def _documents(response: IamResponse, arn: str) -> Iterator[Document]:
    """Yield the policies of a role or a user, by its ARN; not those of groups."""
    backend = response.backend
    everybody: list[Any] = [*backend.get_roles(), *backend.users.values()]
    for one in everybody:
        if one.arn == arn:
            for text in one.policies.values():
                yield json.loads(text)
            for policy in one.managed_policies.values():
                yield IAMPolicy(policy)._policy_json  # noqa: SLF001  (its own version)
            return
    msg = f"The role or user {arn} cannot be found."
    raise NotFoundException(msg)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fits(statement: Document, what: str, text: str, *, fold: bool = False) -> bool:
    given, negated = statement.get(what), statement.get(f"Not{what}")
    patterns = _listed(given if given is not None else negated)
    found = any(matches(pattern, text, fold=fold) for pattern in patterns)
    return found if given is not None else not found


def _holds(condition: Document, context: Mapping[str, list[str]]) -> bool:
    """Whether each condition holds; one on what nobody has said does not."""
    for operator, keys in condition.items():
        like = operator.rpartition(":")[2].endswith("Like")
        for key, wanted in keys.items():
            have = context.get(key.lower(), [])
            if not any(
                matches(pattern, one) if like else pattern == one
                for pattern in _listed(wanted)
                for one in have
            ):
                return False
    return True
