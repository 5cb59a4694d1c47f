"""The same notebooks, stepped through in JupyterLab in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lab import CHROMIUM, Page, chromium, server
from tests.scenarios.support import OLRUNBOOK, Desk

pytestmark = [pytest.mark.rehearsal]

PARAMETERS = """from olrunbook import App, ImageSet, Stage, Target
app: App = "tika"
stage: Stage = "CI"
deploy_run: str = ""
images: ImageSet = ""
since: str = ""
target: Target = "rehearsal"
"""


def test_a_rollout_runs_cell_by_cell_in_jupyterlab(
    released: Desk,
    tmp_path_factory: pytest.TempPathFactory,
    eventually: Callable[..., Any],
) -> None:
    """Run All in JupyterLab shows the tables and the plot and leaves a record."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (heavy)

    before = len(released.places("rollout", "CI"))
    folder = tmp_path_factory.mktemp("lab")
    start = server([OLRUNBOOK, "lab"], released.root, released.env, folder)
    with start as (base, token), sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium(), headless=True, args=CHROMIUM
        )
        try:
            page = Page(browser, base, token, "notebooks/rollout.ipynb")
            page.set_parameters(PARAMETERS)
            page.run_all()
            page.wait_for("· record", 120)
            page.page.screenshot(path=folder / "rollout.png", full_page=True)
            tables = page.page.locator(".jp-OutputArea-output table").count()
            images = page.page.locator(".jp-OutputArea-output img").count()
            assert tables >= 3
            assert images == 1
            assert page.outside == []
        finally:
            browser.close()
    # Sealed once the concluding cell has ended, so that it is in it.
    eventually(released.places("rollout", "CI")[0].record.exists)
    assert len(released.places("rollout", "CI")) == before + 1
    record = released.record("rollout", "CI")
    assert record.status == "succeeded"
    assert {s.name for s in record.steps} == {"preflight", "rollout", "checks"}
