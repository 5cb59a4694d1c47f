"""STS: GetCallerIdentity says that this is a rehearsal; roles can be assumed."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import Role, iam_backends
from moto.sts.responses import TokenResponse

from olrunbook.rehearsal.api.faults import Fault, FaultError
from olrunbook.rehearsal.api.keys import Keys
from olrunbook.rehearsal.api.patching import override
from olrunbook.rehearsal.places import ACCOUNT

SHORTEST_S, LONGEST_S = 900, 3600  # how long a role's keys live: AWS's own limits
NAME = re.compile(r"[\w+=,.@-]{2,64}")


def install(keys: Keys) -> None:
    """Let STS answer for these keys."""

    def caller(response: TokenResponse) -> tuple[str, str]:
        """Return ARN and user id of whoever asks."""
        if session := keys.session(response.get_access_key()):
            return session.arn, session.user_id
        name = keys.identity_arn.rsplit("/", 1)[1]
        return keys.identity_arn, f"AROAOLRUNBOOKREHEARSAL:{name}"

    @override(TokenResponse)
    def get_caller_identity(_: Any, response: TokenResponse) -> ActionResult:
        arn, user_id = caller(response)
        return ActionResult({"UserId": user_id, "Account": ACCOUNT, "Arn": arn})

    @override(TokenResponse)
    def assume_role(_: Any, response: TokenResponse) -> ActionResult:
        """Return keys that are served; moto's would not be."""
        asked_arn, name, asked_s = (
            response._get_param(key)  # noqa: SLF001
            for key in ("RoleArn", "RoleSessionName", "DurationSeconds")
        )
        role = _role(str(asked_arn))
        if role is None:
            who = f"User: {caller(response)[0]} is not authorized to perform"
            words = f"{who}: sts:AssumeRole on resource: {asked_arn}"
            raise FaultError(Fault("AccessDenied", words, 403))
        asked_s = int(asked_s or LONGEST_S)
        if not SHORTEST_S <= asked_s <= LONGEST_S or not NAME.fullmatch(str(name)):
            words = (
                f"1 validation error: DurationSeconds must be {SHORTEST_S} to "
                f"{LONGEST_S}, RoleSessionName must match {NAME.pattern}"
            )
            raise FaultError(Fault("ValidationError", words))
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.name}/{name}"
        made = keys.issue(arn, f"{role.id}:{name}", asked_s)
        given = {
            "AccessKeyId": made.access_key,
            "SecretAccessKey": made.secret_key,
            "SessionToken": made.token,
            "Expiration": made.expires,
        }
        user = {"AssumedRoleId": made.user_id, "Arn": arn}
        return ActionResult({"Credentials": given, "AssumedRoleUser": user})


def _role(arn: str) -> Role | None:
    """Return a role that an account's people may assume, not only a service of AWS."""
    try:
        role: Role = iam_backends[ACCOUNT]["aws"].get_role_by_arn(arn)
    except NotFoundException:
        return None
    trust = json.loads(role.assume_role_policy_document)["Statement"]
    statements = trust if isinstance(trust, list) else [trust]
    trusted = any("AWS" in statement.get("Principal", {}) for statement in statements)
    return role if trusted else None
