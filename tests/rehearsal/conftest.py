"""Clouds for the tests: one of records for the whole session, and one of containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rehearsal.support import FAST, REAL, Account, cloud_at
from tests.rehearsal.world import World


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return a cloud without containers, fast, for the whole session."""
    with cloud_at(tmp_path_factory.mktemp("records"), FAST) as account:
        account.pace(progression="time", seconds=0.2)
        yield account


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return a cloud with containers for the whole session."""
    with cloud_at(tmp_path_factory.mktemp("containers"), REAL) as account:
        yield account


@pytest.fixture(scope="session")
def world(records: Account) -> World:
    """Return AMIs and a template to make groups of."""
    return World(records)


@pytest.fixture(scope="session")
def gone(world: World) -> str:
    """Return a template version whose AMI does not exist any more."""
    world.account.ec2.deregister_image(ImageId=world.amis[2])
    return "3"


@pytest.fixture(scope="session")
def latest(world: World) -> str:
    """Return a group on $Latest."""
    return world.make(2, "$Latest")


@pytest.fixture
def targets(world: World) -> str:
    """Return a target group of the test's own."""
    return world.target_group()
