"""The HTML record in a real browser: it asks for nothing, hostile output is dead."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from olrunbook.pages import cells as html_parts
from olrunbook.pages.run import render
from olrunbook.record.model import GateRecord
from tests.test_html import HOSTILE, PNG, code, run_record, shows

pytestmark = [pytest.mark.browser]

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Debian's Chromium, headless."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (heavy)

    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def outside() -> Iterator[tuple[str, list[str]]]:
    """Start a server an output may ask; yield its address and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def look(browser, tmp_path: Path) -> Iterator[Any]:
    """Return a function that opens a page and notes what it wants to load."""
    context = browser.new_context(viewport={"width": 900, "height": 900})

    def show(html: str, *, offline: bool = True) -> tuple[Any, list[str]]:
        context.set_offline(offline)
        path = tmp_path / "notebook.html"
        path.write_text(html, encoding="utf-8")
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        own = path.as_uri()
        return page, [u for u in asked if u != own and not u.startswith("data:")]

    yield show
    context.close()


def hostile_page(address: str) -> str:
    """Return a page of every hostile output, aimed at a mark and at a server."""
    texts = [
        text.replace("x()", "window.hit=1").replace("//example.org", address)
        for text in HOSTILE
    ]
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' onload='top.hit=1'>"
        f"<image href='{address}s'/></svg>"
    )
    source = f"<script>window.hit=1</script>\n\n![x]({address}m.png)"
    outputs = [shows({"text/html": text}) for text in texts]
    cells = [
        {"cell_type": "markdown", "source": source},
        code(*outputs, shows({"image/svg+xml": svg})),
    ]
    return render(run_record(), {"cells": cells})


def test_the_page_shows_all_of_it_and_asks_for_nothing(look) -> None:
    """Table, plot and text are seen with the network off; there is no request."""
    cells = [
        {"cell_type": "markdown", "source": "# Title"},
        code(
            shows({"text/html": "<table><tr><td>a cell</td></tr></table>"}),
            shows({"image/png": PNG}),
            source="print(1)",
        ),
    ]
    page, asked = look(render(run_record(target="rehearsal"), {"cells": cells}))
    assert asked == []
    assert page.locator(".olr-banner", has_text="REHEARSAL").is_visible()
    assert page.get_by_text("a cell").is_visible()
    assert page.locator(".olr-image img").evaluate("i => i.naturalWidth") == 1
    source = page.get_by_text("print(1)")
    assert not source.is_visible()
    page.get_by_text("cell 2: source").click()
    assert source.is_visible()


def test_hostile_outputs_do_nothing(look, outside) -> None:
    """No script runs, nothing is loaded, the page stays where it is."""
    address, served = outside
    page, asked = look(hostile_page(address), offline=False)
    assert page.evaluate("() => window.hit") is None
    assert asked == []
    assert served == []
    assert page.url.endswith("notebook.html")
    assert page.locator("script, iframe, form, object, embed, base").count() == 0
    assert page.locator("header.olr-head").count() == 1


@pytest.mark.parametrize("policy", [True, False])
def test_the_policy_holds_where_the_cleaning_would_fail(
    look, outside, monkeypatch, policy
) -> None:
    """Without cleaning the browser refuses it all; without the policy it would not."""
    address, served = outside
    monkeypatch.setattr(html_parts, "_html", lambda text: (text, ""))
    attack = (
        "<script>window.hit=1</script><img src=x onerror=window.hit=1>"
        f"<img src='{address}p.png'><iframe src='{address}f'></iframe>"
        f"<style>@import '{address}c.css'; body{{background:url({address}b)}}</style>"
        f"<object data='{address}o'></object><link rel=stylesheet href='{address}l'>"
    )
    html = render(run_record(), {"cells": [code(shows({"text/html": attack}))]})
    if not policy:
        html = html.replace("Content-Security-Policy", "X-None")
    page, _ = look(html, offline=False)
    assert page.locator("main script").count() == 1
    assert page.evaluate("() => window.hit") == (None if policy else 1)
    assert bool(served) is not policy


def test_a_print_has_the_source_and_no_column_cut_off(look) -> None:
    """On paper folds are open and a wide table stays within the page."""
    head = "".join(f"<th>column_{n}</th>" for n in range(20))
    table = f"<table class='dataframe'><tr>{head}</tr></table>"
    stream = {"output_type": "stream", "name": "stdout", "text": "w" * 400}
    output = code(shows({"text/html": table}), stream, source="print(1)")
    page, _ = look(render(run_record(), {"cells": [output]}))
    page.emulate_media(media="print", color_scheme="dark")
    wide = "() => document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(wide)
    right = page.locator("th", has_text="column_19").bounding_box()
    assert right["x"] + right["width"] <= 900
    assert page.get_by_text("print(1)").is_visible()
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


GATE = GateRecord(
    gate="Production",
    question="Update Production of tika?",
    status="approved",
    shown=f"replace 1, update 2, 14 unchanged; server ami-{'0df7e95b' * 8}",
    digest="none",
    by="ann, bob",
    known="signature, operating system",
    reason="The tests in QA are green and the change was announced",
    decided_at="2026-11-29T05:27:32+00:00",
    until="2026-11-30T05:27:32+00:00",
)
BROKEN = """() => [...document.querySelectorAll('.olr-gates th, .olr-gates td')]
  .flatMap(cell => [...cell.textContent.matchAll(/\\b[a-z]{1,12}\\b/gi)].filter(at => {
    const range = document.createRange();
    range.setStart(cell.firstChild, at.index);
    range.setEnd(cell.firstChild, at.index + at[0].length);
    return new Set([...range.getClientRects()].map(r => r.top)).size > 1;
  })).map(word => word[0])"""


@pytest.mark.parametrize(
    ("width", "media"), [(1200, "screen"), (700, "screen"), (700, "print")]
)
def test_no_word_of_the_gates_is_broken(look, width, media) -> None:
    """What is too wide scrolls in its own place; on paper nothing is cut off."""
    page, _ = look(render(run_record(gates=[GATE]), {"cells": [code()]}))
    page.set_viewport_size({"width": width, "height": 700})
    page.emulate_media(media=media)
    assert page.evaluate(BROKEN) == []
    wide = "() => document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(wide)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(look, scheme) -> None:
    """In light and dark, the page's own texts have a contrast of at least 4.5 to 1."""
    statuses = ["done", "failed", "waiting", "not-run"]
    cells = [code(status=s, cause="cause", source=s) for s in statuses]
    cells.append(code({"output_type": "error", "traceback": ["Boom"]}))
    page, _ = look(render(run_record(warnings=["w"], masked=1), {"cells": cells}))
    page.emulate_media(color_scheme=scheme)
    low = page.evaluate(
        """() => {
          const parts = c => c.match(/[\\d.]+/g).map(Number);
          const light = c => { const [r, g, b] = parts(c).map(v => { v /= 255;
            return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
            return .2126 * r + .7152 * g + .0722 * b; };
          const ground = e => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if (parts(c)[3] !== 0) return c; } };
          return [...document.querySelectorAll(
              '.olr-chip,.olr-quiet,.olr-why,.olr-out pre,.olr-alert,td,th,summary,a')]
            .map(e => { const a = light(getComputedStyle(e).color),
              b = light(ground(e)); return [e.textContent,
              (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]; })
            .filter(([, ratio]) => ratio < 4.5); }"""
    )
    assert low == []
