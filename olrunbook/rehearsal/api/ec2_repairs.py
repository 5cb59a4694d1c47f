"""What moto 5.2.5 does differently from EC2 and a release meets."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.responses import EC2Response
from moto.ec2.utils import parse_user_data

from olrunbook.rehearsal.api.patching import fault, override


def install() -> None:
    """Repair launch templates; refuse what would leave loopback."""

    @override(EC2Response)
    def create_launch_template_version(original: Any, response: EC2Response) -> Any:
        """Fill the new version from SourceVersion, which moto ignores."""
        source = response._get_param("SourceVersion")  # noqa: SLF001
        if not source:
            return original(response)
        name = response._get_param("LaunchTemplateName")  # noqa: SLF001
        backend: EC2Backend = response.ec2_backend
        template = (
            backend.get_launch_template_by_name(name)
            if name
            else backend.get_launch_template(response._get_param("LaunchTemplateId"))  # noqa: SLF001
        )
        base, given = dict(template.get_version(source).data), template.create_version

        def merged(data: dict[str, Any], description: str) -> LaunchTemplateVersion:
            return given({**base, **(data or {})}, description)

        template.create_version = merged  # type: ignore[method-assign]
        try:
            return original(response)
        finally:
            del template.create_version

    def user_data(version: LaunchTemplateVersion) -> Any:
        """Parse the user data of the second and later versions, too."""
        data = version.data.get("UserData")
        return parse_user_data(data) if isinstance(data, str) else data

    LaunchTemplateVersion.user_data = property(user_data)  # type: ignore[method-assign, assignment]

    for action in ("AllocateAddress", "AssociateAddress", "CreateNatGateway"):
        _refuse(action)


def _refuse(action: str) -> None:
    method = "".join(f"_{c.lower()}" if c.isupper() else c for c in action).lstrip("_")

    @override(EC2Response, method)
    def refused(original: Any, response: EC2Response) -> Any:  # noqa: ARG001
        words = f"{action} is refused by the rehearsal cloud"
        msg = f"{words}: its address would not be on loopback."
        raise fault(msg, "UnsupportedOperation")
