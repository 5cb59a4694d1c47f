"""What the system tells of processes and does to them: every Linux-only call is here.

Elsewhere (macOS) psutil tells when a process began and how it was called. What is not
done there has a name in `NOT_DONE`; `doctor` and every preflight say it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NOT_DONE = (
    "what a cell leaves running is not looked for when its run ends",
    "what a tool leaves running is not ended",
    "a tool goes on where its supervisor is killed",
    "a kernel killed for memory is called killed",
)
PROC = Path("/proc")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KERNEL_THREAD = 0x00200000  # PF_KTHREAD of linux/sched.h, in the flags of proc(5)
EXEC_S = 1.0  # how long a process in its exec is asked again


def is_linux() -> bool:
    """Whether all of this works here."""
    return sys.platform == "linux"


def folders() -> Iterator[Path]:
    """Yield the folder in /proc of each process; elsewhere none."""
    return PROC.glob("[0-9]*") if is_linux() else iter(())


def stat_of(folder: Path) -> tuple[str, list[str]]:
    """Return the name of a process, by its folder in /proc, and what its `stat` says.

    Raises:
        OSError: It is gone.

    """
    # The name is bytes, in parentheses, and may hold anything, also parentheses.
    text = (folder / "stat").read_text(errors="replace")
    head, _, rest = text.rpartition(")")
    return head.partition(" (")[2], rest.split()


def since(pid: int) -> str:
    """Return when a process began, in the system's count; empty: it has ended."""
    if not is_linux():
        return _since_elsewhere(pid)
    try:
        _, fields = stat_of(PROC / str(pid))
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _since_elsewhere(pid: int) -> str:
    import psutil  # noqa: PLC0415  (a supervisor starts without it)

    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return "" if ended else str(process.create_time())
    except psutil.Error:
        return ""


def age_s(began: str) -> float:
    """Return how long ago (seconds) a process began, by what `since` said (Linux)."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return max(uptime - int(began) / os.sysconf("SC_CLK_TCK"), 0)


def command_of(folder: Path) -> list[bytes]:
    """Return the command line of a process, by its folder in /proc; empty: it has none.

    While a process executes another program, it has none for a moment; it is asked
    again until it has one. Kernel threads and processes that have ended never have.

    Raises:
        OSError: It is gone.

    """
    end = time.monotonic() + EXEC_S
    while not (words := (folder / "cmdline").read_bytes().split(b"\0")[:-1]):
        _, fields = stat_of(folder)
        ended = fields[0] in "ZX" or int(fields[6]) & KERNEL_THREAD
        if ended or time.monotonic() > end:
            break
        time.sleep(0.001)
    return words


def commands() -> Iterator[tuple[int, list[str]]]:
    """Yield the processes, by pid and command line; none without one."""
    if not is_linux():
        import psutil  # noqa: PLC0415  (a supervisor starts without it)

        for process in psutil.process_iter(["cmdline"]):
            yield process.pid, process.info["cmdline"] or []
        return
    for folder in folders():
        try:
            words = [os.fsdecode(word) for word in command_of(folder)]
        except OSError:
            continue
        yield int(folder.name), words


def adopt() -> None:
    """Have the system give us every descendant whose own parent ends (Linux)."""
    if is_linux():
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(number: int) -> None:
    """Have the system send us a signal when our parent ends (Linux)."""
    if is_linux():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def boot() -> str:
    """Return what tells this start of the machine from others."""
    if is_linux():
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    import psutil  # noqa: PLC0415  (a supervisor starts without it)

    return str(int(psutil.boot_time()))


def killed_for_memory() -> int:
    """Return how many processes the system has killed for memory since it started."""
    try:
        counters = (PROC / "vmstat").read_text().splitlines()
    except OSError:
        return 0  # no Linux
    return sum(int(line.split()[1]) for line in counters if line[:9] == "oom_kill ")


def reserve(file: int, size: int) -> None:
    """Have the disk keep room (bytes) for a file; OSError where there is none."""
    if sys.platform == "linux":  # written out, so that a type checker knows it too
        os.posix_fallocate(file, 0, size)
    else:
        os.write(file, bytes(size))
