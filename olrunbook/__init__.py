"""Operations runbooks as notebooks, from image sources to production."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes time to import
if TYPE_CHECKING:
    from typing import Any

    from olrunbook.project.params import (
        App,
        ImageSet,
        MaxHealthy,
        MinHealthy,
        Stage,
        Target,
        TargetName,
    )
    from olrunbook.run import Run, begin, status
    from olrunbook.steps.deploy.findings import deny, warn
    from olrunbook.steps.deploy.plan import PreviewResult

__all__ = [
    "App",
    "ImageSet",
    "MaxHealthy",
    "MinHealthy",
    "PreviewResult",
    "Run",
    "Stage",
    "Target",
    "TargetName",
    "__version__",
    "begin",
    "deny",
    "status",
    "warn",
]

__version__ = "0.1.0"

_TYPES = (
    "App",
    "ImageSet",
    "MaxHealthy",
    "MinHealthy",
    "Stage",
    "Target",
    "TargetName",
)
_HOMES = {
    **dict.fromkeys(_TYPES, "olrunbook.project.params"),
    **dict.fromkeys(("Run", "begin", "status"), "olrunbook.run"),
    **dict.fromkeys(("deny", "warn"), "olrunbook.steps.deploy.findings"),
    "PreviewResult": "olrunbook.steps.deploy.plan",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: `--help` pays for none."""
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(_HOMES[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
