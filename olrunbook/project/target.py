"""A place to deploy to: the rehearsal, or an account. Part of the catalog."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from olrunbook.project.gates import GateSpec, Lasting
from olrunbook.project.stack import Text

ACCOUNT_ID = r"^(\d{12})?$"
REGION = r"^([a-z]{2}(-[a-z]+)+-\d)?$"
ROLE = re.compile(r"arn:[a-z-]+:iam::\d{12}:role/.+")


class TargetSpec(BaseModel, frozen=True, extra="forbid"):
    """A place to deploy to."""

    title: Text  # what it is, for people
    # `rehearsal`, the cloud on loopback, or `aws`, an account
    kind: Literal["rehearsal", "aws"] = "rehearsal"
    # of an account: its id, its region, the profile of a person's AWS settings (empty:
    # what AWS's tools take by themselves)
    account: Annotated[str, Field(pattern=ACCOUNT_ID)] = ""
    region: Annotated[str, Field(pattern=REGION)] = ""
    profile: str = ""
    # role that is assumed with it, `arn:aws:iam::ID:role/olrunbook-{stage}`; `build` is
    # filled in where there is no stage; `{stage_lower}` too; empty: none
    role: str = ""
    # pattern of the ARN that GetCallerIdentity must answer, with the same placeholders
    identity: str = "*"
    # patterns of the shell's `AWS_*` variables that count; none do unless named
    variables: list[Annotated[str, Field(pattern=r"^AWS_[A-Z0-9_*?]*$")]] = []
    # stage to the gate that an update of it must pass; none: nobody is asked
    gates: dict[str, GateSpec] = {}
    # file of the people whose signatures count, from the project's folder (OpenSSH's
    # allowed_signers)
    signers: str = ""
    # how old a rollout of the stage before may be that opens the next one; None: any
    # age
    fresh: Lasting | None = None

    @model_validator(mode="after")
    def _an_account_is_named(self) -> Self:
        own = ("account", "region", "profile", "role", "variables")
        if self.kind == "rehearsal":
            if given := [name for name in own if getattr(self, name)]:
                msg = f"{given[0]} belongs to a target of kind aws"
                raise ValueError(msg)
        elif missing := [name for name in own[:2] if not getattr(self, name)]:
            msg = f"kind aws needs {' and '.join(missing)}"
            raise ValueError(msg)
        for name in ("role", "identity"):
            try:
                getattr(self, name).format(stage="", stage_lower="")
            except (KeyError, IndexError, ValueError):
                msg = f"{name}: the placeholders are {{stage}} and {{stage_lower}}"
                raise ValueError(msg) from None
        if self.role and not ROLE.fullmatch(self.role):
            msg = f"role: {self.role!r} is no ARN of a role"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _signers_are_known(self) -> Self:
        signed = [stage for stage, gate in self.gates.items() if gate.signature]
        if signed and not self.signers:
            msg = f"gates.{signed[0]} needs signatures: name the file of `signers`"
            raise ValueError(msg)
        if Path(self.signers).is_absolute() or ".." in Path(self.signers).parts:
            msg = f"signers {self.signers!r} must be a path inside the project"
            raise ValueError(msg)
        return self
