"""A question in JupyterLab in a real browser: Run All stops there, and goes on."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from olrunbook.cli.lab import ARGUMENTS
from tests.conftest import ROOT, UNSET
from tests.lab import CHROMIUM, Page, chromium, server

pytestmark = [pytest.mark.browser]

WAIT_MS = 60_000
# JupyterLab has some twenty places before the first cell's outputs.
TABS = 40
FACTS = "<table><tr><td>LaunchTemplate</td><td>imageId</td></tr></table>"
CELLS = (
    'print("before the question")',
    f"""from olrunbook.display.ask import Question, ask
lines = ["One of two instances serves for 4 minutes.", "A refresh is cancelled."]
answer = await ask(Question("Apply to Production?", {FACTS!r}, lines))""",
    'print("it went on:", answer.approved, answer.reason)',
)
IN_FORM = "() => document.activeElement.matches('.jp-OutputArea .widget-input')"
FOCUSED = "() => document.activeElement.innerText"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Page]]:
    """Return a function that opens the notebook anew in JupyterLab and runs it."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (heavy)

    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "catalog.toml", root)
    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--allow-root"),
        *(f"--ServerApp.root_dir={root}", "--ServerApp.ip=127.0.0.1", *ARGUMENTS),
    ]
    start = server(command, root, env, tmp_path_factory.mktemp("lab"))
    with start as (base, token), sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=CHROMIUM)

        def run(name: str) -> Page:
            write(root / f"{name}.ipynb")
            page = Page(browser, base, token, f"{name}.ipynb")
            page.run_all()
            button = page.page.get_by_role("button", name="Approve")
            button.wait_for(timeout=WAIT_MS)
            return page

        yield run
        browser.close()


def write(path: Path) -> None:
    """Write the notebook."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(CELLS)
    ]
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}}
    path.write_text(json.dumps({**whole, "nbformat": 4, "nbformat_minor": 5}))


def prompts(page: Page) -> list[str]:
    """Return the prompts of the cells."""
    found: list[str] = page.page.locator(".jp-InputPrompt").all_inner_texts()
    return found


def ended(page: Page, word: str, last: str) -> None:
    """Check that all cells ran, and that text alone is left of the form."""
    page.wait_for(last, 60)
    page.wait_for(word, 5)
    assert prompts(page) == ["[1]:", "[2]:", "[3]:"]
    assert page.page.locator(".jp-OutputArea .jupyter-widgets").count() == 0
    shown = page.page.locator(".jp-OutputArea")
    assert shown.get_by_text("A refresh is cancelled.").is_visible()
    assert page.errors() == []
    assert page.outside == []


def test_run_all_stops_and_goes_on_after_the_click(lab) -> None:
    """Later cells wait; a reason is asked for; the one typed last counts."""
    page = lab("mouse")
    approve = page.page.get_by_role("button", name="Approve")
    assert prompts(page) == ["[1]:", "[*]:", "[*]:"]
    approve.click()
    page.page.get_by_role("alert").get_by_text("give a reason").wait_for()
    page.page.wait_for_function(IN_FORM)
    assert prompts(page) == ["[1]:", "[*]:", "[*]:"]
    reason = page.page.get_by_label("Reason")
    for text in ("typed first", "typed next", "smoke test in QA fine"):
        reason.fill("")
        reason.press_sequentially(text)
        reason.blur()
    approve.dblclick()
    ended(page, "approved", "it went on: True smoke test in QA fine")


def test_it_is_answered_by_keyboard_alone(lab) -> None:
    """Tab leads to the reason, then to Approve, then to Reject; Space presses it."""
    page = lab("keys")
    keyboard = page.page.keyboard
    for _ in range(TABS):
        if page.page.evaluate(IN_FORM):
            break
        keyboard.press("Tab")
    assert page.page.evaluate(IN_FORM)
    keyboard.type("not today")
    keyboard.press("Tab")
    assert page.page.evaluate(FOCUSED) == "Approve"
    keyboard.press("Tab")
    assert page.page.evaluate(FOCUSED) == "Reject"
    keyboard.press("Space")
    ended(page, "rejected", "it went on: False not today")


def test_enter_presses_the_focused_button(lab) -> None:
    """Enter in the field decides nothing; on Approve it approves."""
    page = lab("enter")
    page.page.get_by_label("Reason").focus()
    page.page.keyboard.type("go")
    page.page.keyboard.press("Enter")
    page.page.keyboard.press("Tab")
    assert prompts(page) == ["[1]:", "[*]:", "[*]:"]
    page.page.keyboard.press("Enter")
    ended(page, "approved", "it went on: True go")
