"""What a cloud is started with; handed over by pipe, since it holds the keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from olrunbook.rehearsal.settings import Settings

__all__ = ["Order"]


class Order(BaseModel):
    """What a cloud is started with.

    Args:
        cloud_id: Id of this incarnation.
        settings: How it behaves.
        identity_arn: What GetCallerIdentity answers.
        access_key: The only access key id that is served.
        vault_token: Token of the Vault stand-in.
        consul_token: Token of the Consul stand-in.
        base: Container image of the base AMIs; empty without containers.
        base_created: When it was made, ISO 8601; empty: unknown.
        balancer: Container image with haproxy; empty without containers.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloud_id: str
    settings: Settings
    identity_arn: str
    access_key: str = Field(repr=False)
    vault_token: str = Field(repr=False)
    consul_token: str = Field(repr=False)
    base: str = ""
    base_created: str = ""
    balancer: str = ""
