"""The target a rehearsal offers: keys, environment, folders, and what is a stand-in."""

from __future__ import annotations

import os
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from olrunbook.errors import OlrunbookError
from olrunbook.rehearsal.order import Order
from olrunbook.rehearsal.places import (
    ACCOUNT,
    CONSUL_PORT,
    REGION,
    VAULT_PORT,
    Block,
    Places,
)
from olrunbook.rehearsal.record import DaemonRecord
from olrunbook.targets import Target, save_target

STAND_INS = (
    "AWS API: moto on loopback, with its own instance refresh and repairs",
    "Vault API: a stand-in; a bound image is kept and shown, not enforced",
    "Consul API: a stand-in that stores keys and services",
    "Pulumi providers of aws, vault, consul: stand-ins; engine and SDKs are real",
)
WITH_CONTAINERS = (
    "EC2 instances: containers of this machine; AMIs: container images",
    "base AMIs (Debian, docker_baseline_ami): one image from the Debian mirror",
    "load balancers: haproxy in a container, on loopback addresses",
    "times: AWS's own durations are shortened; grace periods are not",
)
WITHOUT_CONTAINERS = (
    "EC2 instances, AMIs and load balancers: records only, nothing runs behind them",
)


def make_target(
    places: Places,
    order: Order,
    record: DaemonRecord,
    secret_key: str,
    provider_environment: dict[str, str],
) -> Target:
    """Return the target of a cloud that is up."""
    host = Block(record.block).api_host
    how = WITH_CONTAINERS if order.settings.containers else WITHOUT_CONTAINERS
    return Target(
        name="rehearsal",
        cloud_id=order.cloud_id,
        account=ACCOUNT,
        region=REGION,
        endpoint=record.endpoint,
        access_key=SecretStr(order.access_key),
        secret_key=SecretStr(secret_key),
        identity_arn=order.identity_arn,
        env={
            **provider_environment,
            "VAULT_ADDR": f"http://{host}:{VAULT_PORT}",
            "VAULT_TOKEN": order.vault_token,
            "CONSUL_HTTP_ADDR": f"http://{host}:{CONSUL_PORT}",
            "CONSUL_HTTP_TOKEN": order.consul_token,
        },
        secrets=["VAULT_TOKEN", "CONSUL_HTTP_TOKEN"],
        home=places.home,
        state=places.root,
        stand_ins=[*STAND_INS, *how],
        calls=None,  # nobody else has calls to make here, and all goes quicker
        renew="olrunbook rehearsal up",
        schema="olrunbook/target/1",
    )


def write_target(places: Places, target: Target) -> None:
    """Write the file everything else reads, and the tools' HOME."""
    places.home.mkdir(mode=0o700, exist_ok=True)
    for name in ("aws-config", "aws-credentials"):
        handle = os.open(places.home / name, os.O_WRONLY | os.O_CREAT, 0o600)
        os.close(handle)  # empty: nothing ambient, and no tool goes looking elsewhere
    save_target(target)


def read_target(file: Path) -> Target | None:
    """Return the target in a file; None where there is none that can be read."""
    try:
        return Target.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def check_identity(target: Target) -> None:
    """Ask the endpoint who we are; it must be the rehearsal's identity.

    Raises:
        OlrunbookError: It is another, or nobody answers.

    """
    try:
        found = target.client("sts").get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError) as error:
        msg = f"{target.endpoint} does not answer as the rehearsal: {error}"
        raise OlrunbookError(msg, "Reset it: olrunbook rehearsal reset") from None
    if found != target.identity_arn:
        msg = f"{target.endpoint} answers as {found}, not as {target.identity_arn}"
        raise OlrunbookError(msg, "Reset it: olrunbook rehearsal reset")
