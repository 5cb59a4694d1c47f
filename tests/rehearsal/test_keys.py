"""Roles that are assumed: whose keys are served, and until when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config

from olrunbook.adapters.aws.answers import AwsError, asked
from olrunbook.rehearsal.api.account import ROLES
from tests.account import PROFILE, ROLE, Person
from tests.rehearsal.support import FAST, Account, cloud_at


@pytest.fixture
def short(records: Account) -> Iterator[None]:
    """Let keys live for a second and a half while a test runs."""
    records.tokens(1.5)
    yield
    records.tokens(0)


def assume(account: Account, role: str = "qa", **more: Any) -> dict[str, Any]:
    """Return what AssumeRole answers."""
    found: dict[str, Any] = account.client("sts").assume_role(
        RoleArn=ROLE.format(role), RoleSessionName="ann@example.org", **more
    )
    return found


def client(account: Account, service: str, keys: dict[str, Any], **more: Any) -> Any:
    """Return a client with temporary keys; an argument of `more` replaces one."""
    given = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
        **more,
    }
    version = "s3v4" if service == "s3" else "v4"
    config = Config(retries={"total_max_attempts": 1}, signature_version=version)
    place = {
        "endpoint_url": account.target.endpoint,
        "region_name": account.target.region,
    }
    return boto3.client(service, config=config, **place, **given)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_keys_of_its_own(records: Account, role: str) -> None:
    """They are served, and GetCallerIdentity names role and session; ours stays."""
    keys = assume(records, role)["Credentials"]
    mine = client(records, "sts", keys).get_caller_identity()
    session = f"assumed-role/olrunbook-{role}/ann@example.org"
    assert mine["Arn"] == f"arn:aws:sts::123456789012:{session}"
    assert mine["Account"] == "123456789012"
    assert mine["UserId"].endswith(":ann@example.org")
    assert client(records, "ec2", keys).describe_vpcs()["Vpcs"]
    ours = records.client("sts").get_caller_identity()
    assert ours["Arn"] == records.target.identity_arn


@pytest.mark.parametrize(("asked_s", "lives_s"), [(None, 3600), (900, 900)])
def test_keys_live_as_long_as_asked(
    records: Account, asked_s: int | None, lives_s: int
) -> None:
    """An hour where nothing is asked for, as in AWS; a day is refused."""
    more = {"DurationSeconds": asked_s} if asked_s else {}
    expires = assume(records, **more)["Credentials"]["Expiration"]
    assert abs(expires - datetime.now(UTC) - timedelta(seconds=lives_s)) < timedelta(
        minutes=1
    )
    code, _ = records.fault(assume, account=records, DurationSeconds=86400)
    assert code == "ValidationError"


def test_a_role_that_is_not_there_is_refused(records: Account) -> None:
    """So is one that only a service of AWS may take, with the words AWS has."""
    iam, name = records.client("iam"), records.name("role")
    trust = '{"Statement": [{"Principal": {"Service": "ec2.amazonaws.com"}}]}'
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
    for arn in (ROLE.format("nobody"), made["Arn"]):
        code, words = records.fault(
            records.client("sts").assume_role, RoleArn=arn, RoleSessionName="ann"
        )
        assert code == "AccessDenied"
        assert "is not authorized to perform: sts:AssumeRole on resource" in words
        assert words.endswith(arn)
    iam.delete_role(RoleName=name)


def test_a_role_can_assume_another(records: Account) -> None:
    """As a profile does that has one role and a stage that has another."""
    first = client(records, "sts", assume(records, "build")["Credentials"])
    keys = first.assume_role(RoleArn=ROLE.format("ci"), RoleSessionName="bob")
    arn = client(records, "sts", keys["Credentials"]).get_caller_identity()["Arn"]
    assert arn.endswith(":assumed-role/olrunbook-ci/bob")


@pytest.mark.parametrize("token", [None, "another"])
@pytest.mark.parametrize("service", ["sts", "s3"])
def test_keys_without_their_token_are_refused(
    records: Account, token: str | None, service: str
) -> None:
    """None, or that of other keys."""
    keys = assume(records)["Credentials"]
    if token:
        token = assume(records)["Credentials"]["SessionToken"]
    made = client(records, service, keys, aws_session_token=token)
    call = made.list_buckets if service == "s3" else made.get_caller_identity
    assert records.fault(call)[0] == "InvalidClientTokenId"


def test_a_signed_url_carries_its_token(records: Account) -> None:
    """A URL of an object works with temporary keys, too, and not without the token."""
    keys = assume(records)["Credentials"]
    records.client("s3").put_object(
        Bucket="mitol-pulumi-state", Key="signed", Body=b"x"
    )
    url = client(records, "s3", keys).generate_presigned_url(
        "get_object", Params={"Bucket": "mitol-pulumi-state", "Key": "signed"}
    )
    assert records.get(url) == (200, b"x")
    status, _ = records.get(url.replace("X-Amz-Security-Token=", "X-Amz-Other="))
    assert status == 403
    records.client("s3").delete_object(Bucket="mitol-pulumi-state", Key="signed")


def test_expired_keys_are_answered_as_aws_does(
    records: Account, short: None, eventually: Callable[..., Any]
) -> None:
    """Each service has its own error; what watches a rollout knows all of them."""
    keys = assume(records)["Credentials"]
    assert keys["Expiration"] - datetime.now(UTC) < timedelta(seconds=2)
    calls = {
        ("sts", "get_caller_identity"): ("ExpiredToken", 403),
        ("autoscaling", "describe_auto_scaling_groups"): ("ExpiredToken", 403),
        ("s3", "list_buckets"): ("ExpiredToken", 400),
        ("ec2", "describe_vpcs"): ("RequestExpired", 400),
        ("kms", "list_keys"): ("ExpiredTokenException", 400),
    }
    client(records, "sts", keys).get_caller_identity()  # still served
    made = {call: getattr(client(records, call[0], keys), call[1]) for call in calls}
    eventually(lambda: datetime.now(UTC) > keys["Expiration"])
    for which, (code, status) in calls.items():
        with pytest.raises(AwsError, match=code) as caught, asked("something"):
            made[which]()
        assert caught.value.trouble == "expired", which
        assert caught.value.hint.startswith("Log in again"), which
        answer = caught.value.__cause__.response["ResponseMetadata"]
        assert answer["HTTPStatusCode"] == status, which
    records.tokens(0)
    later = assume(records)["Credentials"]
    assert client(records, "sts", later).get_caller_identity()


def test_a_persons_profile_assumes_a_role(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing but their AWS files; their cloud is not that of the other tests."""
    for name, value in person.shell.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(profile_name=PROFILE)
    found = session.client("sts").get_caller_identity()
    assert found["Arn"].endswith(":assumed-role/olrunbook-build/ann")
    assert session.client("ec2").describe_vpcs()["Vpcs"]
    base = boto3.Session(profile_name="base").client("sts").get_caller_identity()
    assert base["Arn"] == person.target.identity_arn


def test_the_account_has_an_alias(records: Account) -> None:
    """By which people know it."""
    found = records.client("iam").list_account_aliases()["AccountAliases"]
    assert found == ["olrunbook-rehearsal"]


def test_a_role_cannot_change_the_rehearsal(records: Account) -> None:
    """How it behaves is told with its own key alone."""
    keys = assume(records)["Credentials"]
    path, header = "/_rehearsal/status", "X-Olrunbook-Key"
    for given in (
        {header: keys["AccessKeyId"]},
        {header: keys["AccessKeyId"], "X-Amz-Security-Token": keys["SessionToken"]},
    ):
        status, _ = records.get(records.target.endpoint + path, **given)
        assert status == 403


def test_settings_shorten_keys_and_none_is_logged(tmp_path: Any) -> None:
    """From the start; no key and no token is in the log or in any other file."""
    settings = FAST.model_copy(update={"token_s": 60.0})
    assert "keys of a role live 60 s" in settings.describe()
    with cloud_at(tmp_path, settings) as account:
        keys = assume(account)["Credentials"]
        assert keys["Expiration"].timestamp() - time.time() < 61
        other = client(account, "sts", keys)
        account.fault(
            other.assume_role, RoleArn=ROLE.format("nobody"), RoleSessionName="ann"
        )
        account.fault(client(account, "ec2", keys).describe_spot_datafeed_subscription)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        text = "".join(path.read_text(errors="replace") for path in files)
    assert "FAULT ec2" in text
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
        assert keys[name] not in text
