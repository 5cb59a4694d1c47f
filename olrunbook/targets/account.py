"""A real account: a person's own credentials, held to what the catalog says of it.

They are asked for by a command of ours (`targets.chain`) that sees the person's home
and settings, and are never copied: tools get a private AWS config whose
`credential_process` asks whoever started them, and asks again before they expire.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from olrunbook.errors import RefusedError, ToolError, UsageError
from olrunbook.processes import credential_process
from olrunbook.processes.handout import CHAIN, Chain
from olrunbook.targets.identity import wrong_identity
from olrunbook.targets.place import caller, user
from olrunbook.targets.target import Target

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.credentials import RefreshableCredentials

    from olrunbook.project.target import TargetSpec

DIGEST_KEY = "OLRUNBOOK_DIGEST_KEY"
PROXIES = "HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy"
ASK_S = 60
SHORTEST = 16  # letters of a key
# What AWS's libraries say where nobody answers …
UNREACHED = r"\b\w*(?:Connect|Timeout|Proxy|SSL)\w*(?:Error|Expired)\b"
# … and where there are no credentials for another reason; what helps; else: log in.
REMEDIES = {
    "SSL validation failed": "The certificate of whoever answered is not trusted: name "
    "the file of its CA by `ca_bundle` in the profile.",
    UNREACHED: "Nobody answered: look at "
    "network and proxy, and at `endpoint_url` of the profile.",
    r"AccessDenied\w*\) when calling the AssumeRole": "Who is logged in may not take "
    "the role: look at `role` in catalog.toml and at what the role trusts.",
}

_LOCK = threading.RLock()
_CREDENTIALS: dict[tuple[str, ...], RefreshableCredentials] = {}
_CLIENTS: dict[tuple[str, ...], BaseClient] = {}
_IDENTITIES: dict[tuple[str, ...], AccountTarget] = {}
_WRITTEN: set[tuple[str, ...]] = set()


class AccountTarget(Target, frozen=True, extra="forbid"):
    """A target of kind `aws`."""

    chain: list[str]  # the command that asks for its credentials
    pattern: str  # the catalog's, of the identity that must answer

    @override
    def _keys(self) -> dict[str, str]:
        """Return what leads a tool to the account; its config is written first."""
        _write_config(self)
        # They are held to whoever STS said we are, as long as the tool runs.
        who = {"identity": self.identity_arn, "pattern": self.pattern}
        chain = _asked(self, "credentials", account=self.account, **who)
        return {CHAIN: json.dumps(chain), "AWS_SDK_LOAD_CONFIG": "1"}

    @override
    def client(self, service: str) -> Any:
        """Return a client of the account; before the first one STS says whose it is.

        Raises:
            RefusedError: Account, region or identity are others than the catalog's.
            ToolError: There are no credentials, or STS does not answer.

        """
        if service != "sts":
            self.identified()
        with _LOCK:
            key = (service, *self.chain)
            if key not in _CLIENTS:
                _CLIENTS[key] = _client(self, service)
            return _CLIENTS[key]

    @override
    def identified(self) -> AccountTarget:
        """Return the target as STS says who we are there, with the account's name.

        It is asked once in a process.

        Raises:
            RefusedError: Account, region or identity are others than the catalog's.
            ToolError: There are no credentials, or STS does not answer.

        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        key = (self.name, self.account, *self.chain)
        with _LOCK:
            if key in _IDENTITIES:
                return _IDENTITIES[key]
        try:
            identity = self.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            msg = f"target {self.name}: AWS does not say who we are: {error}"
            raise ToolError(msg, _to_do(self, error)) from None
        if wrong := self.wrong(identity):
            msg = f"target {self.name}: {wrong}"
            hint = "Nothing else was called. Look at the profile and the role."
            raise RefusedError(msg, hint)
        known = {"identity_arn": identity["Arn"], "alias": _alias(self)}
        with _LOCK:
            _IDENTITIES[key] = self.model_copy(update=known)
            return _IDENTITIES[key]

    @override
    def wrong(self, identity: Mapping[str, object]) -> str:
        """Return how GetCallerIdentity answers otherwise than it must; empty: not."""
        known = (self.account, self.identity_arn, self.pattern)
        return wrong_identity(identity, *known)

    @override
    def forget(self) -> None:
        """Ask the person's settings anew before the next call."""
        with _LOCK:
            _CREDENTIALS.pop(tuple(self.chain), None)
            for key in [key for key in _CLIENTS if key[1:] == tuple(self.chain)]:
                del _CLIENTS[key]

    @override
    def digest_key(self) -> str:
        """Return the key of a preview's digest: OLRUNBOOK_DIGEST_KEY, else one of here.

        Whoever takes up a run elsewhere (another machine, CI) needs the same one.

        Raises:
            UsageError: The variable holds fewer than 16 characters.

        """
        if given := os.environ.get(DIGEST_KEY):
            if len(given) < SHORTEST:
                msg = f"{DIGEST_KEY} is too short: wanted {SHORTEST} letters or more"
                raise UsageError(msg)
            return given
        path = self.state / "digest.key"
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            aside = path.with_name(f"digest.{os.getpid()}")
            aside.touch(0o600)
            aside.write_text(secrets.token_hex(32), encoding="utf-8")
            with contextlib.suppress(FileExistsError):  # another run was quicker
                path.hardlink_to(aside)
            aside.unlink()
        return path.read_text(encoding="utf-8")


def account_of(
    name: str, spec: TargetSpec, state: Path, stage: str, tools: Mapping[str, Any]
) -> AccountTarget:
    """Return the target of an account; nothing is called.

    Args:
        name: Its name in the catalog.
        spec: What the catalog says of it.
        state: Its private folder.
        stage: The stage, for its role; empty: `build`.
        tools: `path`, `tools` and `env` as the command line left them; empty: nothing.

    """
    filled = {"stage": stage or "build", "stage_lower": (stage or "build").lower()}
    asked = {
        "profile": spec.profile,
        "role": spec.role.format(**filled),
        "session": f"olrunbook-{user()}"[:64],
        "region": spec.region,
        "shell": spec.variables,
        "ask": "credentials",
    }
    profile = f" --profile {spec.profile}" if spec.profile else ""
    found = {key: tools[key] for key in ("path", "tools") if key in tools}
    return AccountTarget(
        name=name,
        kind="aws",
        cloud_id=f"aws-{spec.account}-{spec.region}",
        account=spec.account,
        region=spec.region,
        identity_arn=spec.identity.format(**filled),
        pattern=spec.identity.format(**filled),
        chain=[
            sys.executable,
            "-P",
            "-m",
            "olrunbook.targets.chain",
            json.dumps(asked),
        ],
        env=_own_environment() | tools.get("env", {}),
        home=state / "home",
        state=state,
        renew=f"aws sso login{profile}, or as you log in otherwise",
        schema="olrunbook/target/1",
        **found,
    )


def _own_environment() -> dict[str, str]:
    """Return what of the person's shell tools need to reach AWS, and their plugins."""
    found = {name: os.environ[name] for name in PROXIES.split() if name in os.environ}
    if found:
        # Pulumi and its parts speak by gRPC, which asks a proxy for loopback, too.
        either = found.get("NO_PROXY") or found.get("no_proxy", "")
        for name in ("NO_PROXY", "no_proxy"):
            own = found.get(name) or either
            if own != "*":  # nothing goes by a proxy
                own = ",".join([*([own] if own else []), "127.0.0.1", "localhost"])
            found[name] = own
    home = os.environ.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    return {**found, "PULUMI_HOME": home, "PULUMI_SKIP_UPDATE_CHECK": "true"}


def _asked(target: AccountTarget, ask: str, **more: str) -> list[str]:
    *command, words = target.chain
    return [*command, json.dumps({**json.loads(words), "ask": ask, **more})]


def _write_config(target: AccountTarget) -> Path:
    """Write the private AWS config of tools, once in a process, and return its path."""
    path = target.home / "aws-config"
    with _LOCK:
        if (known := (str(path), *target.chain)) in _WRITTEN:
            return path
        settings = _settings(target)
        target.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (target.home / "aws-credentials").touch(0o600)
        aside = path.with_name(f"aws-config.{os.getpid()}")
        aside.touch(0o600)
        aside.write_text("\n".join(_lines(target, settings)) + "\n", encoding="utf-8")
        aside.replace(path)
        _WRITTEN.add(known)
    return path


def _settings(target: AccountTarget) -> dict[str, Any]:
    """Return what the profile says beside its credentials."""
    try:
        done = subprocess.run(
            _asked(target, "settings"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"target {target.name}: the AWS settings cannot be read"
        raise ToolError(msg) from None
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        msg = f"target {target.name}: the AWS settings cannot be used: {why}"
        hint = "Name a profile of your ~/.aws/config in catalog.toml."
        raise RefusedError(msg, hint + _do_not_count(target))
    found: dict[str, Any] = json.loads(done.stdout)
    region = found.pop("region", target.region)
    if region != target.region:
        msg = f"target {target.name}: the profile's region is {region}, "
        msg += f"wanted {target.region}"
        raise RefusedError(msg, "Use the same region in catalog.toml and the profile.")
    return found


def _lines(target: AccountTarget, settings: dict[str, Any]) -> list[str]:
    endpoints = settings.pop("service_endpoints", {})
    # -I -S: the standard library alone, whatever the tool's environment says. A value
    # must not begin or end with a quote: Go's SDK takes those off.
    program = f'env "{sys.executable}" -I -S "{credential_process.__file__}" print'
    own = {"region": target.region, "credential_process": program, **settings}
    lines = ["[default]", *_pairs(own)]
    if endpoints:
        lines += [f"[services {settings['services']}]", *_pairs(endpoints)]
    return lines


def _pairs(values: dict[str, Any]) -> list[str]:
    """Return the lines of a section; a mapping is indented below its name."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{name} =", *(f"  {key} = {one}" for key, one in value.items())]
        else:
            lines.append(f"{name} = {value}")
    return lines


def _credentials(target: AccountTarget) -> RefreshableCredentials:
    """Return what signs our own calls: asked for as a tool's, and renewed likewise."""
    from botocore.credentials import RefreshableCredentials  # noqa: PLC0415  (heavy)
    from botocore.exceptions import CredentialRetrievalError  # noqa: PLC0415

    with _LOCK:
        key = tuple(target.chain)
        if key not in _CREDENTIALS:
            chain = Chain(target.chain, os.environ)

            def refresh() -> dict[str, str | None]:
                found = json.loads(chain.ask())
                if error := found.get("error"):
                    raise CredentialRetrievalError(provider="yours", error_msg=error)
                return {
                    "access_key": found["AccessKeyId"],
                    "secret_key": found["SecretAccessKey"],
                    "token": found.get("SessionToken"),
                    "expiry_time": found["Expiration"],
                }

            # The chain keeps what is fresh, so to ask it often costs nothing.
            _CREDENTIALS[key] = RefreshableCredentials.create_from_metadata(
                refresh(), refresh, "olrunbook"
            )
        return _CREDENTIALS[key]


def _client(target: AccountTarget, service: str) -> BaseClient:
    from botocore.config import Config  # noqa: PLC0415  (heavy: only where it is used)
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    # The private config alone: an `AWS_*` of the shell that counts is in it.
    known = Session.SESSION_VARIABLES.items()
    own = {name: (key, None, *more) for name, (key, _, *more) in known} | {
        "profile": (None, None, None, None),
        "config_file": (None, None, str(_write_config(target)), None),
        "credentials_file": (None, None, os.devnull, None),
        "region": (None, None, target.region, None),
    }
    session = Session(session_vars=own)
    try:
        vars(session)["_credentials"] = _credentials(target)  # there is no public way
    except BotoCoreError as error:
        msg = f"target {target.name}: no AWS credentials: {error}"
        raise ToolError(msg, _to_do(target, error)) from None
    how = Config(
        retries={"mode": "adaptive", "max_attempts": 5},
        connect_timeout=5,
        read_timeout=60,
        ignore_configured_endpoint_urls=True,  # of the shell; the config's is given
        user_agent_appid=caller(),  # type: ignore[call-arg]  # its types are older
    )
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    named = session.get_service_model(service).service_id.hyphenize().replace("-", "_")
    special = services.get(named, {}).get("endpoint_url")
    endpoint = special or profile.get("endpoint_url")
    made: BaseClient = session.create_client(
        service, target.region, endpoint_url=endpoint, config=how
    )
    return made


def _to_do(target: AccountTarget, error: Exception) -> str:
    """Return what helps where there are no credentials."""
    said = f"{type(error).__name__}: {error}"
    helps = (text for words, text in REMEDIES.items() if re.search(words, said))
    return next(helps, f"Log in: {target.renew}.") + _do_not_count(target)


def _do_not_count(target: AccountTarget) -> str:
    """Say which `AWS_*` variables of the shell do not count; empty: there are none."""
    count = json.loads(target.chain[-1])["shell"]
    found = [
        name
        for name in sorted(os.environ)
        if name.startswith("AWS_") and not any(fnmatch(name, each) for each in count)
    ]
    if not found:
        return ""
    text = " In your shell, and not counted (`variables` in catalog.toml): "
    return text + ", ".join(found)


def _alias(target: AccountTarget) -> str:
    """Return the account's alias; empty: it has none, or we may not see it."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    with contextlib.suppress(BotoCoreError, ClientError):
        iam: Any = _client(target, "iam")
        return next(iter(iam.list_account_aliases()["AccountAliases"]), "")
    return ""
