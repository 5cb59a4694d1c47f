"""What Packer says with `-machine-readable`, understood line by line.

A line is `time,target,type,data,…`; commas and newlines inside data are escaped. What a
person reads comes as `ui` lines, from which the phases of an Amazon build are read, and
the names of what it made for itself (instance, key pair, security group). pyinfra
writes to its standard error, so its ordinary output comes as `ui,error`: no failure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from olrunbook.adapters.pyinfra import from_its_own_words
from olrunbook.events import Event
from olrunbook.processes.tool import Line

PHASES = (
    (re.compile(r"Prevalidating"), "checking"),
    (re.compile(r"Launching a source AWS instance"), "launching"),
    (re.compile(r"Waiting for SSH to become available"), "waiting for ssh"),
    (re.compile(r"Connected to SSH"), "provisioning"),
    (re.compile(r"Stopping the source instance"), "stopping"),
    (re.compile(r"Creating AMI "), "creating image"),
    (re.compile(r"Terminating the source AWS instance"), "cleaning up"),
    (re.compile(r"Provisioning step had errors"), "cleaning up"),
)
# What a build makes for itself and must remove again; last, what it starts from.
_NAMED = (
    (re.compile(r"Creating temporary keypair: (\S+)"), "key pair"),
    (re.compile(r"Creating temporary security group .*: (\S+)"), "security group"),
    (re.compile(r"Instance ID: (i-\w+)"), "instance"),
    (re.compile(r"^\s*AMI: (ami-\w+)"), "image"),
    (re.compile(r"Found Image ID: (ami-\w+)"), "base image"),
)
_PREFIX = re.compile(r"^(?:==>|-->) ([\w.-]+): ?")


def split_line(text: str) -> tuple[str, str, list[str]] | None:
    """Return (target, type, data) of a machine-readable line; None where it is none."""
    parts = text.split(",")
    if len(parts) < 3 or not parts[0].isdigit():  # noqa: PLR2004  (time, target, type)
        return None
    data = [
        part.replace("%!(PACKER_COMMA)", ",").replace("\\n", "\n").replace("\\r", "\r")
        for part in parts[3:]
    ]
    return parts[1], parts[2], data


@dataclass(slots=True)
class Reader:
    """Reads one build's lines in order and keeps where it is."""

    phase: str = ""  # the phase the build is in
    operation: str = ""  # the pyinfra operation that runs
    index: int = -1  # its number, from 0; -1 before the first
    # when it began (UTC)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    # what it said, to be told if it fails
    output: list[str] = field(default_factory=list)

    def read(self, line: Line) -> list[Event]:
        """Return the events of one line."""
        found = split_line(line.text)
        if found is None:
            data = {"stream": line.stream}
            return [Event("packer", "line", line.text, data, line.at)]
        target, kind, data_ = found
        match kind:
            case "ui":
                return self._spoken(data_, line)
            case "artifact" if data_[1:2] == ["id"]:
                region, _, image = data_[2].rpartition(":")
                made = {"id": image, "region": region, "build": target}
                return [Event("packer", "artifact", data_[2], made, line.at)]
            case "artifact-count" | "error-count":
                number = int(data_[0]) if data_ and data_[0].isdigit() else 0
                return [Event("packer", "summary", "", {kind: number}, line.at)]
            case "error":
                said = data_[0].strip() if data_ else ""
                return [Event("packer", "error", said, {}, line.at)]
        return []

    def _spoken(self, data: list[str], line: Line) -> list[Event]:
        rows = "".join(data[1:]).split("\n")
        texts = (_PREFIX.sub("", row).rstrip() for row in rows)
        return [e for text in texts if text for e in self._row(text, data[0], line)]

    def _row(self, text: str, how: str, line: Line) -> list[Event]:
        spoken = Event("packer", "line", text, {"stream": how}, line.at)
        if told := from_its_own_words(text, self.operation):
            return [spoken, self._operation(*told, line)]
        self.output.append(text)
        for sign, phase in PHASES:
            if sign.search(text) and phase != self.phase:
                self.phase = phase
                return [spoken, Event("packer", "phase", phase, {}, line.at)]
        for sign, what in _NAMED:
            if found := sign.search(text):
                named = {"what": what, "id": found[1]}
                words = f"{what} {found[1]}"
                return [spoken, Event("packer", "progress", words, named, line.at)]
        return [spoken]

    def _operation(self, name: str, state: str, line: Line) -> Event:
        text, data = name, dict[str, Any]()
        if state == "running":
            self.operation, self.began, self.output = name, line.at, []
            self.index += 1
        else:
            self.operation, text = "", f"{name}: {state}"
            said = self.output[-20:] if state == "failed" else []
            # Without the host, which pyinfra puts before each row.
            output = [re.sub(r"^\s*\[[^\]]+\] ?", "", row) for row in said]
            seconds = round((line.at - self.began).total_seconds(), 3)
            data = {"seconds": seconds, "commands": [], "output": output}
        data = {"name": name, "index": self.index, "state": state, **data}
        return Event("packer", "operation", text, data, line.at)
