"""The stack of an app and the groups that it makes. Part of the catalog."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, StringConstraints, field_validator

BY_NAME = "name:"  # of a group that has no tag `Name`
_SUFFIX = re.compile(r"-[0-9a-f]{7}$")  # what Pulumi puts behind a name of its own

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def group_key(tags: Mapping[str, str], name: str, wanted: Collection[str]) -> str:
    """Return by which of the catalog's words a group is found; empty: by none.

    `name` is its own, or that of its resource.
    """
    words = tags.get("Name", ""), f"{BY_NAME}{name}", BY_NAME + _SUFFIX.sub("", name)
    return next((word for word in words if word in wanted), "")


def called(word: str) -> str:
    """Return one of the catalog's words for a group as a message has it."""
    named = word.removeprefix(BY_NAME)
    return f"tagged Name={word}" if named == word else f"called {named}"


class StackSpec(BaseModel, frozen=True, extra="forbid"):
    """The Pulumi project that deploys an app."""

    path: Text  # folder of the project
    project: str  # Pulumi project name
    stack: str  # stack name; `{stage}` and `{stage_lower}` are filled in
    # node type to the config key that pins its image
    image_config: dict[str, str] = {}
    # the program chooses the newest images by itself, so nothing pins them: a preview
    # that shows others than the run's is refused
    image_lookup: bool = False
    # node type to the tag `Name` of its Auto Scaling group, or a list of them (same
    # placeholders); `name:…` is the name of one that has no such tag, with or without
    # the suffix that Pulumi gives it
    groups: dict[str, Annotated[list[str], BeforeValidator(_listed)]]
    # config keys whose values are secret; a rehearsal makes them up
    secrets: list[str] = []

    @field_validator("groups")
    @classmethod
    def _each_has_a_group(cls, groups: dict[str, list[str]]) -> dict[str, list[str]]:
        if empty := [node for node, tags in groups.items() if not tags]:
            msg = f"names no group of node type {empty[0]}: wanted at least one"
            raise ValueError(msg)
        every = [tag for tags in groups.values() for tag in tags]
        if twice := sorted({tag for tag in every if every.count(tag) > 1}):
            msg = f"names {twice[0]} twice: each group has a tag Name of its own"
            raise ValueError(msg)
        return groups

    def files(self, stage: str) -> tuple[str, ...]:
        """Return the files of its folder that a stage needs."""
        return "Pulumi.yaml", "__main__.py", f"Pulumi.{self.stack_name(stage)}.yaml"

    def stack_name(self, stage: str) -> str:
        """Return the stack's name in a stage."""
        return self.stack.format(stage=stage, stage_lower=stage.lower())

    def group_tags(self, stage: str) -> list[tuple[str, str]]:
        """Return node type and tag `Name` of each Auto Scaling group in a stage."""
        names = {"stage": stage, "stage_lower": stage.lower()}
        every = self.groups.items()
        return [(node, tag.format(**names)) for node, tags in every for tag in tags]
