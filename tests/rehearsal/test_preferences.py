"""How many instances a refresh takes at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.rehearsal.groups.refresh.preferences import Preferences


@pytest.mark.parametrize(
    ("desired", "low", "high", "batch"),
    [
        (1, 90, None, (1, 1)),  # one always goes: an outage
        (1, 100, None, (1, 1)),
        (1, 100, 100, (1, 0)),  # both limits: launch first
        (1, 100, 200, (1, 0)),
        (2, 50, None, (1, 1)),
        (4, 75, None, (1, 1)),
        (10, 0, None, (10, 10)),
        (10, 90, 120, (3, 1)),
        (0, 90, None, (1, 1)),
    ],
)
def test_batch(
    desired: int, low: int, high: int | None, batch: tuple[int, int]
) -> None:
    """A batch and how many of it go before their replacements are there."""
    values = {"MinHealthyPercentage": low, "MaxHealthyPercentage": high}
    assert Preferences(values).batch(desired) == batch


@given(st.integers(1, 60), st.integers(0, 100), st.integers(0, 100))
def test_batch_keeps_the_limits(desired: int, low: int, more: int) -> None:
    """With a maximum, a batch never leaves the limits (but for one launched first)."""
    high = max(low + more, 100)
    values = {"MinHealthyPercentage": low, "MaxHealthyPercentage": high}
    size, first = Preferences(values).batch(desired)
    assert size >= 1
    assert 0 <= first <= size
    assert (desired - first) * 100 >= desired * low
    extra = size - first
    assert (desired + extra) * 100 <= desired * high or (size, first) == (1, 0)
