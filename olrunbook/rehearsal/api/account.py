"""What the rehearsal's account holds from the start: what the stacks expect to find."""

from __future__ import annotations

import itertools
import json
from datetime import datetime

from moto.acm.models import CertBundle, acm_backends
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.route53.models import route53_backends
from moto.s3.models import s3_backends

from olrunbook.rehearsal.machines.amis import AmiStore
from olrunbook.rehearsal.places import ACCOUNT, BUCKET, KEY_ALIAS, REGION, STAGES

VPC_NAME = "applications_vpc"
KEY_PAIR = "oldevops"
DOMAIN = "odl.mit.edu"
ALIAS = "olrunbook-rehearsal"  # the account's, by which people know it
ROLES = ("build", *STAGES)  # olrunbook-…, to be assumed by the account's people
NETWORK = "10.31"
ZONES = ("us-east-1a", "us-east-1b")
DEBIAN, BASELINE = "136693071363", "610119931565"  # owners of the base AMIs


def seed(amis: AmiStore, base: str, created: datetime) -> None:
    """Fill the account.

    Args:
        amis: Takes the base AMIs, and has those that outlived the last incarnation.
        base: The container image both base AMIs stand for.
        created: When it was made.

    """
    _network()
    _images(amis, base, created)
    _roles()
    ec2_backends[ACCOUNT][REGION].create_key_pair(KEY_PAIR, "ed25519", {})
    route53_backends[ACCOUNT]["aws"].create_hosted_zone(
        f"{DOMAIN}.", private_zone=False
    )
    s3 = s3_backends[ACCOUNT]["aws"]
    s3.create_bucket(BUCKET, REGION)
    s3.put_bucket_versioning(BUCKET, "Enabled")
    kms = kms_backends[ACCOUNT][REGION]
    for stage in STAGES:
        words = f"Pulumi secrets of {stage} (rehearsal)"
        key = kms.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", words, None)
        kms.create_alias(key.id, KEY_ALIAS.format(stage))
    wildcard = CertBundle.generate_cert(f"*.{DOMAIN}", ACCOUNT, REGION, [DOMAIN])
    wildcard.status = "ISSUED"
    acm_backends[ACCOUNT][REGION]._certificates[wildcard.arn] = wildcard  # noqa: SLF001


def _network() -> None:
    """Make the VPC with two public subnets, in two zones, for each environment."""
    ec2 = ec2_backends[ACCOUNT][REGION]
    vpc = ec2.create_vpc(f"{NETWORK}.0.0/16", tags=[{"Key": "Name", "Value": VPC_NAME}])
    gateway = ec2.create_internet_gateway(tags=[{"Key": "Name", "Value": VPC_NAME}])
    ec2.attach_internet_gateway(gateway.id, vpc.id)
    for number, (stage, zone) in enumerate(itertools.product(STAGES, ZONES), 1):
        cidr = f"{NETWORK}.{number}.0/24"
        subnet = ec2.create_subnet(vpc.id, cidr, availability_zone=zone)
        name = f"{VPC_NAME}-{stage}-{zone[-1]}"
        subnet.add_tags({"Name": name, "Environment": f"operations-{stage}"})
        ec2.modify_subnet_attribute(
            subnet.id, "map_public_ip_on_launch", attr_value=True
        )


def _roles() -> None:
    """Make the account's alias, and the roles that its people assume."""
    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_account_alias(ALIAS)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    for name in ROLES:
        words = f"{name} (rehearsal)"
        iam.create_role(f"olrunbook-{name}", policy, "/", None, words, [], None)


def _images(amis: AmiStore, base: str, created: datetime) -> None:
    ec2 = ec2_backends[ACCOUNT][REGION]
    day = f"{created:%Y%m%d}"
    for name, owner in (
        (f"debian-12-amd64-{day}-1", DEBIAN),
        (f"docker_baseline_ami-{day}", BASELINE),
    ):
        amis.add_base(ec2, name=name, owner=owner, image=base, created=created)
    amis.restore(ec2)
