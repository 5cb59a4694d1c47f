"""What every AWS component's configuration has: tags and a region."""

from __future__ import annotations

from enum import StrEnum, unique

from pydantic import BaseModel, ConfigDict, field_validator

__all__ = ["AWSBase", "BusinessUnit"]

REQUIRED_TAGS = {"OU", "Environment"}


@unique
class BusinessUnit(StrEnum):
    """Who pays: the values the tag OU may have."""

    bootcamps = "bootcamps"
    data = "data"
    digital_credentials = "digital-credentials"
    ecommerce = "unified-ecommerce"
    micromasters = "micromasters"
    mit_learn = "mit-learn"
    mit_open = "mit-open"
    mitx = "mitx"
    mitx_online = "mitxonline"
    ocw = "open-courseware"
    operations = "operations"
    ovs = "odl-video"
    residential = "residential"
    starteam = "starteam"
    xpro = "mitxpro"


class AWSBase(BaseModel):
    """Base of the configuration objects.

    Args:
        tags: Tags of every resource; OU (a `BusinessUnit`) and Environment are needed.
        region: AWS region.

    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    tags: dict[str, str]
    region: str = "us-east-1"

    @field_validator("tags")
    @classmethod
    def _enforce_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        if missing := REQUIRED_TAGS - tags.keys():
            msg = f"tags {sorted(missing)} are missing; found {sorted(tags)}"
            raise ValueError(msg)
        if tags["OU"] not in set(BusinessUnit):
            msg = f"tag OU is {tags['OU']!r}; there is {', '.join(BusinessUnit)}"
            raise ValueError(msg)
        return {**tags, "pulumi_managed": "true"}

    def merged_tags(self, *more: dict[str, str]) -> dict[str, str]:
        """Return the tags with others laid over them."""
        tags = dict(self.tags)
        for given in more:
            tags.update(given)
        return tags
