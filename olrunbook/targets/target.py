"""Where the tools work: a target's endpoint, identity and environment, as a value.

The rehearsal writes one private file, `target.json`; an account is made of the catalog.
Steps and notebooks need not know which of the two it is.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from pydantic import BaseModel, Field, SecretStr

from olrunbook.targets.identity import wrong_identity
from olrunbook.targets.place import caller, tool_environment

if TYPE_CHECKING:
    import boto3.session
    from botocore.client import BaseClient
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient


class Target(BaseModel, frozen=True, extra="forbid"):
    """A place to deploy to, ready for use."""

    name: str  # its name in the catalog
    kind: Literal["rehearsal", "aws"] = "rehearsal"  # the catalog's
    cloud_id: str  # identifies this incarnation of the cloud; records name it
    account: str  # AWS account id
    region: str  # AWS region
    endpoint: str = ""  # endpoint of the AWS API; empty: what the profile says
    # the rehearsal's own keys; an account's are a person's, and never stored
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    # what GetCallerIdentity must answer before anything is called; of an account a
    # pattern (`*`, `?`) until it was asked
    identity_arn: str
    alias: str = ""  # the account's name, where it has one
    env: dict[str, str] = {}  # more environment for tools (PULUMI_HOME, VAULT_ADDR, …)
    secrets: list[str] = []  # names in `env` whose values are secret
    path: list[str] = []  # folders of the tools, before the caller's PATH
    home: Path  # HOME of the tools (no ambient configuration of the user's)
    state: Path  # the target's private folder
    # what is not the real thing, one line each, for the record
    stand_ins: list[str] = []
    # name to version and origin of each tool that `path` leads to
    tools: dict[str, str] = {}
    # API calls that a rollout may make in a minute: for its first group, and for each
    # more; None: it may look as often as it likes
    calls: tuple[int, int] | None = (12, 4)
    renew: str = "aws sso login"  # what to type when the credentials have expired
    schema_: str = Field("olrunbook/target/1", alias="schema")

    def environment(self) -> dict[str, str]:
        """Return the environment for tools: an allow-list, then the target's own."""
        inherited = tool_environment()
        return {
            **inherited,
            "PATH": os.pathsep.join([*self.path, inherited["PATH"]]),
            "HOME": str(self.home),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SDK_UA_APP_ID": caller(),
            "AWS_CONFIG_FILE": str(self.home / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "aws-credentials"),
            **self._keys(),
            **self.env,
        }

    def _keys(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": self.secret_key.get_secret_value(),
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def identified(self) -> Target:
        """Return the target as AWS said who we are there: a rehearsal knows it."""
        return self

    def forget(self) -> None:
        """Ask anew for credentials before the next call: a rehearsal's are the same."""

    def wrong(self, identity: Mapping[str, object]) -> str:
        """Return how GetCallerIdentity answers otherwise than it must; empty: not."""
        return wrong_identity(identity, self.account, self.identity_arn)

    def secret_values(self) -> list[str]:
        """Return the values that must never be shown."""
        own = self.secret_key.get_secret_value()
        return [
            *([own] if own else []),
            *(self.env[name] for name in self.secrets if name in self.env),
        ]

    def digest_key(self) -> str:
        """Return the key under which what is secret goes into a preview's digest.

        It is the same for every run on the target, and on no disk beside its secrets.
        """
        secret = self.secret_key.get_secret_value().encode()
        return hmac.new(secret, b"olrunbook preview", hashlib.sha256).hexdigest()

    @overload
    def client(self, service: Literal["autoscaling"]) -> AutoScalingClient: ...
    @overload
    def client(self, service: Literal["ec2"]) -> EC2Client: ...
    @overload
    def client(self, service: Literal["elbv2"]) -> ElasticLoadBalancingv2Client: ...
    @overload
    def client(self, service: Literal["iam"]) -> IAMClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["sts"]) -> STSClient: ...
    def client(self, service: str) -> BaseClient:
        """Return a boto3 client of this target that no ambient setting can divert.

        It is the same one each time: what AWS's services look like is read from large
        files, half a second for each client.
        """
        secrets = (self.access_key, self.secret_key)
        keys = secrets[0].get_secret_value(), secrets[1].get_secret_value()
        with _MAKING:  # a session is not made for threads; a client is
            return _client(service, self.endpoint or None, self.region, caller(), keys)


_MAKING = threading.Lock()


@functools.lru_cache(maxsize=32)
def _client(
    service: str,
    endpoint: str | None,
    region: str,
    us: str,
    keys: tuple[str, str],
) -> BaseClient:
    from botocore.config import Config  # noqa: PLC0415  (heavy: only where it is used)

    # boto3's types name every service; which one it is, is not known here.
    make: Callable[..., BaseClient] = _session().client
    return make(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(
            user_agent_appid=us,  # type: ignore[call-arg]  # its types are older
            proxies={},  # the endpoint is never reached through one
            retries={"mode": "adaptive", "max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
        ),
    )


@functools.cache
def _session() -> boto3.session.Session:
    import boto3  # noqa: PLC0415  (heavy: only where it is used)
    import botocore.session  # noqa: PLC0415

    # An AWS_PROFILE or a config file of the user's shell is not even looked at.
    nothing = (None, None, os.devnull, None)
    ambient = {
        "profile": (None, None, None, None),
        "config_file": nothing,
        "credentials_file": nothing,
    }
    bare = botocore.session.Session(session_vars=ambient)
    return boto3.session.Session(botocore_session=bare)
