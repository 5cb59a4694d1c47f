"""Packer under a supervisor: init, fmt, validate, build. No rules: steps judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from olrunbook.adapters.packer_lines import Reader, split_line
from olrunbook.adapters.toolcall import ToolCall, find_tool
from olrunbook.errors import ToolError
from olrunbook.events import Event
from olrunbook.processes.tool import PACKER, Command, Ended, Tool, merged, stopped
from olrunbook.redact import Redactor

PLUGIN = "packer-plugin-amazon"
SOURCE = "github.com/hashicorp/amazon"


class Answer(NamedTuple):
    """What a short call of Packer's said."""

    code: int | None
    lines: list[str]  # what it wrote, without Packer's prefixes
    seconds: float


def plugin_folder(call: ToolCall, folder: Path, log: Path, redactor: Redactor) -> Path:
    """Return a folder for PACKER_PLUGIN_PATH, with the amazon plugin in it.

    It is the one that Packer's environment names; else `folder`, into which the plugin
    is put from the binary on the PATH: offline.

    Raises:
        ToolError: The plugin is neither there nor on the PATH, or cannot be put there.

    """
    if named := call.env.get("PACKER_PLUGIN_PATH"):
        return Path(named)
    binary = find_tool(PLUGIN, call.env)
    there = (folder / SOURCE).glob(f"{PLUGIN}_*")
    newest = max((path.stat().st_mtime for path in there), default=0.0)
    if newest < Path(binary).stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        own = {**call.env, "PACKER_PLUGIN_PATH": str(folder)}
        words = call.argv(folder, call.program("packer"))
        packer = Packer(words, own, call.begins(folder), log, redactor)
        answer = packer.call("plugins", "install", "--path", binary, SOURCE)
        if answer.code:
            msg = f"the amazon plugin cannot be installed: {answer.lines[-1]}"
            raise ToolError(msg, f"Its output is in {log}.", answer.code)
    return folder


def build_arguments(
    template: str,
    *,
    only: str,
    variables: Mapping[str, str],
    on_error: str = "cleanup",
    verb: str = "build",
) -> list[str]:
    """Return the arguments of `packer build`, as they are also shown for a person."""
    return [
        verb,
        *([f"-on-error={on_error}"] if on_error != "cleanup" else []),
        *([f"-only={only}"] if only else []),
        *(
            part
            for name, value in variables.items()
            for part in ("-var", f"{name}={value}")
        ),
        template,
    ]


class Packer(NamedTuple):
    """Packer in one place."""

    program: Sequence[str]  # the binary, with what is put before it
    env: Mapping[str, str]  # its whole environment
    cwd: Path  # where `program` is started
    log: Path  # file for its masked output
    redactor: Redactor  # the run's secrets

    def call(self, *args: str) -> Answer:
        """Run a short subcommand to its end and return what it said.

        Raises:
            ToolError: It cannot be started.
            InterruptedRunError: The step was interrupted.

        """
        rows: list[str] = []
        with Tool(self._command(args), self.redactor) as tool:
            for line in tool.lines():
                found = split_line(line.text)
                rows += ("\n".join(found[2]) if found else line.text).split("\n")
            ended = tool.ended
        assert ended is not None
        return Answer(ended.code, [row for row in rows if row.strip()], ended.seconds)

    def build(self, builds: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Event]]:
        """Run one `packer build` for each name, side by side, to the end of all.

        Args:
            builds: Name to arguments from `build_arguments`. Each has a log of its own,
                `packer-NAME.log`.

        Yields:
            The name, and what happens; of each build at last an `end`.

        Raises:
            ToolError: One cannot be started; the others are told to stop.
            InterruptedRunError: They were told to stop, and clean up.

        """
        readers = {name: Reader() for name in builds}
        with ExitStack() as stack:
            tools: dict[str, Tool] = {}
            try:
                for name, (verb, *rest) in builds.items():
                    command = self._command([verb, "-machine-readable", *rest])
                    log = self.log.with_name(f"packer-{name}.log")
                    tool = Tool(replace(command, log=log), self.redactor)
                    tools[name] = stack.enter_context(tool)
                for name, said in merged(tools):
                    if isinstance(said, Ended):
                        yield name, said.event("packer")
                    else:
                        yield from ((name, event) for event in readers[name].read(said))
            except KeyboardInterrupt:  # where the events are taken
                raise stopped(tools.values()) from None

    def _command(self, args: Sequence[str]) -> Command:
        return Command(
            "packer",
            [*self.program, *args],
            cwd=self.cwd,
            env=self.env,
            log=self.log,
            policy=PACKER,
        )
