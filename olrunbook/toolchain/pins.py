"""What is built when the machine has no fitting tool: versions, packages, times.

Each tool's `go.mod` and `go.sum` lie in `modules/`; Go checks every module by them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["GO_MINIMUM", "PINS", "Pin", "Version", "parse"]

Version = tuple[int, ...]

GO_MINIMUM: Version = (1, 25, 11)


@dataclass(frozen=True, slots=True)
class Pin:
    """One tool.

    Args:
        name: The program.
        why: What it is used for.
        version: The version that is built.
        minimum: The oldest that is taken from the machine.
        ask: The arguments that make it say its version.
        package: The Go package of its main program.
        flags: More flags for `go build`.
        expected_s: Seconds a build takes on two cores, downloads included.

    """

    name: str
    why: str
    version: str
    minimum: Version
    ask: tuple[str, ...]
    package: str
    flags: tuple[str, ...]
    expected_s: float

    @property
    def title(self) -> str:
        """Name and pinned version."""
        return f"{self.name} {self.version}"


STRIP = "-s -w"
PULUMI_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"

# In the order in which they are built: the plugin shares much with Packer, and what
# was compiled is kept until the last one is done.
PINS = {
    pin.name: pin
    for pin in (
        Pin(
            name="packer",
            why="bakes images",
            version="1.15.4",
            minimum=(1, 14),
            ask=("version",),
            package="github.com/hashicorp/packer",
            flags=("-ldflags", STRIP),
            expected_s=270,
        ),
        Pin(
            name="packer-plugin-amazon",
            why="Packer's builder for AMIs",
            version="1.8.2",
            minimum=(1, 8),
            ask=("describe",),
            package="github.com/hashicorp/packer-plugin-amazon",
            flags=("-ldflags", STRIP),
            expected_s=120,
        ),
        Pin(
            name="pulumi",
            why="deploys stacks",
            version="3.259.0",
            minimum=(3, 199),
            ask=("version",),
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            flags=(
                "-tags",
                "osusergo,grpcnotrace",
                "-ldflags",
                f"{STRIP} -X {PULUMI_VERSION}=v3.259.0",
            ),
            expected_s=420,
        ),
    )
}


def parse(text: str) -> Version | None:
    """Return the first version in a text (`Packer v1.15.4`), or None.

    A pre-release (`v3.260.0-alpha.1`) counts as what it leads up to.
    """
    found = re.search(r"(?<![\d.])v?(\d+(?:\.\d+){1,3})(?![\d.])", text)
    return tuple(int(part) for part in found[1].split(".")) if found else None
