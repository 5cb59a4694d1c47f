"""What this machine is: platform, rights, folders outside the tree."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from setup.report import Report, SetupError


def cache_dir() -> Path:
    """Return the private folder of what is kept between checkouts, outside the tree."""
    named = os.environ.get("OLRUNBOOK_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(named) if named else Path(base) / "olrunbook"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.absolute()


def can_rehearse(system: str = "", machine: str = "") -> bool:
    """Whether the cloud on loopback can run here: Linux on amd64."""
    system = system or platform.system()
    return system == "Linux" and (machine or platform.machine()) in {"x86_64", "amd64"}


def refuse_elsewhere(system: str = "", machine: str = "") -> None:
    """Stop before anything is done where the rehearsal cannot run.

    Raises:
        SetupError: This is not Linux on amd64.

    """
    system, machine = system or platform.system(), machine or platform.machine()
    if not can_rehearse(system, machine):
        msg = f"the rehearsal runs on Linux on amd64; this is {system} on {machine}"
        hint = (
            "`make setup` installs the Python packages alone: then the\n"
            "  catalog, parameters and records can be read (olrunbook catalog, runs).\n"
            "  For a release use a Linux virtual machine on amd64."
        )
        raise SetupError(msg, hint, code=2)


def base_python() -> str:
    """Return the Python that is not itself in a virtual environment."""
    own = str(getattr(sys, "_base_executable", "") or sys.executable)
    return own if sys.prefix != sys.base_prefix else sys.executable


def ask_terminal(question: str) -> bool:
    """Ask a yes-or-no question; yes is the default."""
    try:
        return input(f"{question} [Y/n] ").strip().lower() in {"", "y", "yes"}
    except EOFError:
        return False


class Rights:
    """The right to change the system: root, or sudo once the user has agreed.

    Args:
        uid: The user's id.
        ask: Asks one question; None where nobody can answer.
        agreed: Agreed beforehand (OLRUNBOOK_SETUP=yes).

    """

    def __init__(
        self, uid: int, ask: Callable[[str], bool] | None, *, agreed: bool = False
    ) -> None:
        self.root = uid == 0
        self.ask = ask
        self.agreed = self.root or agreed

    @classmethod
    def of_caller(cls) -> Rights:
        """Return those of whoever started us."""
        ask = (
            ask_terminal
            if sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()
            else None
        )
        agreed = os.environ.get("OLRUNBOOK_SETUP", "").lower() == "yes"
        return cls(os.getuid(), ask, agreed=agreed)

    def argv(self, *command: str) -> list[str]:
        """Return the command as root runs it: by sudo unless we are root."""
        return [*command] if self.root else ["sudo", *command]

    def need(self, what: str, by_hand: str) -> None:
        """Make sure that we may; asks at most once.

        Args:
            what: What is going to be done, for the question.
            by_hand: The command that does the same.

        Raises:
            SetupError: The user said no, or nobody could be asked.

        """
        if not self.agreed and self.ask:
            self.agreed = self.ask(f"{what}\nUse sudo for it?")
        if not self.agreed:
            hint = f"Run `{by_hand}`, or set OLRUNBOOK_SETUP=yes (uses sudo)."
            msg = "it needs root, and sudo was not allowed"
            raise SetupError(msg, hint)
        if not self.root and not shutil.which("sudo"):
            msg = "it needs root, and there is no sudo"
            raise SetupError(msg, f"As root, run: {by_hand}")
        if not self.root:
            self._authenticate(by_hand)

    def _authenticate(self, by_hand: str) -> None:
        """Let sudo ask for its password now, while the terminal is ours."""
        flags = ["-v"] if self.ask else ["-n", "-v"]
        if subprocess.run(["sudo", *flags], check=False).returncode:
            msg = "sudo refused"
            raise SetupError(msg, f"Ask someone with root to run: {by_hand}")


@contextmanager
def locked(folder: Path, report: Report) -> Iterator[None]:
    """Let one set-up of this user work at a time; the next one waits and says so."""
    with (folder / "setup.lock").open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with report.step("another set-up") as step:
                step.doing("is running; waiting for it to end", 60)
                fcntl.flock(handle, fcntl.LOCK_EX)
                step.done("has ended")
        yield
