"""Plays a scenario: types commands, lets things happen, looks at what came of it."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from olrunbook.record.model import RunRecord
from tests.scenarios.acts import Acts, Child
from tests.scenarios.outside import update
from tests.scenarios.pages import told_by
from tests.scenarios.scene import Act, Group, Typed
from tests.scenarios.support import OLRUNBOOK
from tests.scenarios.world import until

TYPED_S = 240
SHOWN = 2_000  # characters of what a command has said, in an error
RECORD = re.compile(r"^\s*(?:record|Records:) (/\S+)", re.MULTILINE)
DIED = re.compile(r"^(\w+)…(\w+) had died; its record was written now", re.MULTILINE)


class Play(Acts):
    """One scenario as it is played; `said`: what the last command has said."""

    said = ""
    stopped = False

    def stop(self) -> None:
        """End the command that runs; nothing more is done."""
        self.stopped = True
        if child := self.child:
            child.process.terminate()

    def play(self) -> None:
        """Do every act, and look at the end."""
        shown = told_by(self.name, self.scene)
        for stage, image in self.scene.before.items():
            self.begin(stage, image)
        for number, act in enumerate(self.scene.acts, 1):
            try:
                self.do(act)
                if number in shown:
                    shown[number].must_match(self.said, self.name)
            except AssertionError as error:
                msg = f"act {number} ({act.do}): {error}"
                raise AssertionError(msg) from None
        for stage, wanted in self.scene.ends.items():
            self.serves(stage, wanted)

    def begin(self, stage: str, image: str) -> None:
        """Let every group of a stage serve on an image."""
        groups = self.scene.groups
        nodes = {group.node: self.images[image] for group in groups}
        update(self.desk, self.name, stage, nodes)
        for group in groups:
            until(partial(self.complete, stage, group))

    def complete(self, stage: str, group: Group) -> bool:
        """Whether all instances of a group are in service."""
        members = self.members(stage, group.name)
        return sum(one["serves"] for one in members) == group.size

    def do(self, act: Act) -> None:
        """Do one act, as soon as it may be done."""
        assert not self.stopped, "it was stopped"
        if act.when:
            when = act.when
            true = False
            with contextlib.suppress(AssertionError):  # not in time
                until(lambda: self.true(when) or self.over(), TYPED_S)
                true = self.true(when)
            said = self.child.said[-SHOWN:] if self.child else ""
            assert true, f"it never came that {when}; said was:\n{said}"
        if isinstance(act, Typed):
            self.type(act)
            return
        name = act.do.replace("-", "_")
        getattr(self, name)(act)

    def over(self) -> bool:
        """Whether the command that ran has ended."""
        return self.child is not None and self.child.process.poll() is not None

    # -- commands --------------------------------------------------------------------

    def type(self, act: Typed) -> None:
        """Type a command, and look at what it says and records."""
        children = [self.start(act.line) for _ in range(act.at_once)]
        self.child = children[0]
        try:
            for happens in act.meanwhile:
                self.do(happens)
            for child in children:
                child.process.wait(TYPED_S)
        except BaseException:
            for child in children:
                child.process.kill()
            raise
        finally:
            self.child = None
        said = self.said = "\n".join(child.said for child in children)
        exits = sorted(child.process.returncode for child in children)
        assert exits == act.exits, f"exit {exits}, wanted {act.exits}:\n{said[-SHOWN:]}"
        for text in act.says:
            assert self.fill(text) in said, f"{text!r} was not said:\n{said[-SHOWN:]}"
        for text in act.hides:
            assert self.fill(text) not in said, f"{text!r} was said:\n{said[-SHOWN:]}"
        if record := self.recorded(said):
            self.runs["last"] = record
            if act.name:
                self.runs[act.name] = record
            self.right(record)
        for path, wanted in act.record.items():
            assert record, f"no record:\n{said[-SHOWN:]}"
            self.compare(record, path, wanted)

    def start(self, line: str) -> Child:
        """Start a command."""
        with tempfile.NamedTemporaryFile(
            dir=self.desk.root.parent, delete=False
        ) as out:
            process = subprocess.Popen(
                [OLRUNBOOK, *shlex.split(self.fill(line))],
                cwd=self.desk.root,
                env=self.desk.env | {"BROWSER": "true"},  # which opens nothing
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return Child(process, Path(out.name))

    def fill(self, text: str) -> str:
        """Return a text with names of images, runs and keys filled in."""
        runs = {name: record.run_id for name, record in self.runs.items()}
        keys = {one: str(self.world.key(one)) for one in ("ann", "bob", "mallory")}
        return text.format_map({"app": self.name, **self.images, **keys, **runs})

    def recorded(self, said: str) -> RunRecord | None:
        """Return the record that a command has named last; None: it named none."""
        mine = self.desk.archive / self.desk.name / self.name
        found = [
            path
            for start, end in DIED.findall(said)
            for path in mine.glob(f"*/*_{start}*{end}/run.json")
        ]
        found += [Path(name) / "run.json" for name in RECORD.findall(said)]
        files = [file for file in found if file.is_file()]
        return RunRecord.model_validate_json(files[-1].read_text()) if files else None

    def compare(self, record: RunRecord, path: str, wanted: Any) -> None:
        """Compare what is at a path of a record: `steps.up.status`."""
        found: Any = json.loads(record.model_dump_json(by_alias=True))
        for part in path.split("."):
            if isinstance(found, list) and not part.lstrip("-").isdigit():
                named = {one.get("name") or one.get("group"): one for one in found}
                assert part in named, f"{path}: {part} is none of {list(named)}"
                found = named[part]
            else:
                found = found[int(part) if isinstance(found, list) else part]
        if isinstance(wanted, str):
            wanted = self.fill(wanted)
        if isinstance(wanted, dict):
            texts = {k: v for k, v in wanted.items() if isinstance(v, str)}
            wanted = wanted | {k: self.fill(v) for k, v in texts.items()}
        if isinstance(wanted, str) and wanted.startswith("~"):
            text = found if isinstance(found, str) else json.dumps(found)
            assert wanted[1:] in text, f"{path} is {text!r}, wanted {wanted!r}"
        else:
            assert found == wanted, f"{path} is {found!r}, wanted {wanted!r}"

    # -- what must always hold -------------------------------------------------------

    def right(self, record: RunRecord) -> None:
        """No rollout is green while an instance runs another image."""
        rolled = record.result("olrunbook/rollout/1")
        if record.status != "succeeded" or rolled is None:
            return
        assert rolled["outcome"] in ("launched", "refreshed", "unchanged"), rolled
        for group in self.scene.groups:
            image = record.images[group.node]
            found = self.members(record.stage, group.name)
            assert found, f"{group.name} has no instance"
            wrong = [one for one in found if one["image"] != image]
            assert not wrong, f"green, but {group.name} has {wrong}, wanted {image}"

    def serves(self, stage: str, wanted: str | dict[str, str]) -> None:
        """Every instance in service runs the image wanted, and there is one."""
        by_group = wanted if isinstance(wanted, dict) else {}
        for group in self.scene.groups:
            name = by_group.get(group.name, "" if by_group else wanted)
            image = self.images[str(name)] if name else None
            members = self.members(stage, group.name)
            seen = {one["image"] for one in members if one["serves"]}
            assert seen == ({image} if image else set()), (
                f"{group.name} in {stage} serves {seen}, wanted {name} {image}"
            )
