"""Where a checkout's cloud lives: its addresses, its files, its labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
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


class Places:
    """The places of one checkout's cloud.

    Args:
        checkout: The cloud's id among all on this machine: checkout and state folder.
        root: Private folder of the rehearsal's state.

    """

    def __init__(self, checkout: str, root: Path) -> None:
        self.checkout, self.root = checkout, root
        self.target_file = root / TARGET_FILE  # what everything else reads
        self.daemon_file = root / "daemon.json"  # which process is the cloud
        self.amis_file = root / "amis.json"  # the AMIs that outlive the process
        self.log_file = root / "daemon.log"  # what the process said
        # Held while a command changes the cloud; beside what `down` removes.
        self.lock_file = root.with_name("rehearsal.lock")
        self.balancers = root / "balancers"  # their configuration and sockets
        self.home = root / "home"  # HOME of the tools
        self.pulumi_home = root / "pulumi"  # PULUMI_HOME, with the stand-in plugins
        # Where the stand-in plugins ask for their providers.
        self.providers_socket = root / "providers.socket"
        self.label = f"{LABEL}={checkout}"  # on every container and image of this cloud
        plain = re.sub(r"[^a-z0-9]+", "-", checkout.lower()).strip("-")
        self.slug = plain or "checkout"  # the id as docker allows it in a name
        # Name of the AMIs' images, without their tag.
        self.ami_repository = f"olrunbook/{self.slug}/ami"

    @classmethod
    def of(cls, project_root: Path) -> Places:
        """Return the places of the checkout at this folder."""
        base = state_dir(project_root)
        # One checkout may have two clouds in two state folders: another user's, …
        where = hashlib.sha256(str(base.absolute()).encode()).hexdigest()[:4]
        return cls(f"{base.name}-{where}", base / "rehearsal")


def candidate_blocks(project_root: Path) -> Iterator[int]:
    """Yield the blocks 127.B.0.0/16 to try: the checkout's own, then the others."""
    digest = hashlib.sha256(str(project_root.resolve()).encode()).digest()
    first = int.from_bytes(digest[:4], "big") % BLOCKS
    for step in range(BLOCKS):
        yield FIRST_BLOCK + (first + step) % BLOCKS


class Block:
    """One block of loopback addresses, 127.B.0.0/16."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.api_host = f"127.{number}.0.1"  # of the API and the stand-ins
        self.endpoint = f"http://{self.api_host}:{API_PORT}"  # of the AWS API

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
