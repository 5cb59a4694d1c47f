"""OpenSSH signatures: `ssh-keygen -Y sign` and `-Y verify`, in a namespace of ours."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from olrunbook.errors import ToolError, UsageError

NAMESPACE = "olrunbook"
LIMIT_S = 120  # a key may ask for its passphrase, or to be touched
CANNOT = 255  # exit code of ssh-keygen where this key signs nothing
KEY = re.compile(r"\bSHA256:[\w+/=]+")


class Signer(NamedTuple):
    """Who signed."""

    # the principals that the file of allowed signers has for the key
    names: tuple[str, ...]
    key: str  # the key's fingerprint, `SHA256:…`


def sign(key: Path, message: bytes) -> str:
    """Return a signature; a passphrase is asked for at the terminal.

    `key` is the private key, or the public one of a key that an agent holds.

    Raises:
        UsageError: The file is no key, its passphrase is wrong, or its other half away.
        ToolError: ssh-keygen could not be run.

    """
    try:
        return _call("-Y", "sign", "-f", str(key), "-n", NAMESPACE, given=message)
    except ToolError as error:
        if error.code != CANNOT:
            raise
        msg = f"{key} is no key that ssh-keygen can read"
        msg = str(error) if _is_key(key) else msg
        hint = "Name your private key, ~/.ssh/id_ed25519, and give its passphrase."
        raise UsageError(msg, hint) from None


def _is_key(file: Path) -> bool:
    """Whether a file has a fingerprint, as every key has."""
    try:
        _call("-l", "-f", str(file))
    except ToolError:
        return False
    return True


def verify(signers: Path, message: bytes, signature: str) -> Signer:
    """Return who of the allowed signers signed a message; ToolError: nobody did."""
    with tempfile.NamedTemporaryFile("w", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        common = ["-f", str(signers), "-s", file.name]
        try:
            names = tuple(_call("-Y", "find-principals", *common).splitlines())
        except ToolError as error:
            if "No principal matched" not in str(error):
                raise
            names = ()
        if not names:
            msg = "the signature is of no allowed signer"
            raise ToolError(msg)
        which = ("verify", *common, "-I", names[0], "-n", NAMESPACE)
        said = _call("-Y", *which, given=message)
    found = KEY.search(said)
    return Signer(names, found[0] if found else "")


def _call(*words: str, given: bytes = b"") -> str:
    try:
        done = subprocess.run(
            ["ssh-keygen", *words],
            input=given,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"ssh-keygen could not be run: {error}"
        raise ToolError(msg, "Install OpenSSH 8.2 or newer.") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        line = said.splitlines()[-1] if said else f"exit code {done.returncode}"
        msg = f"ssh-keygen {' '.join(words[:2])}: {line}"
        raise ToolError(msg, code=done.returncode)
    return done.stdout.decode(errors="replace")
