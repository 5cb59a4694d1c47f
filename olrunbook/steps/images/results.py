"""Results of the image steps: what was provisioned, validated, baked."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.project.imageset import format_images
from olrunbook.steps.results import Result, Value

__all__ = [
    "ArtifactUsed",
    "BuiltImage",
    "CheckSeen",
    "ImageBuildResult",
    "ImageTestResult",
    "Operation",
    "OperationState",
    "Phase",
    "TestedImage",
    "ValidateResult",
]

OperationState = Literal["changed", "no change", "failed", "running", "not reached"]


class Operation(Value):
    """One pyinfra operation.

    Args:
        name: Its name, as the deploy file gives it.
        state: How it ended; `running` where it was cut off.
        seconds: How long it took.
        commands: Its first commands.
        output: The last lines of its output, where it failed.

    """

    name: str
    state: OperationState
    seconds: float = 0.0
    commands: list[str] = Field(default_factory=list)
    output: list[str] = Field(default_factory=list)


class ArtifactUsed(Value):
    """An artifact an image is made of, and where it came from."""

    name: str
    version: str
    sha256: str
    source: str


class Phase(Value):
    """One phase of a build and how long it took."""

    name: str
    seconds: float


class CheckSeen(Value):
    """One check and what it showed."""

    name: str
    ok: bool
    seconds: float = 0.0
    detail: str = ""


class ValidateResult(Result):
    """What Packer says about a template before anything is built."""

    schema_name: ClassVar[str] = "olrunbook/image-validate/1"

    template: str
    packer: str
    checks: list[CheckSeen]
    by_hand: list[str]

    def headline(self) -> str:
        """Return how many checks passed."""
        good = sum(check.ok for check in self.checks)
        return f"{good} of {len(self.checks)} checks passed ({self.packer})"


class BuiltImage(Value):
    """One image.

    Args:
        node_type: Node type it is for.
        ami: Its id; it exists and was `available` when the step ended.
        name: Its name.
        base_ami: The image it was built on.
        base_name: That image's name.
        tags: Its tags.
        phases: The phases of the build, in order.
        operations: pyinfra's operations.
        artifacts: What was installed from the operator's cache.
        packages: Number of Debian packages in it; 0 where the template does not tell.
        packages_file: Their list, beside the logs; empty where there is none.
        seconds: The whole build.
        by_hand: The command that does the same without olrunbook.

    """

    node_type: str
    ami: str
    name: str
    base_ami: str
    base_name: str
    tags: dict[str, str]
    phases: list[Phase]
    operations: list[Operation]
    artifacts: list[ArtifactUsed]
    packages: int
    packages_file: str
    seconds: float
    by_hand: str


class ImageBuildResult(Result):
    """The image set that was built.

    Args:
        images: Node type to AMI id.
        builds: Each image.
        commit: The commit it was built from.
        dirty: Files that differed from it.
        packer: Packer's version.
        started_at: When the first build began (UTC).
        ended_at: When the last one ended (UTC).

    """

    schema_name: ClassVar[str] = "olrunbook/image-build/1"

    images: dict[str, str]
    builds: list[BuiltImage]
    commit: str
    dirty: list[str]
    packer: str
    started_at: datetime
    ended_at: datetime

    def headline(self) -> str:
        """Return the image set and the images' names."""
        names = ", ".join(build.name for build in self.builds)
        return f"{format_images(self.images)}  {names}"


class TestedImage(Value):
    """The local test of one node type's deploy.

    Args:
        node_type: Node type.
        base: Image the container was started from.
        systemd: Whether systemd ran in it; without, no service was tested.
        operations: The first run's operations, also those not reached.
        again: Operations that changed something in the second run.
        repeated: Whether there was a second run.
        checks: Requests to the service inside the container after a restart.
        services: Units that failed after the restart.
        error: What went wrong outside of an operation; empty: nothing.
        hint: What the reader can do about a failure; empty where nothing is known.
        seconds: The whole test.
        by_hand: The commands that do the same without olrunbook.

    """

    node_type: str
    base: str
    systemd: bool
    operations: list[Operation]
    again: list[str]
    repeated: bool
    checks: list[CheckSeen]
    services: list[str]
    error: str
    hint: str
    seconds: float
    by_hand: list[str]

    @property
    def failed(self) -> Operation | None:
        """The operation that failed, if one did."""
        return next((op for op in self.operations if op.state == "failed"), None)

    @property
    def ok(self) -> bool:
        """Whether everything that was tried went well."""
        if self.failed or self.error or self.services:
            return False
        return all(check.ok for check in self.checks)


class ImageTestResult(Result):
    """The local test of an app's deploy.

    Args:
        tests: One per node type.
        idempotent: Whether the catalog says that a second run changes nothing.
        artifacts: What was installed from the operator's cache.
        not_tested: What a container cannot test, one line each.

    """

    schema_name: ClassVar[str] = "olrunbook/image-test/1"

    tests: list[TestedImage]
    idempotent: bool
    artifacts: list[ArtifactUsed]
    not_tested: list[str]

    @property
    def ok(self) -> bool:
        """Whether every test went well, by the catalog's word on a second run too."""
        steady = not self.idempotent or not any(test.again for test in self.tests)
        return steady and all(test.ok for test in self.tests)

    def headline(self) -> str:
        """Return the operations and what a second run changed; or what failed."""
        for test in self.tests:
            if failed := test.failed:
                at = test.operations.index(failed) + 1
                return f"operation {at} of {len(test.operations)} failed: {failed.name}"
            if test.error:
                return test.error
        count = sum(len(test.operations) for test in self.tests)
        again = [name for test in self.tests for name in test.again]
        if not any(test.repeated for test in self.tests):
            words = "not run again"
        elif again:
            verb = "changes" if len(again) == 1 else "change"
            words = f"{len(again)} {verb} on every run"
        else:
            words = "a second run changes nothing"
        bad = [
            check.name for test in self.tests for check in test.checks if not check.ok
        ]
        bad += [f"{unit} failed" for test in self.tests for unit in test.services]
        return f"{count} operations; {words}" + (f"; {'; '.join(bad)}" if bad else "")
