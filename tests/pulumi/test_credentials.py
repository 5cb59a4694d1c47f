"""The stand-in provider with a tool's private AWS config and no keys in its shell."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import CredentialRetrievalError
from pulumi.runtime.proto import provider_pb2

from olrunbook.rehearsal.providers.clients import AwsClients
from olrunbook.rehearsal.providers.wire import load, struct
from tests.account import ROLE
from tests.pulumi.test_provider_host import engine
from tests.rehearsal.support import Account

ASK = 'echo asked >>"$ASKED"; cat "$KEYS"; echo "$WORDS" >&2; exit ${ENDS:-0}'


@dataclass
class Shell:
    """A tool's shell: its AWS config has a process that prints the keys in a file.

    Args:
        account: The cloud's account.
        folder: Where the files are.

    """

    account: Account
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """Its environment; the process finds its files by it."""
        return {
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "ASKED": str(self.folder / "asked"),
            "KEYS": str(self.folder / "keys"),
            "WORDS": "log in again",
        }

    def assume(self, session: str) -> None:
        """Put new keys where the process finds them."""
        keys = self.account.client("sts").assume_role(
            RoleArn=ROLE.format("ci"), RoleSessionName=session
        )["Credentials"]
        expires = keys["Expiration"].isoformat().replace("+00:00", "Z")
        said = {**keys, "Version": 1, "Expiration": expires}
        (self.folder / "keys").write_text(json.dumps(said))

    def asked(self) -> int:
        """Return how often the process was asked."""
        return len((self.folder / "asked").read_text().split())


@pytest.fixture
def shell(records: Account, tmp_path: Path) -> Iterator[Shell]:
    """Return a tool's shell; keys live as long as the test says."""
    process = shlex.join(["sh", "-c", ASK])
    (tmp_path / "config").write_text(
        f"[default]\nregion = us-east-1\ncredential_process = {process}\n"
        f"endpoint_url = {records.target.endpoint}\n"
    )
    (tmp_path / "asked").touch()
    yield Shell(records, tmp_path)
    records.tokens(0)


def session_of(arn: str) -> str:
    """Return the session's name in an identity."""
    return arn.rsplit("/", 1)[1]


def test_keys_are_asked_for_before_they_expire(
    shell: Shell, eventually: Callable[..., Any]
) -> None:
    """When a third of their life is left others are there, and no call has failed."""
    began = time.monotonic()
    shell.account.tokens(6)
    shell.assume("first")
    sts = AwsClients(shell.env)("sts")
    assert session_of(sts.get_caller_identity()["Arn"]) == "first"
    shell.account.tokens(0)
    shell.assume("second")
    eventually(lambda: session_of(sts.get_caller_identity()["Arn"]) == "second")
    assert time.monotonic() - began > 3.9
    assert shell.asked() == 2


def test_keys_that_live_for_a_minute_are_asked_for_once(shell: Shell) -> None:
    """For all calls of all services; the region is the profile's."""
    shell.account.tokens(60)
    shell.assume("shared")
    clients = AwsClients(shell.env)
    assert clients.region == "us-east-1"
    assert clients("ec2").describe_vpcs()["Vpcs"]
    assert clients("iam").list_account_aliases()["AccountAliases"]
    assert clients("iam").list_account_aliases()["AccountAliases"]
    assert shell.asked() == 1


def test_a_process_that_fails_says_why(shell: Shell) -> None:
    """Its own words are the error; what it printed is not shown."""
    shell.assume("unused")
    sts = AwsClients({**shell.env, "ENDS": "1"})("sts")
    with pytest.raises(CredentialRetrievalError, match="log in again") as caught:
        sts.get_caller_identity()
    assert "ASIA" not in str(caught.value)


def test_keys_in_the_environment_come_first(shell: Shell, records: Account) -> None:
    """As in AWS's own SDKs; a config that is not there is none."""
    env = {**shell.env, **records.target.environment(), "AWS_CONFIG_FILE": "/nowhere"}
    assert AwsClients(env)("sts").get_caller_identity()
    env["AWS_CONFIG_FILE"] = shell.env["AWS_CONFIG_FILE"]
    assert AwsClients(env)("sts").get_caller_identity()
    assert shell.asked() == 0


def test_an_endpoint_elsewhere_is_refused(shell: Shell) -> None:
    """Also where a profile names it."""
    config = shell.folder / "config"
    config.write_text("[default]\nendpoint_url = https://sts.amazonaws.com\n")
    with pytest.raises(PermissionError, match="this machine only"):
        AwsClients(shell.env)


def test_a_plugin_asks_with_its_own_environment(shell: Shell) -> None:
    """Not with that of the process that keeps the providers ready."""
    shell.assume("plugin")
    home = Path(shell.account.target.env["PULUMI_HOME"])
    with engine(home, "aws", shell.env) as (_, stub):
        stub.Configure(provider_pb2.ConfigureRequest(args=struct({})))
        name = "aws:index/getCallerIdentity:getCallerIdentity"
        found = stub.Invoke(provider_pb2.InvokeRequest(tok=name))
    assert session_of(load(getattr(found, "return"))["arn"]) == "plugin"
    assert shell.asked() == 1
