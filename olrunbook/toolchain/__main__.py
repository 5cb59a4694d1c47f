"""`python -m olrunbook.toolchain`: for set-up and the Makefile.

ensure [--events] [--keep-build] [NAME …]   find, download or build
exec NAME ARGUMENT …                        run a tool as the kit would find it
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from olrunbook.errors import OlrunbookError
from olrunbook.events import Event
from olrunbook.toolchain import ensure


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m olrunbook.toolchain")
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("ensure", help="find, download or build tools")
    first.add_argument("--events", action="store_true", help="print JSON")
    first.add_argument("--keep-build", action="store_true", help="for the next call")
    first.add_argument("names", nargs="*")
    second = commands.add_parser("exec", help="run a tool")
    second.add_argument("name")
    second.add_argument("rest", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    try:
        if options.command == "exec":
            return execute(options.name, options.rest)
        emit = tell_json if options.events else tell
        chain = ensure(options.names or None, emit, keep_build=options.keep_build)
    except OlrunbookError as error:
        print(error, file=sys.stderr)
        if error.hint:
            print(f"What you can do: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    for tool in chain.tools.values():
        if options.events:
            text = f"{tool.version}, {tool.origin}: {tool.path}"
            say({"tool": tool.name, "state": "found", "text": text})
        else:
            print(tool)
    return 0


def execute(name: str, rest: list[str]) -> int:
    """Become a tool; what it needs comes from the whole chain."""
    chain = ensure([name])
    tool = chain.tools[name]
    env = chain.environment()
    path = os.pathsep.join([env.pop("PATH"), os.environ.get("PATH", os.defpath)])
    os.execve(tool.path, [name, *rest], {**os.environ, **env, "PATH": path})


def tell(event: Event) -> None:
    """Print an event for a person."""
    print(event.text, file=sys.stderr, flush=True)


def tell_json(event: Event) -> None:
    """Print an event for set-up."""
    state = "built" if event.kind == "artifact" else "doing"
    expected = event.data.get("expected_s", 0)
    text = event.text.partition(": ")[2]
    say({"tool": event.tool, "state": state, "text": text, "expected_s": expected})


def say(message: dict[str, Any]) -> None:
    """Print one object on a line of its own."""
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.exit(main())
