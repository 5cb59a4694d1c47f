"""The plot of a rollout: a small picture, and its content in words."""

from __future__ import annotations

import base64
import io

from PIL import Image

from olrunbook.display.plots import rollout_plot
from olrunbook.steps.rollout.model import RolloutResult


def test_the_plot_is_a_small_picture_with_words(rolled: RolloutResult) -> None:
    """A PNG that fits a page and a record, and an alternative text with the figures."""
    data, metadata = rollout_plot(rolled)._repr_mimebundle_()
    png = base64.b64decode(data["image/png"])
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    assert 600 <= picture.width <= 1000
    assert len(png) < 80_000
    alt = data["text/plain"]
    assert alt == metadata["image/png"]["alt"]
    assert "at least 0 of 1 instances were healthy" in alt
    assert "outage 9.8 s" in alt


def test_a_launch_without_a_probe_has_one_plot(rolled: RolloutResult) -> None:
    """What was not seen has no axis."""
    timeline = [item.model_copy(update={"status": ""}) for item in rolled.timeline]
    launched = rolled.model_copy(
        update={"timeline": timeline, "probe": None, "probe_seconds": []}
    )
    small, large = rollout_plot(launched), rollout_plot(rolled)
    heights = [Image.open(io.BytesIO(item.png)).height for item in (small, large)]
    assert heights[0] < heights[1]
    assert "Probe" not in small.alt


def test_nothing_seen_is_no_error(rolled: RolloutResult) -> None:
    """A rollout that ended before its first look still has a plot."""
    empty = rolled.model_copy(update={"timeline": [], "probe_seconds": []})
    assert rollout_plot(empty).png.startswith(b"\x89PNG")
