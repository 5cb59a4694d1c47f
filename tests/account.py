"""A person with an account: a second rehearsal, used as if it were AWS."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olrunbook.rehearsal.settings import Settings
from olrunbook.targets import Target
from tests.rehearsal.support import FAST, Account, cloud_at

PROFILE = "account"  # in their AWS config: assumes a role, with the keys of `base`
ROLE = "arn:aws:iam::123456789012:role/olrunbook-{}"  # build, ci, qa, production
CONFIG = """\
[profile base]
region = {target.region}
endpoint_url = {target.endpoint}

[profile {profile}]
role_arn = {role}
role_session_name = ann
source_profile = base
region = {target.region}
endpoint_url = {target.endpoint}
"""
CREDENTIALS = """\
[base]
aws_access_key_id = {access_key}
aws_secret_access_key = {secret_key}
"""


@dataclass(frozen=True)
class Person:
    """Somebody with an account, and their home and shell.

    Args:
        account: The account as its cloud knows it: how long tokens live, trouble, …
        home: Their home, with `.aws/config` and `.aws/credentials`.

    """

    account: Account
    home: Path

    @property
    def target(self) -> Target:
        """The rehearsal behind it, with its own key, which is that of `base`."""
        return self.account.target

    @property
    def shell(self) -> dict[str, str]:
        """What their shell exports: files of AWS, no key; Vault, Consul, Pulumi."""
        aws = self.home / ".aws"
        return {
            "AWS_CONFIG_FILE": str(aws / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials"),
            **self.target.env,
        }

    def secrets(self) -> list[str]:
        """Return the keys of their chain that must not be found anywhere else."""
        target = self.target
        return [target.access_key.get_secret_value(), *target.secret_values()[:1]]

    def write(self, role: str = "build") -> None:
        """Write their AWS files; the profile assumes this role."""
        target, (access_key, secret_key) = self.target, self.secrets()
        arn = ROLE.format(role)
        texts = {
            "config": CONFIG.format(target=target, profile=PROFILE, role=arn),
            "credentials": CREDENTIALS.format(
                access_key=access_key, secret_key=secret_key
            ),
        }
        (self.home / ".aws").mkdir(exist_ok=True)
        for name, text in texts.items():
            file = self.home / ".aws" / name
            file.touch(0o600)
            file.write_text(text)


@contextlib.contextmanager
def person_at(folder: Path, settings: Settings = FAST) -> Iterator[Person]:
    """Have a person with an account for a while.

    Args:
        folder: Where state and home are; whatever else is up is left alone.
        settings: The account's; REAL has containers for instances.

    """
    with cloud_at(folder, settings) as account:
        home = folder / "home"
        home.mkdir()
        person = Person(account, home)
        person.write()
        yield person
