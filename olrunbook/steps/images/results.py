"""Results of the image steps: what was provisioned, validated, baked."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.project.imageset import format_images
from olrunbook.steps.results import Result, Value

OperationState = Literal["changed", "no change", "failed", "running", "not reached"]


class Operation(Value):
    """One pyinfra operation."""

    name: str  # its name, as the deploy file gives it
    state: OperationState  # how it ended; `running` where it was cut off
    seconds: float = 0.0
    commands: list[str] = Field(default_factory=list)  # its first commands
    output: list[str] = Field(default_factory=list)  # its last output, where it failed


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
    """One image."""

    node_type: str  # node type it is for
    ami: str  # its id; it exists and was `available` when the step ended
    name: str
    base_ami: str  # the image it was built on
    base_name: str  # that image's name
    tags: dict[str, str]
    phases: list[Phase]  # the phases of the build, in order
    operations: list[Operation]  # pyinfra's operations
    artifacts: list[ArtifactUsed]  # what was installed from the operator's cache
    packages: int  # number of Debian packages in it; 0 where the template does not tell
    packages_file: str  # their list, beside the logs; empty where there is none
    seconds: float  # the whole build
    by_hand: str  # the command that does the same without olrunbook


class ImageBuildResult(Result):
    """The image set that was built."""

    schema_name: ClassVar[str] = "olrunbook/image-build/1"

    images: dict[str, str]  # node type to AMI id
    builds: list[BuiltImage]  # each image
    commit: str  # the commit it was built from
    dirty: list[str]  # files that differed from it
    packer: str  # Packer's version
    started_at: datetime  # when the first build began (UTC)
    ended_at: datetime  # when the last one ended (UTC)

    def headline(self) -> str:
        """Return the image set and the images' names."""
        names = ", ".join(build.name for build in self.builds)
        return f"{format_images(self.images)}  {names}"


class TestedImage(Value):
    """The local test of one node type's deploy."""

    node_type: str
    base: str  # image the container was started from
    systemd: bool  # whether systemd ran in it; without, no service was tested
    operations: list[Operation]  # the first run's operations, also those not reached
    again: list[str]  # operations that changed something in the second run
    repeated: bool  # whether there was a second run
    checks: list[CheckSeen]  # requests to the service in it after a restart
    services: list[str]  # units that failed after the restart
    error: str  # what went wrong outside of an operation; empty: nothing
    hint: str  # what the reader can do about a failure; empty where nothing is known
    seconds: float  # the whole test
    by_hand: list[str]  # the commands that do the same without olrunbook

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
    """The local test of an app's deploy."""

    schema_name: ClassVar[str] = "olrunbook/image-test/1"

    tests: list[TestedImage]  # one per node type
    idempotent: bool  # whether the catalog says that a second run changes nothing
    artifacts: list[ArtifactUsed]  # what was installed from the operator's cache
    not_tested: list[str]  # what a container cannot test, one line each

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
        bad = [one.name for test in self.tests for one in test.checks if not one.ok]
        bad += [f"{unit} failed" for test in self.tests for unit in test.services]
        return f"{count} operations; {words}" + (f"; {'; '.join(bad)}" if bad else "")
