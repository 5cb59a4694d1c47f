"""Where a checkout's cloud lives: its addresses, its files, its labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olrunbook.targets import TARGET_FILE, state_dir

ACCOUNT = "123456789012"  # moto's; AWS uses it in its examples and gives it to nobody
REGION = "us-east-1"
# What the account has from the start for the stacks of its stages.
STAGES = ("ci", "qa", "production")
BUCKET = "mitol-pulumi-state"
KEY_ALIAS = "alias/infrastructure-secrets-{}"  # of a stage
API_PORT = 4510
VAULT_PORT = 8200
CONSUL_PORT = 8500
LABEL = "olrunbook.cloud"
BLOCK_LABEL = "olrunbook.block"  # the addresses a container was published on

FIRST_BLOCK, BLOCKS = 64, 64  # 127.64.0.0/16 … 127.127.0.0/16
FIRST_BALANCER, LAST_BALANCER = 200, 250  # third octet; instances have 1 … 199
HOSTS_PER_NET = 250


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one checkout's cloud."""

    # the cloud's id among all on this machine: checkout and state folder; the value of
    # the label on all it makes
    checkout: str
    root: Path  # private folder of the rehearsal's state

    @classmethod
    def of(cls, project_root: Path) -> Places:
        """Return the places of the checkout at this folder."""
        base = state_dir(project_root)
        # One checkout may have two clouds in two state folders: another user's, …
        where = hashlib.sha256(str(base.absolute()).encode()).hexdigest()[:4]
        return cls(f"{base.name}-{where}", base / "rehearsal")

    @property
    def target_file(self) -> Path:
        """What everything else reads."""
        return self.root / TARGET_FILE

    @property
    def daemon_file(self) -> Path:
        """Which process is the cloud."""
        return self.root / "daemon.json"

    @property
    def amis_file(self) -> Path:
        """The AMIs that outlive the process, with their tags."""
        return self.root / "amis.json"

    @property
    def log_file(self) -> Path:
        """What the process said."""
        return self.root / "daemon.log"

    @property
    def lock_file(self) -> Path:
        """Held while a command changes the cloud; beside what `down` removes."""
        return self.root.with_name("rehearsal.lock")

    @property
    def balancers(self) -> Path:
        """Configuration and sockets of the load balancers."""
        return self.root / "balancers"

    @property
    def home(self) -> Path:
        """HOME of the tools."""
        return self.root / "home"

    @property
    def pulumi_home(self) -> Path:
        """PULUMI_HOME, with the stand-in plugins."""
        return self.root / "pulumi"

    @property
    def providers_socket(self) -> Path:
        """Where the stand-in plugins ask for their providers."""
        return self.root / "providers.socket"

    @property
    def label(self) -> str:
        """The label on every container and image of this cloud."""
        return f"{LABEL}={self.checkout}"

    @property
    def slug(self) -> str:
        """The checkout's id as docker allows it in a name."""
        return (
            re.sub(r"[^a-z0-9]+", "-", self.checkout.lower()).strip("-") or "checkout"
        )

    @property
    def ami_repository(self) -> str:
        """Name of the AMIs' images, without their tag."""
        return f"olrunbook/{self.slug}/ami"


def candidate_blocks(project_root: Path) -> Iterator[int]:
    """Yield the blocks 127.B.0.0/16 to try: the checkout's own, then the others."""
    digest = hashlib.sha256(str(project_root.resolve()).encode()).digest()
    first = int.from_bytes(digest[:4], "big") % BLOCKS
    for step in range(BLOCKS):
        yield FIRST_BLOCK + (first + step) % BLOCKS


@dataclass(frozen=True, slots=True)
class Block:
    """One block of loopback addresses, 127.B.0.0/16."""

    number: int  # b

    @property
    def api_host(self) -> str:
        """Address of the API and the stand-ins."""
        return f"127.{self.number}.0.1"

    @property
    def endpoint(self) -> str:
        """URL of the AWS API."""
        return f"http://{self.api_host}:{API_PORT}"

    def instance(self, number: int) -> str:
        """Return the address of the n-th instance (from 0); 49,750 are different."""
        net, host = divmod(
            number % ((FIRST_BALANCER - 1) * HOSTS_PER_NET), HOSTS_PER_NET
        )
        return f"127.{self.number}.{net + 1}.{host + 1}"

    def balancer(self, number: int) -> str:
        """Return the address of the n-th load balancer (from 0)."""
        nets = LAST_BALANCER - FIRST_BALANCER + 1
        net, host = divmod(number % (nets * HOSTS_PER_NET), HOSTS_PER_NET)
        return f"127.{self.number}.{FIRST_BALANCER + net}.{host + 1}"
