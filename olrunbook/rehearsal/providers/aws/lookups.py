"""Functions that look something up in the account."""

from __future__ import annotations

import json
from typing import Any

from olrunbook.rehearsal.providers.aws.tags import from_api
from olrunbook.rehearsal.providers.handler import Caller, Function
from olrunbook.rehearsal.providers.values import Props

NONE = (
    "Your query returned no results. Please change your search criteria and try again."
)
MANY = (
    "Your query returned more than one result. Please try a more specific search "
    "criteria, or set `most_recent` attribute to true."
)


def _filters(args: Props) -> list[dict[str, Any]]:
    return [
        {"Name": item["name"], "Values": item["values"]}
        for item in args.get("filters") or []
    ] + [
        {"Name": f"tag:{key}", "Values": [value]}
        for key, value in (args.get("tags") or {}).items()
    ]


def _images(call: Caller, args: Props) -> list[dict[str, Any]]:
    """Return the AMIs that fit, the oldest first."""
    owners = {"Owners": args["owners"]} if args.get("owners") else {}
    found = call.api("ec2").describe_images(Filters=_filters(args), **owners)["Images"]
    return sorted(found, key=lambda item: item.get("CreationDate") or "")


def _only(found: list[Any], what: str) -> Any:
    if len(found) != 1:
        msg = f"{len(found)} {what} matched; use additional constraints to find one"
        raise LookupError(msg)
    return found[0]


def get_ami(call: Caller, args: Props) -> Props:
    """Return the AMI that fits; the newest one where several do and that is asked."""
    found = _images(call, args)
    if not found:
        raise LookupError(NONE)
    if len(found) > 1 and not args.get("mostRecent"):
        raise LookupError(MANY)
    image = found[-1]
    return {
        **{key: value for key, value in args.items() if value is not None},
        "id": image["ImageId"],
        "imageId": image["ImageId"],
        "arn": f"arn:aws:ec2:{call.region}::image/{image['ImageId']}",
        "name": image.get("Name", ""),
        "description": image.get("Description", ""),
        "creationDate": image.get("CreationDate", ""),
        "architecture": image.get("Architecture", ""),
        "ownerId": image.get("OwnerId", ""),
        "state": image.get("State", ""),
        "tags": from_api(image.get("Tags")),
    }


def get_ami_ids(call: Caller, args: Props) -> Props:
    """Return the ids of the AMIs that fit, the newest first."""
    found = _images(call, args)
    if not args.get("sortAscending"):
        found.reverse()
    return {"id": call.region, "ids": [image["ImageId"] for image in found]}


def get_vpc(call: Caller, args: Props) -> Props:
    """Return the one VPC that fits."""
    wanted = _filters(args)
    if args.get("default"):
        wanted.append({"Name": "is-default", "Values": ["true"]})
    which = {"VpcIds": [args["id"]]} if args.get("id") else {}
    vpc = _only(call.api("ec2").describe_vpcs(Filters=wanted, **which)["Vpcs"], "VPCs")
    return {
        "id": vpc["VpcId"],
        "arn": f"arn:aws:ec2:{call.region}:{vpc.get('OwnerId', '')}:vpc/{vpc['VpcId']}",
        "cidrBlock": vpc["CidrBlock"],
        "default": vpc["IsDefault"],
        "ownerId": vpc.get("OwnerId", ""),
        "state": vpc["State"],
        "tags": from_api(vpc.get("Tags")),
    }


def get_subnets(call: Caller, args: Props) -> Props:
    """Return the ids of the subnets that fit."""
    found = call.api("ec2").describe_subnets(Filters=_filters(args))["Subnets"]
    return {"id": call.region, "ids": sorted(item["SubnetId"] for item in found)}


def get_subnet(call: Caller, args: Props) -> Props:
    """Return the one subnet that fits."""
    which = {"SubnetIds": [args["id"]]} if args.get("id") else {}
    found = call.api("ec2").describe_subnets(Filters=_filters(args), **which)["Subnets"]
    subnet = _only(found, "subnets")
    return {
        "id": subnet["SubnetId"],
        "arn": subnet.get("SubnetArn", ""),
        "availabilityZone": subnet["AvailabilityZone"],
        "cidrBlock": subnet["CidrBlock"],
        "mapPublicIpOnLaunch": subnet.get("MapPublicIpOnLaunch", False),
        "tags": from_api(subnet.get("Tags")),
        "vpcId": subnet["VpcId"],
    }


def get_zone(call: Caller, args: Props) -> Props:
    """Return the one hosted zone of a name or id."""
    route53 = call.api("route53")
    if ident := args.get("zoneId"):
        zones = [route53.get_hosted_zone(Id=ident)["HostedZone"]]
    else:
        wanted = str(args.get("name") or "").rstrip(".")
        zones = [
            zone
            for page in route53.get_paginator("list_hosted_zones").paginate()
            for zone in page["HostedZones"]
            if zone["Name"].rstrip(".") == wanted
            and zone["Config"].get("PrivateZone", False)
            == bool(args.get("privateZone", False))
        ]
        if not zones:
            msg = f"no matching Route 53 Hosted Zone found for {wanted!r}"
            raise LookupError(msg)
    zone = _only(zones, "hosted zones")
    ident = zone["Id"].rsplit("/", 1)[-1]
    return {
        "id": ident,
        "zoneId": ident,
        "name": zone["Name"].rstrip("."),
        "arn": f"arn:aws:route53:::hostedzone/{ident}",
    }


def get_certificate(call: Caller, args: Props) -> Props:
    """Return the certificate of a domain; the newest one where that is asked."""
    acm = call.api("acm")
    statuses = args.get("statuses") or ["ISSUED"]
    found = [
        item
        for page in acm.get_paginator("list_certificates").paginate(
            CertificateStatuses=statuses
        )
        for item in page["CertificateSummaryList"]
        if item["DomainName"] == args.get("domain")
    ]
    if not found:
        msg = f"no certificate for domain {args.get('domain')!r} found in this region"
        raise LookupError(msg)
    if len(found) > 1 and not args.get("mostRecent"):
        msg = f"multiple certificates for domain {args.get('domain')!r} found"
        raise LookupError(msg)
    details = [
        acm.describe_certificate(CertificateArn=item["CertificateArn"])["Certificate"]
        for item in found
    ]
    newest = max(details, key=lambda item: item["CreatedAt"])
    return {
        "id": newest["CertificateArn"],
        "arn": newest["CertificateArn"],
        "domain": args.get("domain"),
        "status": newest["Status"],
        "tags": {},
    }


def get_caller_identity(call: Caller, _args: Props) -> Props:
    """Return whose credentials these are."""
    who = call.api("sts").get_caller_identity()
    return {
        "id": who["Account"],
        "accountId": who["Account"],
        "arn": who["Arn"],
        "userId": who["UserId"],
    }


def get_region(call: Caller, _args: Props) -> Props:
    """Return the region."""
    name = call.region
    return {
        "id": name,
        "name": name,
        "region": name,
        "endpoint": f"ec2.{name}.amazonaws.com",
        "description": name,
    }


def get_partition(_call: Caller, _args: Props) -> Props:
    """Return the partition."""
    return {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


def get_policy_document(_call: Caller, args: Props) -> Props:
    """Return an IAM policy document as JSON; no call is made."""
    statements = []
    for given in args.get("statements") or []:
        statement: Props = {"Effect": given.get("effect") or "Allow"}
        for key, name in (
            ("sid", "Sid"),
            ("actions", "Action"),
            ("resources", "Resource"),
        ):
            if given.get(key):
                statement[name] = _plain(given[key])
        for who in given.get("principals") or []:
            principal = statement.setdefault("Principal", {})
            principal[who["type"]] = _plain(who["identifiers"])
        for test in given.get("conditions") or []:
            conditions = statement.setdefault("Condition", {})
            condition = conditions.setdefault(test["test"], {})
            condition[test["variable"]] = _plain(test["values"])
        statements.append(statement)
    document: Props = {"Version": args.get("version") or "2012-10-17"}
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    return {"id": "policy", "json": text, "minifiedJson": json.dumps(document)}


def _plain(value: Any) -> Any:
    """Return the only item of a list; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


FUNCTIONS: dict[str, Function] = {
    "aws:acm/getCertificate:getCertificate": get_certificate,
    "aws:ec2/getAmi:getAmi": get_ami,
    "aws:ec2/getAmiIds:getAmiIds": get_ami_ids,
    "aws:ec2/getSubnet:getSubnet": get_subnet,
    "aws:ec2/getSubnets:getSubnets": get_subnets,
    "aws:ec2/getVpc:getVpc": get_vpc,
    "aws:iam/getPolicyDocument:getPolicyDocument": get_policy_document,
    "aws:index/getCallerIdentity:getCallerIdentity": get_caller_identity,
    "aws:index/getPartition:getPartition": get_partition,
    "aws:index/getRegion:getRegion": get_region,
    "aws:route53/getZone:getZone": get_zone,
}
