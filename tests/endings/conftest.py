"""Causes all endings of the chosen tests, some at a time, and hands each what came."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.endings.support import Ended
from tests.endings.table import Row, Table

AT_ONCE = 4  # more than two cores: most of them wait for something


def pytest_configure(config: pytest.Config) -> None:
    """Register our marker."""
    config.addinivalue_line("markers", "ending(name, cause): how a run is ended")


def _end(cause: Callable[[], Ended]) -> Ended:
    return cause()


@pytest.fixture(scope="session")
def futures(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Ended]]]:
    """Return the endings by name; they are caused while the first tests wait."""
    marks = [item.get_closest_marker("ending") for item in request.session.items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            mark.args[0]: pool.submit(mark.args[1])
            for mark in marks
            if mark is not None
        }


@pytest.fixture
def ended(
    request: pytest.FixtureRequest, futures: dict[str, Future[Ended]], table: Table
) -> Iterator[Ended]:
    """Return how the run of this test ended; what holds for every ending is checked."""
    mark = request.node.get_closest_marker("ending")
    found = futures[mark.args[0]].result(timeout=170)
    assert not found.unsupervised, found.unsupervised
    if found.record:
        told = found.more.get("told", found.record.exit_code)
        assert found.code == told
        assert found.record.cells_not_run == found.not_run
    yield found
    table.compare(Row.of(mark.args[0], found))


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    """Return the committed table; OLRUNBOOK_WRITE_ENDINGS=1 writes it anew."""
    found = Table.read()
    yield found
    if os.environ.get("OLRUNBOOK_WRITE_ENDINGS"):
        found.write()
