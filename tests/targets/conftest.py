"""What makes a target of kind `aws`; what a tool does that is given one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from olrunbook.project.target import TargetSpec
from olrunbook.targets import account
from olrunbook.targets.account import AccountTarget, account_of
from tests.account import PROFILE, Person

ID, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:sts::{ID}:assumed-role/olrunbook-build/"
# What a tool does: ask for credentials by the config that it is given, as AWS's
# libraries do, and say whose they are.
ASKS = """
import botocore.session, sys
session = botocore.session.Session()
sts = session.create_client("sts")
print(sts.get_caller_identity()["Arn"], sts.meta.endpoint_url, flush=True)
for line in sys.stdin:
    print(session.create_client("sts").get_caller_identity()["Arn"], flush=True)
"""

Make = Callable[..., AccountTarget]


@pytest.fixture
def make(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """Return what makes the person's target, with other things in the catalog."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(person.home))
    person.write()

    def made(stage: str = "", **other: Any) -> AccountTarget:
        known = {"title": "an account", "kind": "aws", "account": ID, "region": REGION}
        spec = TargetSpec(**known | {"profile": PROFILE} | other)
        return account_of("prod", spec, tmp_path / "state", stage, {})

    yield made
    for each in (account._CLIENTS, account._CREDENTIALS, account._IDENTITIES):
        each.clear()
    account._WRITTEN.clear()
