"""`python3 -m setup COMMAND`: what the Makefile calls."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from setup import engine, environment, lock, system, tools
from setup.machine import Rights, cache_dir, can_rehearse, locked, refuse_elsewhere
from setup.report import Report, SetupError, clock, open_log

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "packages": "the Python packages alone (anywhere)",
    "release": "what a rehearsed release needs (Linux on amd64)",
    "test": "the same, and what the tests need",
    "other": "a second environment for the unit tests: other 3.13",
    "lock": "renew the locks (--upgrade: newest versions)",
    "down": "stop the docker engine that set-up started",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parse(arguments)
    began = time.monotonic()
    with open_log(cache_dir() / "logs") as log:
        report = Report(log)
        try:
            if options.command in {"release", "test"}:
                refuse_elsewhere()
            act(options, report)
        except SetupError as error:
            tell(f"\nSet-up stopped: {error}", error.hint)
            print(f"  Full output: {log.name}", file=sys.stderr)
            return error.code
        except KeyboardInterrupt:
            tell("\nSet-up was interrupted.", "Run the same command to continue.")
            return 130
    if options.command in {"packages", "release", "test"}:
        report.say(f"  ready in {clock(time.monotonic() - began)}")
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    told = "\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="setup",
        description="Make this machine ready for olrunbook.",
        epilog=told,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("version", nargs="?", default="3.13", help="for `other`")
    parser.add_argument("--upgrade", action="store_true", help="for `lock`")
    return parser.parse_args(arguments)


def act(options: argparse.Namespace, report: Report) -> None:
    """Do what was asked for, one set-up of this user at a time."""
    rights, cache = Rights.of_caller(), cache_dir()
    if options.command == "down":
        engine.stop_ours(report, rights, cache)
        return
    if options.command == "lock":
        lock.renew(report, ROOT, upgrade=options.upgrade)
        return
    with locked(cache, report):
        if options.command == "other":
            other(report, options.version)
        else:
            ready(report, rights, cache, options.command)


def ready(report: Report, rights: Rights, cache: Path, command: str) -> None:
    """Make everything ready that a command needs."""
    whole = command != "packages"
    report.say(f"olrunbook · set-up                 full output: {report.log.name}")
    wanted = system.needs(rehearsal=whole, browser=command == "test", root=rights.root)
    if can_rehearse():
        system.install(report, wanted, rights)
    kind = "dev" if command == "test" else "run"
    python = environment.ensure(report, ROOT, kind)
    if kind == "dev":
        folder = f"{environment.VENV}-theirs"
        environment.ensure(report, ROOT, "theirs", folder=folder)
    if whole:
        engine.ensure(report, rights, cache)
        tools.ensure(report, python, ROOT)


def other(report: Report, version: str) -> None:
    """Make `.venv-VERSION` where there is a Python of that version."""
    folder = f"{environment.VENV}-{version}"
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    why = f"there is no Python {version} on this machine"
    if own == version:
        why = f"{environment.VENV} has Python {version} itself"
    elif found := environment.find_other(version):
        environment.ensure(report, ROOT, "dev", folder=folder, python=found)
        return
    with report.step(folder) as step:
        step.skipped(why)


def tell(message: str, hint: str) -> None:
    """Print why set-up stopped and what can be done."""
    print(message, file=sys.stderr)
    if hint:
        print(f"  What you can do: {hint}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
