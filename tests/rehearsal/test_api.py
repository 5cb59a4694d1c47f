"""The AWS API of the rehearsal: who may call it, what it refuses, how it fails."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from olrunbook.rehearsal.api.headers import KEY_HEADER
from olrunbook.targets import target as targets
from tests.rehearsal.support import Account
from tests.scenarios.permissions import calls


def stranger(account: Account, service: str, key: str = "AKIAIOSFODNN7EXAMPLE") -> Any:
    """Return a client with credentials that are not the kit's."""
    return boto3.client(
        service,
        endpoint_url=account.target.endpoint,
        region_name=account.target.region,
        aws_access_key_id=key,
        aws_secret_access_key="x" * 40,
        config=Config(retries={"total_max_attempts": 1}),
    )


def raw(account: Account, path: str, **headers: str) -> tuple[int, bytes]:
    """Make a plain request and return status and body."""
    host = account.target.endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_what_was_done_is_not_done_again_for_a_second_attempt(
    records: Account,
) -> None:
    """An SDK asks again where it did not get the answer."""
    ec2 = boto3.client(
        "ec2",
        endpoint_url=records.target.endpoint,
        region_name=records.target.region,
        aws_access_key_id=records.target.access_key.get_secret_value(),
        aws_secret_access_key=records.target.secret_key.get_secret_value(),
    )
    told = {"id": "one", "request": "attempt=1; max=3"}

    def mark(request: Any, **_: Any) -> None:
        request.headers["amz-sdk-invocation-id"] = told["id"]
        request.headers["amz-sdk-request"] = told["request"]

    ec2.meta.events.register("before-send.ec2.*", mark)
    name = records.name("sg")
    given = {"GroupName": name, "Description": "x", "VpcId": records.vpc()}
    first = ec2.create_security_group(**given)["GroupId"]
    told["request"] = "attempt=2; max=3"
    assert ec2.create_security_group(**given)["GroupId"] == first
    told["id"] = "another"
    with pytest.raises(ClientError, match=r"InvalidGroup\.Duplicate"):
        ec2.create_security_group(**given)


class TestWhoMayCall:
    """Only the kit's own key, and only under the endpoint's own name."""

    def test_identity_says_rehearsal(self, records: Account) -> None:
        """GetCallerIdentity names a role that says what this is."""
        found = records.client("sts").get_caller_identity()
        assert found["Arn"] == records.target.identity_arn
        assert ":assumed-role/olrunbook-rehearsal/" in found["Arn"]
        assert found["Account"] == records.target.account == "123456789012"

    @pytest.mark.parametrize(
        ("service", "call"),
        [
            ("sts", "get_caller_identity"),
            ("ec2", "describe_images"),
            ("autoscaling", "describe_auto_scaling_groups"),
            ("kms", "list_keys"),
            ("s3", "list_buckets"),
            ("route53", "list_hosted_zones"),
        ],
    )
    def test_foreign_key_is_refused(
        self, records: Account, service: str, call: str
    ) -> None:
        """Credentials of a real account get an AWS error, in every protocol."""
        with pytest.raises(ClientError) as caught:
            getattr(stranger(records, service), call)()
        assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

    def test_unsigned_is_refused(self, records: Account) -> None:
        """A request without credentials gets nothing, nor does moto's own page."""
        for path in (
            "/",
            "/mitol-pulumi-state",
            "/moto-api/data.json",
            "/_rehearsal/x",
        ):
            status, body = raw(records, path)
            assert status == 403, path
            assert b"MissingAuthenticationToken" in body

    def test_other_names_are_refused(self, records: Account) -> None:
        """A page in a browser cannot reach it under a name of its own."""
        key = records.target.access_key.get_secret_value()
        status, body = raw(
            records, "/_rehearsal/status", Host="evil.example", **{KEY_HEADER: key}
        )
        assert (status, b"AccessDenied" in body) == (403, True)

    def test_tells_its_status(self, records: Account) -> None:
        """The kit's own key gets the survey."""
        key = records.target.access_key.get_secret_value()
        status, body = raw(records, "/_rehearsal/status", **{KEY_HEADER: key})
        assert status == 200
        assert json.loads(body)["cloud_id"] == records.target.cloud_id

    def test_tells_what_was_called_and_by_whom(
        self, records: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each protocol by its own operation; the caller is the run, if there is one.

        A body is still there for whoever answers: the object is read again.
        """
        monkeypatch.setenv("OLRUNBOOK_RUN_ID", "a-run-of-the-test")
        target, key = records.target, f"calls/{records.name()}"
        s3, bucket = target.client("s3"), "mitol-pulumi-state"
        s3.put_object(Bucket=bucket, Key=key, Body=b"Action=NotThis&x=1")
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert body == b"Action=NotThis&x=1"
        s3.head_object(Bucket=bucket, Key=key)
        s3.list_objects_v2(Bucket=bucket)
        target.client("ec2").describe_vpcs()
        found = {
            (row["service"], row["action"]): row
            for row in calls(target)
            if row["caller"] == "olrunbook-a-run-of-the-test"
        }
        assert set(found) == {
            ("s3", "PutObject"),
            ("s3", "GetObject"),
            ("s3", "HeadObject"),
            ("s3", "ListObjectsV2"),
            ("ec2", "DescribeVpcs"),
        }
        put = found["s3", "PutObject"]
        assert put["resource"] == f"arn:aws:s3:::{bucket}/{key}"
        assert (put["count"], put["since"]) == (1, put["last"])
        monkeypatch.delenv("OLRUNBOOK_RUN_ID")
        target.client("ec2").describe_vpcs()
        assert ("ec2", "olrunbook") in {
            (row["service"], row["caller"]) for row in calls(target)
        }

    def test_no_other_origins(self, records: Account) -> None:
        """Answers carry no CORS header."""
        found = records.ec2.describe_vpcs()["ResponseMetadata"]["HTTPHeaders"]
        assert not [name for name in found if name.startswith("access-control")]


def test_hostile_shell_diverts_nothing(
    records: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Profile, endpoints, proxies and files of the user's shell change no call."""
    config = tmp_path / "config"
    config.write_text("[default]\nregion = mars-1\nendpoint_url = http://127.0.0.1:9\n")
    for name in (
        "HTTP_PROXY",
        "http_proxy",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_EC2",
    ):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    targets._session.cache_clear()
    targets._client.cache_clear()
    client = records.target.client("ec2")
    assert client.describe_vpcs()["Vpcs"]
    assert records.target.client("ec2") is client  # the same one each time


class TestRefusals:
    """What would leave loopback, and what is not there."""

    def test_elastic_addresses(self, records: Account) -> None:
        """AllocateAddress and its kin are refused in AWS's form, with the reason."""
        ec2 = records.ec2
        code, message = records.fault(ec2.allocate_address, Domain="vpc")
        assert code == "UnsupportedOperation"
        assert "loopback" in message
        code, _ = records.fault(
            ec2.associate_address, AllocationId="eipalloc-1", InstanceId="i-1"
        )
        assert code == "UnsupportedOperation"
        code, _ = records.fault(
            ec2.create_nat_gateway, SubnetId=records.subnets()[0], AllocationId="e-1"
        )
        assert code == "UnsupportedOperation"

    @pytest.mark.parametrize(
        ("service", "call", "arguments", "wanted"),
        [
            ("ec2", "describe_network_insights_paths", {}, "InvalidAction"),
            (
                "autoscaling",
                "get_predictive_scaling_forecast",
                {
                    "AutoScalingGroupName": "g",
                    "PolicyName": "p",
                    "StartTime": 0,
                    "EndTime": 1,
                },
                "InvalidAction",
            ),
            ("kms", "list_retirable_grants", {"RetiringPrincipal": "p"}, ""),
            (
                "kms",
                "connect_custom_key_store",
                {"CustomKeyStoreId": "c"},
                "UnknownOperationException",
            ),
        ],
        ids=["ec2", "query", "known", "json"],
    )
    def test_unknown_actions(
        self,
        records: Account,
        service: str,
        call: str,
        arguments: dict[str, Any],
        wanted: str,
    ) -> None:
        """An action moto lacks is an AWS error, not a page of HTML."""
        client = records.client(service)
        assert records.fault(getattr(client, call), **arguments)[0] == wanted

    def test_services_that_reach_out(self, records: Account) -> None:
        """A service that could send something elsewhere is not there."""
        code, message = records.fault(
            records.client("sns").subscribe,
            TopicArn="arn:aws:sns:us-east-1:1:t",
            Protocol="http",
            Endpoint="http://example.org",
        )
        assert code == "InvalidAction"
        assert "sns" in message

    def test_unknown_names(self, records: Account) -> None:
        """Names that are not there are ValidationErrors; a look finds nothing."""
        asg = records.asg
        for call, more in (
            (asg.update_auto_scaling_group, {"MinSize": 1}),
            (asg.set_desired_capacity, {"DesiredCapacity": 1}),
            (asg.delete_auto_scaling_group, {}),
            (asg.describe_scaling_activities, {}),
            (asg.suspend_processes, {}),
        ):
            code, _ = records.fault(call, AutoScalingGroupName="nope", **more)
            assert code == "ValidationError"
        found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["nope"])
        assert found["AutoScalingGroups"] == []
        code, _ = records.fault(
            asg.terminate_instance_in_auto_scaling_group,
            InstanceId="i-00000000000000000",
            ShouldDecrementDesiredCapacity=False,
        )
        assert code == "ValidationError"

    def test_rarely_used_looks(self, records: Account) -> None:
        """Looks that moto lacks answer as in an account that does not use them."""
        asg = records.asg
        assert asg.describe_account_limits()["MaxNumberOfAutoScalingGroups"]
        found = asg.describe_notification_configurations()
        assert found["NotificationConfigurations"] == []
        found = asg.describe_traffic_sources(AutoScalingGroupName="x")
        assert found["TrafficSources"] == []
        assert asg.describe_metric_collection_types()["Metrics"] == []
