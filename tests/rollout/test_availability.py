"""What an update does to availability, by AWS's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.adapters.aws.seen import RefreshSeen, short
from olrunbook.steps.deploy.availability import availability, replaced_first


@pytest.mark.parametrize(
    ("desired", "low", "high", "first"),
    [
        (1, 90, None, 1),  # ceil(0.9) = 1 would forbid it, but one always goes
        (1, 50, None, 1),
        (1, 100, 200, 0),
        (2, 50, None, 1),
        (2, 50, 100, 1),
        (2, 100, 150, 0),
        (2, None, None, 1),
        (10, 70, None, 3),
        (10, 90, 110, 1),
        (3, 50, None, 1),
        (0, 50, None, 0),
    ],
)
def test_how_many_go_first(
    desired: int, low: int | None, high: int | None, first: int
) -> None:
    """Without a maximum at least one goes; with one above 100 % none need to."""
    assert replaced_first(desired, low, high) == first


@given(st.integers(0, 50), st.integers(0, 100), st.none() | st.integers(100, 200))
def test_never_more_go_than_there_are(desired: int, low: int, high: int | None) -> None:
    """The number is between none and all."""
    assert 0 <= replaced_first(desired, low, high) <= desired


@pytest.mark.parametrize(
    ("desired", "low", "high", "text"),
    [
        (1, 50, None, "An outage: the only instance goes before the new one serves"),
        (2, 0, None, "An outage: all 2 go before the new one serves"),
        (2, 50, None, "1 of 2 instances at a time go before their replacements serve"),
        (2, 100, 200, "New instances serve before old ones go (min healthy 100 %, max"),
    ],
)
def test_the_sentence(desired: int, low: int, high: int | None, text: str) -> None:
    """It says what happens, and from which settings that follows."""
    seen = RefreshSeen(id="r", status="Successful", min_healthy=low, max_healthy=high)
    assert availability(desired, seen).startswith(text)


@pytest.mark.parametrize(
    ("whole", "shown"),
    [
        ("ami-0df7e95b351bd8408", "ami-0df7…408"),
        ("i-072db1122334455aa", "i-072d…5aa"),
        ("2de4959a-0000-4000-8000-000000000001", "2de4959a"),
        ("i-1", "i-1"),
        ("", ""),
    ],
)
def test_ids_are_shortened_in_the_middle(whole: str, shown: str) -> None:
    """An id in a line is short; the table has the whole one in its title."""
    assert short(whole) == shown
