"""The probe of a rollout: its own or somebody else's, and what to say about it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from olrunbook.adapters.context import Context
from olrunbook.steps.rollout.awaited import Awaited
from olrunbook.steps.rollout.probe import Probe
from olrunbook.steps.rollout.samples import ProbeSummary, Sample, read_samples

SAMPLES_FILE = "probe.jsonl"
TAIL_S = 3.0  # how long the last answers of somebody else's probe may take


@contextmanager
def probing(
    ctx: Context, deploy: Awaited, samples: Path | None
) -> Iterator[Path | None]:
    """Keep a probe going where nobody else does; yield the file of samples."""
    if samples or not deploy.url:
        yield samples
        return
    own = ctx.logs / SAMPLES_FILE
    with Probe(lambda: deploy.url, ctx.app.probe, own):
        yield own


def collected(ctx: Context, file: Path, ended: datetime) -> list[Sample]:
    """Return the samples up to the end, and keep a copy beside the logs."""
    found, waited = read_samples(file), 0.0
    if file.parent == ctx.logs:
        return found  # our own probe was stopped: there is no more to come
    while waited < TAIL_S and not any(sample.at >= ended for sample in found):
        ctx.sleep(0.2)
        waited += 0.2
        found = read_samples(file)
    if file.exists():
        shutil.copyfile(file, ctx.logs / SAMPLES_FILE)
    return found


def probe_notes(
    ctx: Context,
    deploy: Awaited,
    probe: ProbeSummary | None,
    began: datetime,
    *,
    own: bool,
) -> list[str]:
    """Return what is to be said about the probe and what it saw.

    One that is the rollout's own began with the watching.
    """
    if probe is None:
        return ["Availability was not probed: the stage has no load balancer."]
    every = f"every {ctx.app.probe.interval_s:g} s"
    notes = [f"Probe, GET {ctx.app.probe.path} {every}: {probe.sentence()}."]
    if probe.before_first_answer:
        notes.append(
            f"{probe.before_first_answer} requests before the new stage's first "
            "answer are not counted as an outage."
        )
    if own:
        late = (began - deploy.started_at).total_seconds()
        notes.append(
            f"The probe began {late:.0f} s after the update and saw nothing before "
            "that. In a release the probe starts before the update."
        )
    if deploy.url.startswith("https:"):
        notes.append("The probe does not verify the certificate.")
    return notes
