"""Run All on a deploy with a gate in JupyterLab: it stops, and a person decides.

What it would change is a file: gate, form, chain and record are the real ones.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator

import pytest

from olrunbook.cli.lab import ARGUMENTS
from olrunbook.project.catalog import find_project
from tests.conftest import ROOT, UNSET
from tests.gates import IMAGES, Stand
from tests.lab import CHROMIUM, Page, chromium, server

pytestmark = [pytest.mark.browser]

WAIT_MS = 90_000


@pytest.fixture
def stand(tmp_path, monkeypatch) -> Stand:
    """Return a project whose CI has a gate, its notebook with an image set."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(ROOT / "catalog.toml", root)
    monkeypatch.setenv("OLRUNBOOK_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(root)
    made = Stand(find_project(root), "gates.CI = {}")
    text = made.path.read_text()
    empty = 'images: ImageSet = \\"\\"'
    assert empty in text
    made.path.write_text(text.replace(empty, f'images: ImageSet = \\"{IMAGES}\\"'))
    return made


@pytest.fixture
def page(stand: Stand, tmp_path) -> Iterator[Page]:
    """Return the deploy after Run All; its form is on the screen."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (heavy)

    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--allow-root"),
        *(f"--ServerApp.root_dir={stand.root}", "--ServerApp.ip=127.0.0.1", *ARGUMENTS),
    ]
    with (
        server(command, stand.root, env, tmp_path / "lab") as (base, token),
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=chromium(), args=CHROMIUM)
        made = Page(browser, base, token, "notebooks/deploy.ipynb")
        made.run_all()
        made.page.get_by_role("button", name="Approve").wait_for(timeout=WAIT_MS)
        yield made
        browser.close()


def decide(page: Page, button: str, reason: str) -> None:
    """Give a reason and click."""
    page.page.get_by_label("Reason").fill(reason)
    page.page.get_by_role("button", name=button).click()


def test_run_all_goes_on_after_the_approval(
    stand: Stand, page: Page, eventually: Callable[..., None]
) -> None:
    """Nothing changes before the click; the record says on whose word it did."""
    assert stand.changed == []
    decide(page, "Approve", "smoke test is fine")
    page.wait_for("· record", 90)
    assert len(stand.changed) == 1
    folder = stand.project.outputs / "rehearsal" / "tika" / "CI"
    eventually(lambda: list(folder.glob("*/run.json")))
    (gate,) = stand.last().gates
    assert stand.last().status == "succeeded"
    assert (gate.status, gate.reason) == ("approved", "smoke test is fine")
    assert page.outside == []
    stand.verify()


def test_after_a_rejection_nothing_was_changed(stand: Stand, page: Page) -> None:
    """The update's cell does not run; the decision is in the chain."""
    decide(page, "Reject", "not on a Friday")
    page.wait_for("Nothing was changed", 90)
    assert stand.changed == []
    kinds = [entry["kind"] for entry in stand.entries()]
    assert kinds == ["open", "rejected"]
