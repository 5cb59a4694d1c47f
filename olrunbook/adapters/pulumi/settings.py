"""A copy of a stack's folder, with the settings of one stage of one cloud in it.

The checkout is never written. What belongs to a cloud (the key its secrets are
encrypted with, and the encrypted secrets) is kept in the target's private folder and
laid over the checkout's plain settings, then the target's own addresses, then the
pinned images.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from olrunbook.adapters.context import Context
from olrunbook.errors import RefusedError, UsageError
from olrunbook.project.stack import StackSpec
from olrunbook.record.files import write_atomic

KEPT = ("secretsprovider", "encryptedkey", "encryptionsalt")
COMPONENTS = "components"  # beside the stack's folder, imported by it
SECRET_BYTES = 24
MADE_UP = "made up by the rehearsal"
IGNORED = shutil.ignore_patterns("__pycache__", ".git", ".venv", "node_modules")
# Settings of the AWS provider that are credentials, or say where there are some.
_WHO = re.compile(r"aws:(profile|accessKey|secretKey|token|shared\w+)")
_ROLE = re.compile(r"arn:[\w-]+:iam::(\d+):role/")
_SEALED_ROLE = re.compile(r"^\[?\{'secure'|'roleArn': \{'secure'")
OURS = "The target says who and where: see account, region, profile and role in "
OURS += "catalog.toml, and take it out of the stack's settings or name another target."
# Provider address to the variable in which a target says where its own service is. One
# service has the stages apart by name: production has one of each for every stage.
ADDRESSES = {"vault:address": "VAULT_ADDR", "consul:address": "CONSUL_HTTP_ADDR"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A stack's folder, copied and ready for the CLI."""

    root: Path  # the private folder around it (plan, scratch)
    folder: Path  # the Pulumi project
    project: str
    stack: str
    kept: Path  # where the settings that belong to the cloud are kept
    # secret settings to be made, with their values
    new_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def token(self) -> str:
        """Names the copy; the same token finds it again."""
        return self.root.name.removeprefix("pulumi-")

    @property
    def secrets_provider(self) -> str:
        """What encrypts its secrets."""
        return str(read_yaml(self.settings).get("secretsprovider") or "passphrase")

    @property
    def settings(self) -> Path:
        """The stack's settings file in the copy."""
        return self.folder / f"Pulumi.{self.stack}.yaml"

    @property
    def plan(self) -> Path:
        """Where the preview leaves what it showed, for the update to be held to."""
        return self.root / "plan.json"


def stack_spec(ctx: Context) -> StackSpec:
    """Return the app's stack; UsageError where it has none."""
    if ctx.app.stack is None:
        msg = f"app {ctx.app_name!r} has no stack in the catalog"
        raise UsageError(msg, "docs/adding-an-app.md shows how to add one.")
    return ctx.app.stack


def prepare(ctx: Context, images: Mapping[str, str]) -> Prepared:
    """Copy the app's stack and write the settings of this stage and cloud into it.

    Without `images` to pin the program chooses them by itself.

    Raises:
        RefusedError: A secret setting is missing and this target makes none up, or a
            setting leads to another account.
        UsageError: The folder or its settings are not what the catalog says.

    """
    spec = stack_spec(ctx)
    if wrong := led_elsewhere(ctx):
        msg = f"stack {spec.stack_name(ctx.stage)}: {wrong}"
        raise RefusedError(msg, OURS)
    source = ctx.project.path(spec.path)
    ctx.work.mkdir(parents=True, exist_ok=True, mode=0o700)
    root = Path(tempfile.mkdtemp(prefix="pulumi-", dir=ctx.work))
    folder = root / source.parent.name / source.name
    _copy(source, folder)
    shared = spec.path.rpartition("/")[0]
    with contextlib.suppress(UsageError):  # a project of its own may have none
        components = ctx.project.path(f"{shared}/{COMPONENTS}".lstrip("/"))
        _copy(components, folder.parent / COMPONENTS)
    require_project(folder, spec)
    prepared = _describe(ctx, root, folder)
    under, over = read_yaml(prepared.kept), read_yaml(prepared.settings)
    secret = dict.fromkeys(spec.secrets)
    if ctx.target.kind == "rehearsal":  # its own come before those of an account
        under, over = _without_secrets(over, secret), under
    config = {
        **(under.get("config") or {}),
        **(over.get("config") or {}),
        **_addresses(ctx),
        **{key: images[node] for node, key in spec.image_config.items() if images},
    }
    write_yaml(prepared.settings, {**under, **over, "config": config})
    return replace(prepared, new_secrets=_missing_secrets(ctx, [*secret], config))


def reopen(ctx: Context, token: str) -> Prepared:
    """Return a copy that was prepared in this run; RefusedError where it is gone."""
    spec = stack_spec(ctx)
    root = ctx.work / f"pulumi-{token}"
    path = Path(spec.path)
    folder = root / path.parent.name / path.name
    if not folder.is_dir():
        msg = "the preview's files are gone"
        raise RefusedError(msg, "Run the preview again, then apply that.")
    return _describe(ctx, root, folder)


def settings_pin(ctx: Context) -> dict[str, str]:
    """Return the image set that the stack's own settings pin; empty: none."""
    spec = stack_spec(ctx)
    name = f"Pulumi.{spec.stack_name(ctx.stage)}.yaml"
    config = read_yaml(ctx.project.path(spec.path) / name).get("config") or {}
    return {n: config[key] for n, key in spec.image_config.items() if key in config}


def led_elsewhere(ctx: Context) -> str:
    """Return which settings lead an update elsewhere than to the target's account.

    Those of the project count where the stack has none. Empty: none do, or the target
    is a rehearsal, whose endpoint answers whatever they say.
    """
    spec, place = stack_spec(ctx), ctx.place
    if place is None or place.kind != "aws":
        return ""
    folder, files = ctx.project.path(spec.path), spec.files(ctx.stage)
    config: dict[str, Any] = {}
    for name in (files[0], files[-1]):
        for key, value in (read_yaml(folder / name).get("config") or {}).items():
            typed = isinstance(value, dict) and name == files[0]
            config[key] = value.get("value", value.get("default")) if typed else value
    wrong = [f"{key} cannot be used here" for key in config if _WHO.fullmatch(key)]
    region = config.get("aws:region") or place.region
    if region != place.region:
        wrong.append(f"aws:region is {region}, wanted {place.region}")
    for key in [key for key in config if key.startswith("aws:assumeRole")]:
        if _SEALED_ROLE.search(str(config[key])):
            wrong.append(f"{key} hides its account: write roleArn without encryption")
        others = {*_ROLE.findall(str(config[key]))} - {place.account}
        if others:
            account = ", ".join(sorted(others))
            wrong.append(f"{key} is of account {account}, wanted {place.account}")
    allowed = config.get("aws:allowedAccountIds")
    if allowed and place.account not in str(allowed):
        # Pulumi reads 012345670123 as an octal number, as it is read here.
        quoted = f"wanted {place.account}, in quotes where it begins with 0"
        wrong.append(f"aws:allowedAccountIds is {allowed}, {quoted}")
    return "; ".join(wrong)


def _describe(ctx: Context, root: Path, folder: Path) -> Prepared:
    spec = stack_spec(ctx)
    stack, target = spec.stack_name(ctx.stage), ctx.target
    kept = target.state / "stacks" / target.cloud_id / spec.project / f"{stack}.yaml"
    return Prepared(root, folder, spec.project, stack, kept)


def _copy(source: Path, to: Path) -> None:
    shutil.copytree(source, to, ignore=IGNORED, ignore_dangling_symlinks=True)


def require_project(folder: Path, spec: StackSpec) -> None:
    """Raise UsageError where a folder holds another project than the catalog says."""
    name = read_yaml(folder / "Pulumi.yaml").get("name")
    if name != spec.project:
        where = f"{spec.path}/Pulumi.yaml"
        msg = f"{where} names project {name!r}, but the catalog {spec.project!r}"
        raise UsageError(msg, "Use the same name in both.")


def _addresses(ctx: Context) -> dict[str, str]:
    env = ctx.target.env
    return {
        key: f"{env[variable].rstrip('/')}/{ctx.stage.lower()}"
        for key, variable in ADDRESSES.items()
        if variable in env
    }


def _without_secrets(
    settings: Mapping[str, Any], secret: dict[str, None]
) -> dict[str, Any]:
    """Return settings without what only the account's own key opens.

    The names of those secrets go into `secret`. One inside of another setting cannot
    be made up by itself: a word stands for it.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            if value.keys() == {"secure"}:
                return MADE_UP
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(one) for one in value] if isinstance(value, list) else value

    config = {
        key: plain(value) for key, value in (settings.get("config") or {}).items()
    }
    sealed = {key for key, value in config.items() if value == MADE_UP}
    secret.update(dict.fromkeys(sorted(sealed)))
    own = {key: value for key, value in settings.items() if key not in KEPT[1:]}
    return {**own, "config": {k: v for k, v in config.items() if k not in sealed}}


def _missing_secrets(
    ctx: Context, names: Sequence[str], config: Mapping[str, Any]
) -> dict[str, str]:
    """Return made-up values for the secret settings this cloud does not have yet."""
    missing = [key for key in names if key not in config]
    if missing and ctx.target.kind != "rehearsal":
        spec = stack_spec(ctx)
        stack = spec.stack_name(ctx.stage)
        msg = f"stack {stack} lacks the secret settings {', '.join(missing)}"
        hint = f"pulumi config set --secret {missing[0]} -s {stack} -C {spec.path}"
        raise RefusedError(msg, hint)
    made = {key: secrets.token_urlsafe(SECRET_BYTES) for key in missing}
    for value in made.values():
        ctx.redactor.learn(value)
    return made


def keep_settings(prepared: Prepared) -> None:
    """Keep what the CLI wrote into the copy's settings and belongs to the cloud."""
    settings = read_yaml(prepared.settings)
    kept: dict[str, Any] = {key: settings[key] for key in KEPT if key in settings}
    config = settings.get("config") or {}
    kept["config"] = {
        key: value
        for key, value in config.items()
        if isinstance(value, dict) and "secure" in value
    }
    if kept["config"] or "encryptedkey" in kept:
        prepared.kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_yaml(prepared.kept, kept)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a YAML file's mapping, empty where there is no file; else UsageError."""
    try:
        data = yaml.safe_load(path.read_bytes()) or {}
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        msg = f"{path.name} is not YAML: {error}"
        raise UsageError(msg) from None
    if not isinstance(data, dict):
        msg = f"{path.name} is not a mapping"
        raise UsageError(msg)
    return data


def write_yaml(path: Path, data: Mapping[str, Any]) -> None:
    """Replace a YAML file in one step; only its owner can read it."""
    text = yaml.dump(dict(data), Dumper=_Quoting, sort_keys=True)
    write_atomic(path, text, 0o600)


class _Quoting(yaml.SafeDumper):
    """Quotes texts as `012345678901` and `1e3`, which Pulumi reads as numbers."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Return a text, in quotes where it could be a number."""
        style = '"' if data[:1] in "0123456789+-." else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Quoting.add_representer(str, _Quoting.represent_str)
