"""How a person may be logged in: each way of AWS's own tools is as good as another.

What stands for AWS's services (its sign-on, what a container and an instance are given)
is a server on loopback that gives the credentials of a role of the account.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from olrunbook.processes.handout import handing_out
from olrunbook.project.target import TargetSpec
from olrunbook.targets import account
from olrunbook.targets.account import account_of
from tests.account import ROLE, Person

ID, REGION = "123456789012", "us-east-1"
US = f"arn:aws:sts::{ID}:assumed-role/olrunbook-build/"
TOKEN, SIGNED = "a token of the sign-on", "a token of the instance"
ASKS = """
import botocore.session
print(botocore.session.Session().create_client("sts").get_caller_identity()["Arn"])
"""
CONFIG = """
[profile {name}]
region = {region}
endpoint_url = {endpoint}
{more}
"""
# Way in to what its profile says beside that.
WAYS = {
    "sso": """
services = here
sso_session = company
sso_account_id = {id}
sso_role_name = operators
[sso-session company]
sso_region = {region}
sso_start_url = https://company.example.org/start
[services here]
sso =
  endpoint_url = {server}
""",
    "web identity": """
services = here
role_arn = {role}
role_session_name = ann
web_identity_token_file = {home}/token
[services here]
sts =
  endpoint_url = {server}
""",
    "instance role": "ec2_metadata_service_endpoint = {server}",
    "credential process": 'credential_process = "{python}" "{home}/process"',
    "container": "",
}


class Gives(BaseHTTPRequestHandler):
    """Gives credentials of a role, as each of AWS's services says them."""

    found: dict[str, Any]
    endpoint: str  # of the account's own API

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_PUT(self) -> None:
        """Give the token without which an instance's role is not told."""
        self._say(SIGNED)

    def do_POST(self) -> None:
        """Give the role for the company's token; all else is asked of the account."""
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        if b"Action=AssumeRoleWithWebIdentity" in asked:
            assert b"WebIdentityToken=signed+by+the+company" in asked
            keys = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
            own = "".join(f"<{key}>{self.found[key]}</{key}>" for key in keys)
            name = "AssumeRoleWithWebIdentity"
            own = f"<{name}Result><Credentials>{own}</Credentials></{name}Result>"
            self._say(f"<{name}Response>{own}</{name}Response>")
            return
        heads = {name: value for name, value in self.headers.items() if name != "Host"}
        request = Request(self.endpoint, asked, heads)  # noqa: S310
        with urlopen(request) as answer:  # noqa: S310  (it is on loopback)
            self._say(answer.read().decode())

    def do_GET(self) -> None:
        """Give the credentials to whoever asks as AWS's tools do."""
        one, path = self.found, self.path.partition("?")[0]
        if path == "/federation/credentials":
            assert self.headers["x-amz-sso_bearer_token"] == TOKEN
            expires = datetime.fromisoformat(one["Expiration"]).timestamp() * 1000
            names = ("accessKeyId", "secretAccessKey", "sessionToken")
            keys = ("AccessKeyId", "SecretAccessKey", "SessionToken")
            own = dict(zip(names, (one[key] for key in keys), strict=True))
            self._say(json.dumps({"roleCredentials": {**own, "expiration": expires}}))
        elif path.startswith("/latest/"):
            assert self.headers["x-aws-ec2-metadata-token"] == SIGNED
            named = path.endswith("/operators")
            said = {**one, "Token": one["SessionToken"], "Code": "Success"}
            self._say(json.dumps(said) if named else "operators")
        else:
            self._say(json.dumps({**one, "Token": one["SessionToken"]}))

    def _say(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture(scope="module")
def given(person: Person) -> dict[str, Any]:
    """Return credentials of the role that builds, as `credential_process` says them."""
    sts = person.target.client("sts")
    role = ROLE.format("build")
    found: Any = sts.assume_role(RoleArn=role, RoleSessionName="ann")["Credentials"]
    return {"Version": 1, **found, "Expiration": found["Expiration"].isoformat()}


@pytest.fixture(scope="module")
def server(given: dict[str, Any], person: Person) -> Iterator[str]:
    """Return the address of what stands for AWS's services."""
    own = {"found": given, "endpoint": person.target.endpoint}
    handler = type("Here", (Gives,), own)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


@pytest.mark.parametrize("way", WAYS)
def test_a_person_may_be_logged_in_by(  # noqa: PLR0917  (fixtures)
    way: str,
    person: Person,
    given: dict[str, Any],
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """We are who that gives, and so are our tools; nothing of it is stored."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    known = {"home": home, "id": ID, "region": REGION, "server": server}
    known |= {"python": sys.executable, "role": ROLE.format("build")}
    more = WAYS[way].format(**known)
    named = CONFIG.format(
        name="mine", region=REGION, endpoint=person.target.endpoint, more=more
    )
    (home / ".aws" / "config").write_text(named)
    (home / "token").write_text("signed by the company")
    (home / "process").write_text(f"print({json.dumps(given)!r})")
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    session = hashlib.sha1(b"company", usedforsecurity=False).hexdigest()
    token = {"accessToken": TOKEN, "expiresAt": later}
    (cache / f"{session}.json").write_text(json.dumps(token))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server}/container")
    spec = TargetSpec(
        title="an account",
        kind="aws",
        account=ID,
        region=REGION,
        profile="mine",
        variables=["AWS_CONTAINER_*"] if way == "container" else [],
    )
    target = account_of("prod", spec, tmp_path / "state", "", {})
    try:
        assert target.identified().identity_arn == f"{US}ann"
        with handing_out(target.environment()) as env:
            done = subprocess.run(
                [sys.executable, "-c", ASKS],
                env=env,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        assert done.stdout.strip() == f"{US}ann", done.stderr
        secrets = [given["SecretAccessKey"], given["SessionToken"], TOKEN]
        written = [f for f in (tmp_path / "state").rglob("*") if f.is_file()]
        assert written
        for file in written:
            assert not any(secret in file.read_text() for secret in secrets), file
    finally:
        for each in (account._CLIENTS, account._CREDENTIALS, account._IDENTITIES):
            each.clear()
        account._WRITTEN.clear()
