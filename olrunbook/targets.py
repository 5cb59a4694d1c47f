"""Where the tools work: a target's endpoint, identity and environment, as a value.

The rehearsal (or, later, whatever guards a real account) writes one private file,
`target.json`; everything else reads it here. So steps and notebooks need not know how
the cloud on loopback is made.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from pydantic import BaseModel, Field, SecretStr

from olrunbook.errors import RefusedError, UsageError
from olrunbook.processes.left import VARIABLE
from olrunbook.project.catalog import Catalog

if TYPE_CHECKING:
    import boto3.session
    from botocore.client import BaseClient
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

__all__ = [
    "KEEP",
    "Target",
    "caller",
    "find_target",
    "load_target",
    "require_built",
    "save_target",
    "state_dir",
    "tool_environment",
]

TARGET_FILE = "target.json"

# What tools inherit from the caller's shell: nothing that names an account, an
# endpoint, a plugin folder or a credential.
KEEP = """
    LANG LC_ALL TERM TMPDIR SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    DOCKER_HOST
"""


class Target(BaseModel, frozen=True, extra="forbid"):
    """A place to deploy to, ready for use."""

    name: str  # its name in the catalog
    # `rehearsal` until real accounts are built
    kind: Literal["rehearsal", "aws"] = "rehearsal"
    cloud_id: str  # identifies this incarnation of the cloud; records name it
    account: str  # AWS account id
    region: str  # AWS region
    endpoint: str  # endpoint of the AWS API; empty: Amazon's own
    access_key: SecretStr  # the kit's access key id
    secret_key: SecretStr  # the kit's secret key
    identity_arn: str  # what GetCallerIdentity must answer before anything is called
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
            "AWS_ACCESS_KEY_ID": self.access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": self.secret_key.get_secret_value(),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SDK_UA_APP_ID": caller(),
            "AWS_CONFIG_FILE": str(self.home / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "aws-credentials"),
            **({"AWS_ENDPOINT_URL": self.endpoint} if self.endpoint else {}),
            **self.env,
        }

    def secret_values(self) -> list[str]:
        """Return the values that must never be shown."""
        return [
            self.secret_key.get_secret_value(),
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


def caller() -> str:
    """Return the name under which AWS's logs have our calls: it tells the run.

    Every SDK sends it at the end of its user agent, 50 characters at most.
    """
    run = os.environ.get(VARIABLE, "")
    return f"olrunbook-{run}" if run else "olrunbook"


def tool_environment() -> dict[str, str]:
    """Return what every tool gets from the caller's shell, with our own PATH first."""
    env = {name: os.environ[name] for name in KEEP.split() if name in os.environ}
    own = str(Path(sys.executable).parent)  # pyinfra lives beside our Python
    env["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return env


def state_dir(project_root: Path) -> Path:
    """Return the private folder of a checkout's state, outside the tree.

    Two checkouts on one machine have two folders: its name carries a hash of the path.
    """
    shared = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    base = os.environ.get("OLRUNBOOK_STATE") or Path(shared) / "olrunbook"
    real = project_root.resolve()
    digest = hashlib.sha256(str(real).encode()).hexdigest()
    return Path(base) / f"{real.name}-{digest[:8]}"


def save_target(target: Target) -> None:
    """Write a target's private file, whole."""
    path = target.state / TARGET_FILE
    plain = target.model_dump(mode="json", by_alias=True)
    plain["access_key"] = target.access_key.get_secret_value()
    plain["secret_key"] = target.secret_key.get_secret_value()
    aside = path.with_suffix(".new")
    aside.touch(0o600)
    aside.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    aside.replace(path)


def require_built(catalog: Catalog, name: str) -> None:
    """Raise UsageError for any target that is no rehearsal: no others are built."""
    built = [n for n, spec in catalog.targets.items() if spec.kind == "rehearsal"]
    if name not in built:
        have = ", ".join(f"`{one}`" for one in built)
        msg = f"target {name!r} is not available: only {have} is built and guarded"
        raise UsageError(msg)


def find_target(name: str, project_root: Path) -> Target | None:
    """Return a target; None: it is not up, and what needs it says so."""
    try:
        return load_target(name, project_root)
    except RefusedError:
        return None


def load_target(name: str, project_root: Path) -> Target:
    """Return a target that is up; RefusedError where it is not."""
    path = state_dir(project_root) / name / TARGET_FILE
    try:
        return Target.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        msg = "the rehearsal is not up"
        raise RefusedError(msg, "Start it: olrunbook rehearsal up") from None
    except ValueError as error:
        msg = f"{path} cannot be used: {type(error).__name__}"
        raise RefusedError(msg, "Reset it: olrunbook rehearsal reset") from None
