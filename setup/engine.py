"""A docker engine: the one that answers, else one we start and remember.

A second daemon on one machine destroys the first one's network, so none is started
while another lives, whether it answers or not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from setup.machine import Rights
from setup.report import Report, SetupError, Step

PID_FILE = Path("/var/run/docker.pid")
SYSTEMD = Path("/run/systemd/system")  # is there where systemd is the first process
MEMORY = "dockerd.json"
LOG = "dockerd.log"
ANSWER_S = 40.0
PATIENCE_S = 3.0  # until a daemon that was just started can be seen
STOP_S = 30.0
# Not `docker info`: where none answers, 20.10 says only that its own template broke.
ASK = ("docker", "version", "--format", "{{.Server.Version}}")


def ask() -> tuple[str, str]:
    """Return what the engine says of itself, else why there is no answer."""
    try:
        said = subprocess.run(
            ASK, check=False, capture_output=True, text=True, timeout=20
        )
    except FileNotFoundError:
        return "", "there is no docker program"
    except subprocess.TimeoutExpired:
        return "", "no answer within 20 s"
    version = said.stdout.strip()
    if said.returncode or not version:
        return "", said.stderr.strip() or "no answer"
    return version, ""


def daemons() -> list[int]:
    """Return the process ids of docker daemons on this machine."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text(encoding="utf-8").strip() == "dockerd":
                found.append(int(comm.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def started_at(pid: int) -> str:
    """Return when a process was started (kernel ticks); empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def ensure(report: Report, rights: Rights, cache: Path) -> None:
    """See that an engine answers.

    Raises:
        SetupError: None does, and none can be started.

    """
    with report.step("docker engine") as step:
        host = os.environ.get("DOCKER_HOST", "")
        if host and not host.startswith("unix://"):
            msg = f"DOCKER_HOST is {host}: instances must run on this machine"
            raise SetupError(msg, "Unset DOCKER_HOST and try again.")
        version, why = ask()
        if version:
            step.found(version)
            return
        if "permission denied" in why.lower():
            msg = "it runs, but you may not use it"
            hint = 'Run `sudo usermod -aG docker "$USER"`, log in again, try again.'
            raise SetupError(msg, hint)
        log = cache / "logs" / LOG
        if daemons():
            step.doing("a daemon is running; waiting for its answer", ANSWER_S)
        else:
            rights.need("To be started: a docker engine (dockerd).", "dockerd")
            step.doing("starting one: instances are containers", 3)
            start(step, rights, cache, log)
        version = wait(log)
        step.done(f"{version}, log {log}" if (cache / MEMORY).exists() else version)


def start(step: Step, rights: Rights, cache: Path, log: Path) -> None:
    """Start a daemon: by systemd where it rules, else in a session of its own."""
    (cache / MEMORY).unlink(missing_ok=True)
    if SYSTEMD.is_dir():
        hint = "Look at `systemctl status docker`."
        step.run(rights.argv("systemctl", "start", "docker"), hint)
        return
    keep = ("HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PATH")
    env = {name: os.environ[name] for name in keep if name in os.environ}
    env["PATH"] = os.pathsep.join([env.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        try:
            subprocess.Popen(
                rights.argv("dockerd"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            msg = f"dockerd cannot be started: {error.strerror}"
            raise SetupError(msg, "Is docker.io installed?") from None
    wait(log)
    pid = int(PID_FILE.read_text(encoding="utf-8")) if PID_FILE.exists() else 0
    memory = {"pid": pid, "started_at": started_at(pid), "log": str(log)}
    (cache / MEMORY).write_text(json.dumps(memory), encoding="utf-8")


def wait(log: Path) -> str:
    """Wait for an engine's answer and return it.

    Raises:
        SetupError: None came in time, or the daemon ended; with the end of its log.

    """
    deadline = time.monotonic() + ANSWER_S
    patience = time.monotonic() + PATIENCE_S
    while True:
        version, why = ask()
        if version:
            return version
        gone = time.monotonic() > patience and not daemons()
        if gone or time.monotonic() > deadline:
            said = log.read_text(errors="replace") if log.exists() else ""
            end = "\n      ".join(["", *said.splitlines()[-5:]])
            msg = f"{'dockerd ended' if gone else 'no answer'}: {why}{end}"
            hint = f"Read {log}, then start it yourself: `docker info` must answer."
            raise SetupError(msg, hint)
        time.sleep(0.2)


def stop_ours(report: Report, rights: Rights, cache: Path) -> None:
    """Stop the daemon we started, unless somebody's container runs on it."""
    path = cache / MEMORY
    if not path.exists():
        return
    memory = json.loads(path.read_text(encoding="utf-8"))
    pid = int(memory["pid"])
    with report.step("docker engine") as step:
        if not pid or started_at(pid) != memory["started_at"]:
            path.unlink()
            step.skipped("the one that set-up started has ended already")
            return
        call = ["docker", "ps", "--quiet"]
        said = subprocess.run(call, check=False, capture_output=True, text=True)
        if running := said.stdout.split():
            step.skipped(f"left up: {len(running)} containers run on it (pid {pid})")
            return
        step.doing("stopping the one that set-up started", 5)
        rights.need("To be stopped: the docker engine that set-up started.", "kill")
        step.run(rights.argv("kill", f"-{signal.SIGTERM.value}", str(pid)))
        deadline = time.monotonic() + STOP_S
        while started_at(pid):
            if time.monotonic() > deadline:
                msg = f"dockerd (pid {pid}) did not stop within {STOP_S:.0f} s"
                raise SetupError(msg, f"Read {memory['log']}.")
            time.sleep(0.1)
        path.unlink()
        step.done(f"stopped (pid {pid})")
