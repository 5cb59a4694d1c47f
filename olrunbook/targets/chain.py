"""Ask a person's own AWS settings for credentials: `python -m`, JSON both ways.

The argument is a JSON object: `profile`, `role` (assumed with what the profile gives;
empty: none), `session` (its name), `region`, `shell` (patterns of the `AWS_*` variables
that count), `ask` (`credentials`, or `settings`: what else the profile says). For a
tool also `account`, `identity` and `pattern` (`targets.identity`): it gets those of
nobody else, even where a profile changes while it runs.

A process of its own, because AWS's libraries read the environment wherever they are:
here it holds what the catalog says counts, and nothing else.
"""

from __future__ import annotations

import fnmatch
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from olrunbook.targets.identity import wrong_identity

# What of a profile tools need to find AWS; nothing that gives credentials.
SETTINGS = """
    region endpoint_url services ca_bundle use_fips_endpoint use_dualstack_endpoint
    sts_regional_endpoints s3
"""
BY_SHELL = """
    endpoint_url ca_bundle use_fips_endpoint use_dualstack_endpoint
    sts_regional_endpoints
"""
NO_EXPIRY = timedelta(minutes=15)  # static keys: looked at again so often


def main() -> int:
    """Print what is asked for; 1: it cannot be had, and why is on standard error."""
    asked = json.loads(sys.argv[1])
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        if not any(fnmatch.fnmatchcase(name, each) for each in asked["shell"]):
            del os.environ[name]
    import botocore.session  # noqa: PLC0415  (it reads the environment)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    session = botocore.session.Session(profile=asked["profile"] or None)
    try:
        if asked["ask"] == "settings":
            found = settings(session)
        else:
            found = credentials(session, asked)
            if wrong := _not_ours(session, asked, found):
                sys.stderr.write(f"{wrong}\n")
                return 1
    except (BotoCoreError, ClientError, EOFError) as error:
        text = (
            " ".join(str(error).split()) or "a code was asked for, and nobody is here"
        )
        sys.stderr.write(f"{type(error).__name__}: {text}\n")
        return 1
    sys.stdout.write(json.dumps(found))
    return 0


def settings(session: Any) -> dict[str, Any]:
    """Return what else the profile says, as an AWS config has it."""
    scoped = session.get_scoped_config()
    found = {key: scoped[key] for key in SETTINGS.split() if key in scoped}
    # Those of the shell that are still here do count, and come first.
    ours = (name for name in os.environ if name.startswith("AWS_"))
    shell = {name.removeprefix("AWS_").lower(): os.environ[name] for name in ours}
    found |= {key: shell[key] for key in BY_SHELL.split() if key in shell}
    sections = session.full_config.get("services", {})
    services = dict(sections.get(found.get("services")) or {})
    for key, url in shell.items():
        if service := key.partition("endpoint_url_")[2]:
            services[service] = {"endpoint_url": url}
    if services:
        found = {"services": "own", **found, "service_endpoints": services}
    return found


def credentials(session: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Return credentials as `credential_process` prints them."""
    from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

    if (own := session.get_credentials()) is None:
        raise NoCredentialsError
    if role := asked["role"]:
        given = session.create_client("sts", asked["region"]).assume_role(
            RoleArn=role, RoleSessionName=asked["session"]
        )["Credentials"]
        keys = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        found, expires = {key: given[key] for key in keys}, given["Expiration"]
    else:
        frozen = own.get_frozen_credentials()
        found = {"AccessKeyId": frozen.access_key, "SecretAccessKey": frozen.secret_key}
        found |= {"SessionToken": frozen.token} if frozen.token else {}
        # botocore has no public name for it
        expires = getattr(own, "_expiry_time", None) or datetime.now(UTC) + NO_EXPIRY
    return {"Version": 1, **found, "Expiration": expires.astimezone(UTC).isoformat()}


def _not_ours(session: Any, asked: dict[str, Any], found: dict[str, Any]) -> str:
    """Return whose the credentials are, where that is not who is wanted."""
    if "identity" not in asked:
        return ""
    sts = session.create_client(
        "sts",
        asked["region"],
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found.get("SessionToken"),
    )
    wanted = (asked[name] for name in ("account", "identity", "pattern"))
    return wrong_identity(sts.get_caller_identity(), *wanted)


if __name__ == "__main__":
    sys.exit(main())
