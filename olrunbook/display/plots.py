"""Plots that live in the record: small pictures with their content as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from typing import TYPE_CHECKING, Any

from olrunbook.steps.rollout.model import RolloutResult, RolloutSample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by everybody, also in grey: Okabe and Ito's colours, other line styles.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
INCHES_WIDE, INCHES_A_ROW, DPI = 8.0, 1.7, 96
STYLES = ("-", "--", ":", "-.")

ByGroup = dict[str, list[RolloutSample]]


@dataclass(frozen=True, repr=False, slots=True)
class Picture:
    """A picture that shows itself, and its content in words for who cannot see it."""

    png: bytes
    alt: str

    def __repr__(self) -> str:
        """Return what it shows."""
        return self.alt

    @property
    def base64(self) -> str:
        """The picture as text."""
        return base64.b64encode(self.png).decode()

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the picture and what it shows."""
        data = {"image/png": self.base64, "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}


def rollout_plot(result: RolloutResult) -> Picture:
    """Return refresh, instances and availability over the seconds of a rollout."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (heavy)
    from matplotlib.figure import Figure  # noqa: PLC0415

    refreshed = any(sample.status for sample in result.timeline)
    rows = 1 + refreshed + bool(result.probe_seconds)
    figure = Figure(figsize=(INCHES_WIDE, 0.8 + INCHES_A_ROW * rows), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0].tolist()
    # The first moment of which anything is known.
    start = min([result.started_at, *(item.at for item in result.probe_seconds[:1])])
    end = (result.ended_at - start).total_seconds()
    by_group: ByGroup = {}
    for sample in result.timeline:
        by_group.setdefault(sample.group, []).append(sample)
    if refreshed:
        _percent(axes.pop(0), by_group, start, end)
    _instances(axes.pop(0), by_group, start, end)
    if result.probe_seconds:
        _requests(axes.pop(0), result, start)
    last = figure.axes[-1]
    last.set_xlabel(f"seconds since {start:%Y-%m-%d %H:%M:%S} UTC")
    last.set_xlim(0, max(end, 1))
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(visible=True, axis="y", alpha=0.3)
        if axis.get_legend_handles_labels()[0]:  # beside the lines, not upon them
            axis.legend(
                fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
            )
    figure.suptitle(f"{result.app} {result.stage}: {result.outcome}", fontsize=10)
    figure.tight_layout()
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return Picture(out.getvalue(), _words(result))


def _stairs(
    axis: Axes,
    samples: Sequence[RolloutSample],
    field: str,
    start: datetime,
    end: float,
    **look: Any,
) -> None:
    """Draw a line that stays until the next sample."""
    times = [(sample.at - start).total_seconds() for sample in samples]
    values = [float(getattr(sample, field)) for sample in samples]
    axis.step([*times, end], [*values, values[-1]], where="post", **look)


def _percent(axis: Axes, by_group: ByGroup, start: datetime, end: float) -> None:
    for style, (group, samples) in zip(cycle(STYLES), by_group.items(), strict=False):
        look = {"linestyle": style, "label": f"{group}: {samples[-1].status}"}
        _stairs(axis, samples, "percent", start, end, color=BLUE, **look)
    axis.set_ylabel("refresh, %")
    axis.set_ylim(-4, 104)


def _instances(axis: Axes, by_group: ByGroup, start: datetime, end: float) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  (heavy)

    for style, (group, samples) in zip(cycle(STYLES), by_group.items(), strict=False):
        name = f"{group}: " if len(by_group) > 1 else ""
        for field, colour, label, width in (
            ("desired", GREY, "desired", 1.0),
            ("serving", BLUE, "healthy", 2.5),
            ("on_image", GREEN, "on the new image", 1.5),
        ):
            look = {"color": colour, "linewidth": width, "label": f"{name}{label}"}
            line = ":" if field == "desired" else style
            _stairs(axis, samples, field, start, end, **look, linestyle=line)
    axis.set_ylabel("instances")
    axis.set_ylim(bottom=-0.1)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))


def _requests(axis: Axes, result: RolloutResult, start: datetime) -> None:
    times = [(item.at - start).total_seconds() + 0.5 for item in result.probe_seconds]
    failed = [item.failed for item in result.probe_seconds]
    good = [item.requests - item.failed for item in result.probe_seconds]
    axis.bar(times, good, width=0.9, color=GREEN, label="answered")
    hatched: dict[str, Any] = {"color": ORANGE, "hatch": "///", "edgecolor": "white"}
    axis.bar(times, failed, width=0.9, bottom=good, label="failed", **hatched)
    axis.set_ylabel("requests / s")


def _words(result: RolloutResult) -> str:
    """Return what the plot shows, for those who do not see it."""
    took = (result.ended_at - result.started_at).total_seconds()
    parts = [f"Plot of {took:.0f} s: {result.headline()}."]
    for group in result.groups:
        samples = [s for s in result.timeline if s.group == group.label]
        if samples:
            low = min(sample.serving for sample in samples)
            parts.append(
                f"{group.label}: at least {low} of {group.desired} instances were "
                f"healthy at each look, at the end {samples[-1].on_image} on the image."
            )
    if result.probe:
        parts.append(f"Probe: {result.probe.sentence()}.")
    return " ".join(parts)
