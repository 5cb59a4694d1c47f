"""A rehearsal that is not there: for tests that call nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from olrunbook.targets import Target

T = TypeVar("T", bound=Target)


def nowhere(kind: type[T], home: Path, **given: Any) -> T:
    """Return a target of a class; what is not given is made up."""
    known = {
        "name": "rehearsal",
        "cloud_id": "none",
        "account": "123456789012",
        "region": "us-east-1",
        "endpoint": "http://127.0.0.1:1",
        "access_key": SecretStr("access-key"),
        "secret_key": SecretStr("secret-key"),
        "identity_arn": "arn",
    }
    return kind(home=home, **known | given)
