"""Ask IAM whether the identity in use may do what an app's notebooks do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from olrunbook.adapters.aws.answers import AwsError, asked
from olrunbook.adopt.iam import Policy
from olrunbook.targets import Target

EXAMPLE = "olrunbook"  # in the place of a `*` of an ARN
NAMED = 6  # actions that are named


class Answer(NamedTuple):
    """What of a notebook's actions in a stage is not allowed."""

    notebook: str
    stage: str
    actions: int
    missing: tuple[str, ...]

    @property
    def found(self) -> str:
        """It as a person reads it."""
        if not self.missing:
            return f"all {self.actions} actions are allowed"
        some = ", ".join(self.missing[:NAMED])
        more = len(self.missing) - NAMED
        rest = f" and {more} more" if more > 0 else ""
        return f"{len(self.missing)} of {self.actions} are not allowed: {some}{rest}"


def principal(target: Target) -> str:
    """Return the ARN of the role or user whose credentials are in use.

    Of an assumed role STS leaves out the path: IAM is asked for it, and where it does
    not answer, the role is taken to have none.

    Raises:
        AwsError: STS does not answer, or it is neither a role nor a user.

    """
    with asked("who we are"):
        arn = target.client("sts").get_caller_identity()["Arn"]
    head, _, name = arn.partition(":assumed-role/")
    if name:
        role = name.partition("/")[0]
        try:
            with asked(f"role {role}"):
                return target.client("iam").get_role(RoleName=role)["Role"]["Arn"]
        except AwsError:
            return f"{head.replace(':sts:', ':iam:')}:role/{role}"
    if ":user/" not in arn:
        msg = f"{arn} is no role and no user: IAM cannot be asked about it"
        raise AwsError(msg)
    return arn


def ask(target: Target, who: str, policies: Sequence[Policy]) -> Iterator[Answer]:
    """Yield for each notebook and stage what of the policies an ARN may not do.

    Raises:
        AwsError: IAM does not answer: it may not be asked, or knows no such identity.

    """
    need: dict[tuple[str, str], list[tuple[dict[str, Any], list[str]]]] = {}
    for policy in policies:
        for statement in policy.document["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            every = policy.notebooks[statement["Sid"]]
            names = dict.fromkeys(n for some in every.values() for n in some)
            for notebook in names:
                actions = [action for action, by in every.items() if notebook in by]
                key = (notebook, policy.stage)
                need.setdefault(key, []).append((statement, actions))
    for (notebook, stage), parts in need.items():
        missing: dict[str, None] = {}
        for statement, actions in parts:
            missing |= dict.fromkeys(_denied(target, who, statement, actions))
        every_action = {action for _, actions in parts for action in actions}
        yield Answer(notebook, stage, len(every_action), tuple(missing))


def _denied(
    target: Target, who: str, statement: dict[str, Any], actions: list[str]
) -> list[str]:
    """Return which actions are denied on an example of what a statement is for."""
    context = [
        {
            "ContextKeyName": key,
            "ContextKeyValues": [_example(value)],
            "ContextKeyType": "string",
        }
        for keys in statement.get("Condition", {}).values()
        for key, value in keys.items()
    ]
    iam = target.client("iam").get_paginator("simulate_principal_policy")
    with asked(f"what {who} may do (iam:SimulatePrincipalPolicy)"):
        pages = list(
            iam.paginate(
                PolicySourceArn=who,
                ActionNames=actions,
                ResourceArns=[_example(statement["Resource"])],
                ContextEntries=context,  # type: ignore[arg-type]
            )
        )
    return [
        one["EvalActionName"]
        for page in pages
        for one in page["EvaluationResults"]
        if one["EvalDecision"] != "allowed"
    ]


def _example(value: str | list[str]) -> str:
    """Return one that fits: the first, with a word for each `*`; all is all."""
    first = value if isinstance(value, str) else value[0]
    return first if first == "*" else first.replace("*", EXAMPLE)
