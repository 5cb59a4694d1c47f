"""Follow one build: phases, operations, images, and what it must remove again."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from olrunbook.adapters.aws.answers import AwsError, asked
from olrunbook.events import Event
from olrunbook.steps.images.results import Operation, Phase

GONE = ("terminated", "shutting-down")
TAIL = 12  # lines of output that go into an error
# Known failures of provisioning and baking: what is said, and what can be done.
HINTS = tomllib.loads(Path(__file__).with_name("hints.toml").read_text("utf-8"))


@dataclass(slots=True)
class Watch:
    """What is known of a build so far."""

    # name and beginning of each phase
    phases: list[tuple[str, datetime]] = field(default_factory=list)
    seen: dict[str, Operation] = field(default_factory=dict)  # operations by name
    images: list[str] = field(default_factory=list)  # ids of the images Packer named
    # what the build made for itself, kind and name or id
    made: list[tuple[str, str]] = field(default_factory=list)
    base: str = ""  # the image it is built on
    errors: list[str] = field(default_factory=list)  # Packer's own error lines
    lines: list[str] = field(default_factory=list)  # the last lines it wrote
    said: list[str] = field(default_factory=list)  # last of a failed provisioner
    code: int | None = None  # its exit code; None while it runs
    seconds: float = 0.0  # the whole build
    ended_at: datetime | None = None  # when it ended (UTC)

    def see(self, event: Event) -> None:
        """Take one event in."""
        data, phase = event.data, self.phases[-1][0] if self.phases else ""
        match event.kind:
            case "phase" if event.text != phase:
                if (phase, event.text) == ("provisioning", "cleaning up"):
                    # The line before the one that says so is the provisioner's last.
                    self.said = [row for row in self.lines[:-1] if row.strip()][-TAIL:]
                self.phases.append((event.text, event.at))
            case "operation":
                keep = {key: data[key] for key in Operation.model_fields if key in data}
                self.seen[data["name"]] = Operation(**keep)
            case "artifact":
                self.images.append(data["id"])
            case "progress" if data.get("what") == "base image":
                self.base = data["id"]
            case "progress" if "what" in data:
                self.made.append((data["what"], data["id"]))
            case "error":
                self.errors.append(event.text)
            case "line":
                self.lines = [*self.lines[-60:], event.text]
            case "end":
                self.code, self.seconds = data["code"], data["seconds"]
                self.ended_at = event.at

    def operations(self) -> list[Operation]:
        """Return the operations in order."""
        return list(self.seen.values())

    def timed(self) -> list[Phase]:
        """Return the phases with their durations."""
        ends = [at for _, at in self.phases[1:]]
        if self.ended_at:
            ends.append(self.ended_at)
        return [
            Phase(name=name, seconds=round((end - at).total_seconds(), 1))
            for (name, at), end in zip(self.phases, ends, strict=False)
        ]

    def failed(self) -> Operation | None:
        """Return the pyinfra operation that failed, if one did."""
        return next((op for op in self.seen.values() if op.state == "failed"), None)

    @property
    def good(self) -> bool:
        """Whether it ended well, and each of its operations."""
        return not self.failed() and not self.code

    def cause(self) -> str:
        """Return what failed: an operation with its output, else Packer's own words."""
        if failed := self.failed():
            output = "\n".join(f"  {row}" for row in failed.output[-TAIL:])
            return f"operation {failed.name!r} failed\n{output}"
        said = [row for row in self.errors if row] or self.lines[-TAIL:]
        first = said[0] if said else "no output"
        if self.said:
            rows = "\n".join(f"  {row}" for row in self.said)
            last = self.said[-1].strip()
            return f"the provisioner's last output: {last}\n{rows}\n{first}"
        return first


def explain(watch: Watch) -> str:
    """Return what the reader can do about a failed build; empty: nothing is known."""
    failed = watch.failed()
    said = failed.output if failed else []
    return hint_for("\n".join([*watch.errors, *watch.lines, *said]))


def hint_for(output: str) -> str:
    """Return what a reader can do about a tool's output; empty: nothing is known."""
    for known in HINTS["known"]:
        if found := re.search(known["pattern"], output, re.MULTILINE):
            words = [group for group in found.groups() if group]
            hint: str = known["hint"]
            return hint.format(*(words or [""]))
    return ""


def leftovers(ec2: Any, watch: Watch) -> list[str]:
    """Return what a build made for itself and has not removed, or that AWS is silent.

    It is asked on the way to another error, which counts more than its own.
    """
    try:
        with asked("what the build has left"):
            return _left(ec2, watch)
    except AwsError as error:
        return [f"unknown: {error}"]


def _left(ec2: Any, watch: Watch) -> list[str]:
    def there(kind: str, key: str, by: str) -> list[dict[str, Any]]:
        """Return what the account still has of a kind."""
        made = {name for what, name in watch.made if what == kind}
        if not (names := sorted(made - set(watch.images))):
            return []
        describe = getattr(ec2, f"describe_{kind.replace(' ', '_')}s")
        return list(describe(Filters=[{"Name": by, "Values": names}])[key])

    instances = [
        one
        for reservation in there("instance", "Reservations", "instance-id")
        for one in reservation["Instances"]
        if one["State"]["Name"] not in GONE
    ]
    keys = there("key pair", "KeyPairs", "key-name")
    groups = there("security group", "SecurityGroups", "group-name")
    images = there("image", "Images", "image-id")
    return [
        *(f"instance {i['InstanceId']} ({i['State']['Name']})" for i in instances),
        *(f"key pair {one['KeyName']}" for one in keys),
        *(f"security group {one['GroupId']}" for one in groups),
        *(f"image {one['ImageId']} ({one['State']})" for one in images),
    ]
