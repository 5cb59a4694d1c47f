"""What in an account carries a tag `Name`: what a stack made, as far as AWS tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from olrunbook.adapters.aws.answers import asked, pages

if TYPE_CHECKING:
    from olrunbook.targets import Target

__all__ = ["tagged"]

CHUNK = 20  # of load balancers and target groups in one request
LAUNCHED = ("instance", "volume", "network-interface")  # a group makes them


def tagged(target: Target, names: Sequence[str]) -> dict[str, str]:
    """Return id (of balancers the ARN) to kind of what has one of these tags `Name`.

    Groups, load balancers, target groups, launch templates, security groups; not what
    a group launches, and nothing of IAM.

    Raises:
        ToolError: The API does not answer.

    """
    found: dict[str, str] = {}
    wanted = [
        {"Name": "key", "Values": ["Name"]},
        {"Name": "value", "Values": list(names)},
    ]
    asg, ec2, elb = (
        target.client("autoscaling"),
        target.client("ec2"),
        target.client("elbv2"),
    )
    with asked(f"what is tagged Name={', '.join(names)}"):
        for page in pages(ec2.describe_tags, Filters=wanted):
            some = {tag["ResourceId"]: tag["ResourceType"] for tag in page["Tags"]}
            found |= {one: kind for one, kind in some.items() if kind not in LAUNCHED}
        for groups in pages(asg.describe_tags, Filters=wanted):
            found |= {t["ResourceId"]: "auto-scaling-group" for t in groups["Tags"]}
        kinds = {
            item["LoadBalancerArn"]: "load-balancer"
            for item in elb.describe_load_balancers()["LoadBalancers"]
        }
        kinds |= {
            item["TargetGroupArn"]: "target-group"
            for item in elb.describe_target_groups()["TargetGroups"]
        }
        arns = list(kinds)
        for at in range(0, len(arns), CHUNK):
            answer = elb.describe_tags(ResourceArns=arns[at : at + CHUNK])
            for item in answer["TagDescriptions"]:
                tags = {tag["Key"]: tag.get("Value") for tag in item["Tags"]}
                if tags.get("Name") in names:
                    found[item["ResourceArn"]] = kinds[item["ResourceArn"]]
    return found
