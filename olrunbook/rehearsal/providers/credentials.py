"""What a tool's private AWS config says: region, endpoint, who is asked for keys."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.configloader import load_config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ConfigNotFound, CredentialRetrievalError

METHOD = "custom-process"  # as botocore calls a profile's credential_process
PROCESS_S = 60.0


def profile_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the profile in use; empty where there is no such file."""
    try:
        found = load_config(environment.get("AWS_CONFIG_FILE") or "/dev/null")
    except ConfigNotFound:
        return {}
    name = environment.get("AWS_PROFILE") or "default"
    profile: dict[str, str] = found["profiles"].get(name, {})
    return profile


class _Asked(DeferredRefreshableCredentials):
    """Keys that are asked for again when a third of their life is left.

    botocore's own would ask at each call where keys live for less than ten minutes.
    """

    _advisory_refresh_timeout = 0.0  # from here on one call fetches new ones …
    _mandatory_refresh_timeout = 0.0  # … from there on all wait for them

    def live(self, left_s: float) -> None:
        """Take up keys that live so long."""
        self._advisory_refresh_timeout = left_s / 3
        self._mandatory_refresh_timeout = left_s / 10


def refreshed_by(
    command: str, environment: Mapping[str, str]
) -> DeferredRefreshableCredentials:
    """Return credentials that a `credential_process` prints, asked for as needed."""

    def ask() -> dict[str, Any]:
        done = subprocess.run(
            shlex.split(command),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROCESS_S,
            check=False,
        )
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()
            raise CredentialRetrievalError(provider=METHOD, error_msg=words)
        said = json.loads(done.stdout)
        ends = datetime.fromisoformat(said["Expiration"])
        made.live((ends - datetime.now(UTC)).total_seconds())
        return {
            "access_key": said["AccessKeyId"],
            "secret_key": said["SecretAccessKey"],
            "token": said["SessionToken"],
            "expiry_time": said["Expiration"],
        }

    made = _Asked(ask, METHOD)
    return made
