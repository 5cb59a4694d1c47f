"""What a cloud is started with; handed over by pipe, since it holds the keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field

from olrunbook.rehearsal.settings import Settings


class Order(BaseModel, frozen=True, extra="forbid"):
    """What a cloud is started with."""

    cloud_id: str  # id of this incarnation
    settings: Settings  # how it behaves
    identity_arn: str  # what GetCallerIdentity answers
    access_key: str = Field(repr=False)  # the access key id that lasts
    vault_token: str = Field(repr=False)  # token of the Vault stand-in
    consul_token: str = Field(repr=False)  # token of the Consul stand-in
    base: str = ""  # container image of the base AMIs; empty without containers
    base_created: datetime = datetime(2026, 11, 1, tzinfo=UTC)  # when it was made
    balancer: str = ""  # container image with haproxy; empty without containers


class Commission(BaseModel, frozen=True, extra="forbid"):
    """What the background process is told."""

    checkout: str  # the checkout's id
    root: Path  # private folder of the rehearsal
    blocks: list[int]  # blocks of addresses to try, in order
    order: Order  # what the cloud is started with
