"""What a group launches its instances from, as a value to keep and put back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.ec2.models.launch_templates import LaunchTemplateVersion

_FIELDS = (
    "launch_config",
    "launch_configuration_name",
    "ec2_launch_template",
    "launch_template_version",
    "provided_launch_template_version",
    "mixed_instances_policy",
)


@dataclass(frozen=True)
class LaunchSource:
    """A group's launch template or configuration at one moment."""

    fields: dict[str, Any]  # moto's attributes of a group that hold it

    @classmethod
    def of(cls, group: FakeAutoScalingGroup) -> LaunchSource:
        """Return what the group uses now."""
        return cls({name: getattr(group, name, None) for name in _FIELDS})

    @classmethod
    def desired(
        cls, group: FakeAutoScalingGroup, wanted: dict[str, Any]
    ) -> LaunchSource:
        """Return what a DesiredConfiguration describes, checked by moto's own code.

        Raises:
            Exception: moto's errors, where the template or its version is not there.

        """
        policy = wanted.get("MixedInstancesPolicy")
        stand_in = SimpleNamespace(
            autoscaling_backend=group.autoscaling_backend,
            ec2_backend=group.ec2_backend,
            **{
                **cls.of(group).fields,
                "mixed_instances_policy": policy,
                "launch_config": None,
                "launch_configuration_name": None,
            },
        )
        template = wanted.get("LaunchTemplate")
        FakeAutoScalingGroup._set_launch_configuration(stand_in, None, template, policy)  # type: ignore[arg-type]  # noqa: SLF001
        stand_in.ec2_launch_template.get_version(stand_in.launch_template_version)
        return cls.of(stand_in)  # type: ignore[arg-type]

    def apply(self, group: FakeAutoScalingGroup) -> None:
        """Make the group use it."""
        for name, value in self.fields.items():
            setattr(group, name, value)

    @contextlib.contextmanager
    def used_by(self, group: FakeAutoScalingGroup) -> Iterator[None]:
        """Make the group use it for a while."""
        before = LaunchSource.of(group)
        self.apply(group)
        try:
            yield
        finally:
            before.apply(group)

    @property
    def template_id(self) -> str | None:
        """Id of the launch template; None: a launch configuration is used."""
        template = self.fields["ec2_launch_template"]
        return str(template.id) if template else None

    @property
    def version(self) -> LaunchTemplateVersion | None:
        """The version of the launch template that would be launched now."""
        template = self.fields["ec2_launch_template"]
        if not template:
            return None
        version: LaunchTemplateVersion = template.get_version(
            self.fields["launch_template_version"]
        )
        return version

    @property
    def overrides(self) -> list[dict[str, Any]]:
        """Overrides of the mixed instances policy."""
        policy = self.fields["mixed_instances_policy"] or {}
        return list(policy.get("LaunchTemplate", {}).get("Overrides") or [])

    @property
    def reversible(self) -> bool:
        """Whether AWS could roll back to it: a numbered version with an AMI id."""
        number, version = self.fields["launch_template_version"], self.version
        if version is None or str(number).startswith("$"):
            return False
        return not str(version.image_id).startswith("resolve:ssm")
