"""What the rehearsal's IAM says that policies allow: AWS's rules, a table of them."""

from __future__ import annotations

from typing import Any

import pytest

from olrunbook.rehearsal.api.simulation import decide, matches

ALLOW = {
    "Effect": "Allow",
    "Action": ["s3:Get*", "s3:PutObject"],
    "Resource": "arn:a/*",
}


@pytest.mark.parametrize(
    ("pattern", "text", "fold", "fits"),
    [
        ("ec2:Describe*", "ec2:DescribeImages", True, True),
        ("EC2:describeimages", "ec2:DescribeImages", True, True),
        ("ec2:Describe?mages", "ec2:DescribeImages", True, True),
        ("ec2:Describe", "ec2:DescribeImages", True, False),
        ("arn:a/[x]", "arn:a/[x]", False, True),
        ("arn:a/[x]", "arn:a/x", False, False),
        ("arn:A/*", "arn:a/x", False, False),
        ("*", "", False, True),
    ],
)
def test_patterns_are_iam_s(*, pattern: str, text: str, fold: bool, fits: bool) -> None:
    """`*` and `?` alone are special; the case of actions does not matter."""
    assert matches(pattern, text, fold=fold) is fits


@pytest.mark.parametrize(
    ("statement", "context", "decision"),
    [
        (ALLOW, {}, "allowed"),
        (ALLOW | {"Resource": "arn:b/*"}, {}, "implicitDeny"),
        (ALLOW | {"Effect": "Deny"}, {}, "explicitDeny"),
        (
            {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:b"},
            {},
            "allowed",
        ),
        (ALLOW | {"Condition": {"StringEquals": {"aws:X": "1"}}}, {}, "implicitDeny"),
        (
            ALLOW | {"Condition": {"StringEquals": {"aws:X": ["1", "2"]}}},
            {"aws:x": ["2"]},
            "allowed",
        ),
        (
            ALLOW | {"Condition": {"StringLike": {"aws:X": "a*"}}},
            {"aws:x": ["ab"]},
            "allowed",
        ),
        (
            ALLOW | {"Condition": {"StringEquals": {"aws:X": "a*"}}},
            {"aws:x": ["ab"]},
            "implicitDeny",
        ),
    ],
)
def test_a_deny_wins_and_a_condition_must_hold(
    statement: dict[str, Any], context: dict[str, list[str]], decision: str
) -> None:
    """As AWS decides; what nobody said of the context does not hold."""
    documents = [{"Statement": [statement]}, {"Statement": []}]
    assert decide(documents, "s3:GetObject", "arn:a/b", context) == decision
