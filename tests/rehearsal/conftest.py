"""Clouds for the tests: one of records for the whole session, and one of containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rehearsal.support import FAST, REAL, Account, cloud_at


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
