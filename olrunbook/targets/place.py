"""What every target has: what tools inherit, and where its private state lies."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import sys
from pathlib import Path

from olrunbook.processes.left import VARIABLE

TARGET_FILE = "target.json"

# What tools inherit from the caller's shell: nothing that names an account, an
# endpoint, a plugin folder or a credential.
KEEP = """
    LANG LC_ALL TERM TMPDIR SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    DOCKER_HOST
"""


def onto(target: str) -> str:
    """Return a target as it is typed behind a command; a rehearsal need not be."""
    return f" --target {target}" if target not in ("", "rehearsal") else ""


def caller() -> str:
    """Return the name under which AWS's logs have our calls: it tells the run.

    Every SDK sends it at the end of its user agent, 50 characters at most.
    """
    run = os.environ.get(VARIABLE, "")
    return f"olrunbook-{run}" if run else "olrunbook"


def user() -> str:
    """Return who works here, in letters that the name of a session may have."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return re.sub(r"[^a-zA-Z0-9_+=,.@-]", "-", name) or "nobody"


def tool_environment() -> dict[str, str]:
    """Return what every tool gets from the caller's shell, with our own PATH first."""
    env = {name: os.environ[name] for name in KEEP.split() if name in os.environ}
    own = str(Path(sys.executable).parent)  # pyinfra lives beside our Python
    env["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return env


def state_dir(project_root: Path) -> Path:
    """Return the private folder of a checkout's state, outside the tree.

    Two checkouts on one machine have two folders: its name carries a hash of the path.
    """
    shared = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    base = os.environ.get("OLRUNBOOK_STATE") or Path(shared) / "olrunbook"
    real = project_root.resolve()
    digest = hashlib.sha256(str(real).encode()).hexdigest()
    return Path(base) / f"{real.name}-{digest[:8]}"
