"""The HTML record: the whole of a run on one page, and nothing that acts."""

from __future__ import annotations

import json
import re
import time
import webbrowser
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olrunbook.archive.place import new_place
from olrunbook.cli.open import open as open_command
from olrunbook.errors import OlrunbookError, UsageError
from olrunbook.pages.cells import cells_of
from olrunbook.pages.clean import clean_html, safe_link
from olrunbook.pages.run import POLICY, render
from olrunbook.record.model import Known, PartRecord, RunRecord, StepRecord

BEGAN = datetime(2026, 11, 23, 15, 9, 44, tzinfo=UTC)
RUN = "019a1b2c-3d4e-7f01-8abc-0123456789ab"
PART = "019a1b2c-3d4e-7f01-8abc-0123456789cd"
AMI = "ami-0df7e95b351bd8408"
EVIL = "<script>alert('x')</script>&\"><img src=x onerror=y>"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)


def run_record(**more) -> RunRecord:
    """Return a run's record."""
    facts = {
        "run_id": RUN,
        "notebook": "deploy",
        "target": "aws",
        "app": "tika",
        "stage": "Production",
        "started_at": BEGAN,
        "ended_at": BEGAN + timedelta(seconds=190),
        "status": "succeeded",
        "exit_code": 0,
    }
    return RunRecord(**(facts | more))


def code(*outputs, source="1", status="done", **meta):
    """Return a code cell."""
    ours = {"olrunbook": {"status": status, **meta}}
    return {
        "cell_type": "code",
        "source": source,
        "metadata": ours,
        "outputs": list(outputs),
    }


def shows(data):
    """Return a display output."""
    return {"output_type": "display_data", "data": data, "metadata": {}}


def html_of(*cells, **more) -> str:
    """Return the page of a notebook of these cells."""
    return render(run_record(**more), {"cells": list(cells)})


class Seen(HTMLParser):
    """What a parser finds on a page: elements, addresses, its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        """Note a text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """The page's text on one line."""
        return " ".join(" ".join(self.words).split())

    def acts(self) -> list[str]:
        """Return what could run, load, send or move: nothing may."""
        found = []
        for tag, attrs in self.tags:
            if tag in {"script", "iframe", "object", "embed", "form", "base", "svg"}:
                found.append(tag)
            if tag == "meta" and attrs.get("http-equiv", "") not in {
                "",
                "Content-Security-Policy",
            }:
                found.append(f"meta {attrs}")
            for name, value in attrs.items():
                low = re.sub(r"[\x00-\x20]", "", value or "").lower()
                if name.startswith("on") or "javascript:" in low:
                    found.append(f"{tag} {name}={value}")
                if name in {"src", "srcset", "background", "action"}:
                    found += [] if low.startswith("data:image/") else [f"{tag} {low}"]
                if name == "style" and re.search(r"url|@|\\|position|expression", low):
                    found.append(f"{tag} style={value}")
        return found


def test_the_head_says_who_when_what_and_how_it_ended() -> None:
    """Word and shape, cause, hint, who and how known, times, ids, what is left."""
    step = StepRecord(
        name="up",
        status="failed",
        started_at=BEGAN,
        seconds=83.2,
        cause="pulumi ended with code 255",
        hint="Look at the log.",
    )
    page = html_of(
        code(status="failed", cause="it did not work"),
        code(status="not-run"),
        status="failed",
        exit_code=1,
        cause='step "up": pulumi ended with code 255',
        steps=[step, StepRecord(name="outputs", status="not-run")],
        operator={"user": Known(value="ann", source="operating system")},
        images={"server": AMI},
        commit="a1b2c3d4e5f60718",
        dirty=["catalog.toml"],
        versions={"pulumi": "3.272.0"},
        stand_ins=["vault answers reads"],
        warnings=["silent for 61 s"],
        lacks=["the end was not seen"],
        finishing=["pulumi up (pid 4711)"],
        cells_not_run=1,
        masked=3,
        resumes=PART,
        release=PART,
        presumed=True,
        executed_by="kernel",
    )
    text = Seen(page).text
    for part in (
        "✗ failed",
        'step "up": pulumi ended with code 255',
        "What you can do: Look at the log.",
        "ann (operating system)",
        "2026-11-23 15:09:44 UTC",
        "3 min 10 s",
        "1 min 23 s",
        "server ami-0df7…408",
        "commit a1b2c3d4e5f6",
        "differs in catalog.toml",
        "silent for 61 s",
        "the end was not seen",
        "pulumi up (pid 4711)",
        "vault answers reads",
        "Not run: 1 cell",
        "· not run",
        "3 secret values",
        "Presumed:",
        "cell by cell, in JupyterLab",
        "019a…6789cd",
        "3.272.0",
        "it did not work",
    ):
        assert part in text
    assert f'title="{AMI}"' in page
    assert f'title="{RUN}"' in page
    assert '<time datetime="2026-11-23T15:09:44+00:00">' in page
    assert "<title>deploy · tika · Production · failed · 2026-11-23 15:09 UTC" in page
    assert page.index("Content-Security-Policy") < page.index("<meta charset")
    assert "REHEARSAL" not in page


def test_a_rehearsal_says_so_across_the_top() -> None:
    """The banner stands before everything else in the body."""
    page = html_of(code(), target="rehearsal")
    body = page.index("<body>")
    assert body < page.index("REHEARSAL") < page.index("<header")


def test_a_releases_parts_lead_to_their_pages() -> None:
    """The link goes up to the archive and down to the part; one that leaves is none."""
    parts = [
        PartRecord(
            run_id=PART,
            notebook="deploy",
            stage="CI",
            status="succeeded",
            headline="17 created",
            seconds=9.1,
            record=folder,
        )
        for folder in ("rehearsal/tika/CI/x_deploy_1", "../../etc", "/etc")
    ]
    links = [a["href"] for t, a in Seen(html_of(parts=parts)).tags if t == "a"]
    up = "../../../../rehearsal/tika/CI/x_deploy_1/notebook.html"
    assert [link for link in links if "etc" in link or link.startswith("..")] == [up]


def test_cells_are_folded_and_say_how_they_ended() -> None:
    """Source lies folded with its status; what did not run is set apart and said."""
    page = html_of(
        code(source="print('hello')"), code(source="never()", status="not-run")
    )
    seen = Seen(page)
    assert [t for t, _ in seen.tags].count("details") == 2
    assert not any("open" in attrs for tag, attrs in seen.tags if tag == "details")
    idle = [a for t, a in seen.tags if t == "section" and "olr-idle" in a["class"]]
    assert [a["id"] for a in idle] == ["cell-2"]
    assert "cell 2: source · not run never()" in seen.text


def test_outputs_of_every_kind_are_shown() -> None:
    """Streams with colours, tables, images, Markdown, JSON, widgets, tracebacks."""
    svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='x()'></svg>"
    widget = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
        "text/html": "<b>not this</b>",
        "text/plain": "Dropdown(value='CI')",
    }
    page = html_of(
        code(
            {"output_type": "stream", "name": "stdout", "text": "\x1b[31mre"},
            {"output_type": "stream", "name": "stdout", "text": ["d\x1b[0m\n", "1\r2"]},
            {"output_type": "stream", "name": "stderr", "text": "careful"},
            shows({"text/html": "<table class='mine'><tr><td>cell</table>"}),
            shows({"image/png": PNG + "\n", "text/plain": "<Figure>"}),
            shows({"image/svg+xml": svg}),
            shows({"text/markdown": "**bold**"}),
            shows({"application/json": {"a": [1]}, "text/plain": "<JSON object>"}),
            shows(widget),
            shows({"application/x-strange": "strange"}),
            {"output_type": "error", "traceback": ["\x1b[31mBoom\x1b[0m: x"]},
            {"output_type": "error", "ename": "KeyError", "evalue": "'k'"},
        )
    )
    seen = Seen(page)
    assert '<span class="olr-c1">red</span>\n2</pre>' in page
    assert 'olr-stderr">' in page
    assert '<table class="mine"><tr><td>cell</td></tr></table>' in page
    assert f'alt="&lt;Figure&gt;" src="data:image/png;base64,{PNG}"' in page
    assert 'src="data:image/svg+xml;base64,' in page
    assert "<strong>bold</strong>" in page
    for part in ('"a": [', "widget, as text Dropdown(value='CI')", "strange"):
        assert part in seen.text
    assert "Boom: x" in seen.text
    assert "KeyError: 'k'" in seen.text
    assert "not this" not in page
    assert "\x1b" not in page
    assert seen.acts() == []


def test_papermills_banner_is_left_out() -> None:
    """Its cells say what is not to be believed; the others keep their numbers."""
    banner = {
        "cell_type": "markdown",
        "metadata": {"tags": ["papermill-error-cell-tag"]},
        "source": "An Exception was encountered",
    }
    cells = cells_of({"cells": [banner, code()]})
    assert [cell.number for cell in cells] == [2]


def test_markdown_stays_text_where_it_is_html() -> None:
    """Raw HTML is shown, links that run are dropped, images from outside are named."""
    source = (
        f"# Title\n\n{EVIL}\n\n[a](javascript:alert(1)) [b](https://example.org) "
        "[c](data:text/html,x) ![out](https://example.org/x.png) "
        "![in](attachment:dot.png)\n"
    )
    attached = {"dot.png": {"image/png": PNG}}
    cell = {"cell_type": "markdown", "source": source, "attachments": attached}
    page = html_of(cell)
    seen = Seen(page)
    assert seen.acts() == []
    assert "<h2>Title</h2>" in page
    assert "<script>alert('x')</script>" in seen.text
    links = [a.get("href") for t, a in seen.tags if t == "a"]
    assert "https://example.org" in links
    assert not any(link and link.startswith("data:") for link in links)
    assert "[out: not kept in this record: https://example.org/x.png]" in seen.text
    assert f'src="data:image/png;base64,{PNG}"' in page


HOSTILE = [
    "<script>x()</script>",
    "<SCRIPT\n>x()</ScRiPt\n>",
    "<scr<script>ipt>x()</script>",
    "<script>x()",
    "<img src=x onerror=x()>",
    "<img src='https://example.org/p.png'>",
    "<img src='data:text/html,<script>x()</script>'>",
    "<img srcset='//example.org/p.png 2x' src=x>",
    "<iframe src='//example.org'></iframe>",
    "<iframe srcdoc='<script>x()</script>'>",
    "<svg onload=x()><script>x()</script></svg>",
    "<svg/onload=x()>",
    "<math><mtext><style><img src=x onerror=x()>",
    "<noscript><p title='</noscript><img src=x onerror=x()>'>",
    "<a href='java\nscript:x()'>a</a>",
    "<a href='&#106;avascript:x()'>a</a>",
    "<a href=' \x01javascript:x()'>a</a>",
    "<a href='//example.org'>a</a>",
    "<p style='background:url(//example.org/p)'>p",
    "<p style='background:\\75rl(//example.org/p)'>p",
    "<p style='position:fixed;top:0;left:0'>succeeded",
    "<p style='margin-top:-900px'>succeeded",
    "<p style=\"background:image-set('//example.org/p' 1x)\">p",
    "<style>@import '//example.org'; .olr-head{display:none}</style>",
    "<link rel=stylesheet href=//example.org>",
    "<meta http-equiv=refresh content='0;url=//example.org'>",
    "<base href=//example.org>",
    "<form action=//example.org><button formaction=javascript:x()>b",
    "<object data=//example.org></object><embed src=//example.org>",
    "<video src=//example.org autoplay onplay=x()></video>",
    "<table background=//example.org/p><tr><td>cell",
    "</div></section></main><header class='olr-head olr-ok'>succeeded",
    "<details open ontoggle=x()>d",
    "<!--><img src=x onerror=x()>-->",
    "<p title='\"><img src=x onerror=x()>'>p",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_output_is_harmless(hostile) -> None:
    """Nothing of it runs, loads, sends, covers the head or dresses as it."""
    output = code(shows({"text/html": hostile, "text/plain": "text"}))
    page = html_of(output, code(source="after"))
    assert Seen(page).acts() == []
    assert "example.org" not in "".join(
        str(a.get(n)) for _, a in Seen(page).tags for n in ("href", "src", "style")
    )
    cleaned, _ = clean_html(hostile)
    assert "olr-" not in cleaned
    assert page.count("<section") == page.count("</section>") == 2
    assert POLICY.startswith("default-src 'none'")


def test_what_was_left_out_is_said() -> None:
    """A reader learns that an output had a script and a frame."""
    hostile = "<b>hi</b><script>1</script><iframe></iframe><script>2</script>"
    text = Seen(html_of(code(shows({"text/html": hostile})))).text
    assert "Left out of this page: 1 iframe, 2 script." in text


def test_our_tables_keep_their_look() -> None:
    """Classes, styles, captions, titles and folding of our own views survive."""
    ours = (
        '<div class="olrunbook" style="margin:.3em 0;line-height:1.45"><details>'
        "<summary>s</summary><table><caption>c</caption><thead><tr>"
        '<th scope="col" style="text-align:left;border:1px solid #8c959f66">h</th>'
        '</tr></thead><tbody><tr><td title="whole" style="font-family:ui-monospace,'
        'Menlo">x<br>y</td></tr></tbody></table></details></div>'
    )
    assert clean_html(ours)[0] == ours


@given(st.text(alphabet="<>/!-='\"& abpsciprtmgonx:;()\n\x00", max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_text_gets_through_as_something_that_acts(text) -> None:
    """Whatever is put together of the signs of HTML is closed and does nothing."""
    cleaned, _ = clean_html(text)
    seen = Seen(f"<div>{cleaned}</div><i></i>")
    assert seen.acts() == []
    opened = [t for t, _ in seen.tags if t not in {"br", "col", "hr", "img", "wbr"}]
    assert len(opened) == len(re.findall(r"</\w+>", cleaned)) + 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("cell_type", "source", "metadata", "outputs", "output_type"),
                    *("data", "text", "name", "tags", "olrunbook", "status"),
                    *("traceback", "text/html", "image/png", "attachments"),
                    *("text/markdown", "application/json"),
                ]
            ),
            inner | st.sampled_from(["code", "markdown", "stream", "error"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_notebook_still_gives_a_page(cells) -> None:
    """No content stops the page that tells about it, and the page can be written."""
    for notebook in ({"cells": cells}, {"cells": cells[0] if cells else None}):
        page = render(run_record(), notebook)
        assert page.encode().startswith(b"<!doctype html>")


OUTPUT = {"output_type": "stream", "name": "stdout", "text": "in the widget\n"}


def widget(model):
    """Return the display of a widget."""
    view = "application/vnd.jupyter.widget-view+json"
    return shows({view: {"model_id": model}, "text/plain": f"Words({model})"})


def output_model(*outputs):
    """Return the state of an Output widget."""
    return {"model_name": "OutputModel", "state": {"outputs": list(outputs)}}


def box(*children):
    """Return the state of a box of widgets."""
    names = [f"IPY_MODEL_{child}" for child in children]
    return {"model_name": "VBoxModel", "state": {"children": names}}


def page_with(models, *cells) -> str:
    """Return the page of a notebook with the state of widgets."""
    state = {"application/vnd.jupyter.widget-state+json": {"state": models}}
    notebook = {"cells": list(cells), "metadata": {"widgets": state}}
    return render(run_record(), notebook)


def test_what_stands_in_an_output_widget_is_on_the_page() -> None:
    """Where it is shown, made safe as a cell's own outputs are, under a label."""
    error = {
        "output_type": "error",
        "ename": "E",
        "evalue": "v",
        "traceback": ["it broke"],
    }
    models = {"o": output_model(OUTPUT, error, shows({"text/html": EVIL}))}
    before, after = (
        {**OUTPUT, "text": text} for text in ("said before\n", "said after\n")
    )
    seen = Seen(page_with(models, code(before, widget("o"), after)))
    assert seen.acts() == []
    order = ["said before", "in an Output widget", "in the widget", "it broke"]
    order.append("said after")
    assert sorted(order, key=seen.text.index) == order
    assert "Words(o)" not in seen.text


def test_an_output_widget_in_boxes_is_on_the_page() -> None:
    """In the order of the boxes; other widgets are shown as text, as they were."""
    models = {
        "tab": box("box", "second"),
        "box": box("slider", "first"),
        "slider": {"model_name": "IntSliderModel", "state": {"value": 1}},
        "first": output_model(OUTPUT),
        "second": output_model({**OUTPUT, "text": "of the second"}),
    }
    text = Seen(page_with(models, code(widget("tab"), widget("slider")))).text
    order = ["Words(tab)", "in the widget", "of the second", "Words(slider)"]
    assert sorted(order, key=text.index) == order
    assert "widget, as text" in text


def test_widgets_that_hold_themselves_are_shown_once() -> None:
    """Circles and long chains of boxes and of outputs end; nothing is lost."""
    circle = {"a": box("b", "a"), "b": box("a", "o"), "o": output_model(OUTPUT)}
    circle["o"]["state"]["outputs"] += [widget("o"), widget("a")]
    assert page_with(circle, code(widget("a"))).count("in the widget") == 1
    boxes = {f"n{n}": box(f"n{n + 1}") for n in range(5000)}
    boxes["n5000"] = output_model(OUTPUT)
    assert "in the widget" in page_with(boxes, code(widget("n0")))
    chain = {f"n{n}": output_model(widget(f"n{n + 1}")) for n in range(5000)}
    chain["n5000"] = output_model(OUTPUT)
    assert "in the widget" in page_with(chain, code(widget("n0")))


@given(
    st.dictionaries(
        st.sampled_from(["a", "b"]),
        JSON
        | st.fixed_dictionaries(
            {
                "model_name": st.just("OutputModel") | JSON,
                "state": st.fixed_dictionaries({"outputs": JSON, "children": JSON})
                | JSON,
            }
        ),
    )
    | JSON
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_widgets_still_give_a_page(models) -> None:
    """No state of widgets stops the page, and the cell is on it."""
    assert "own words" in page_with(models, code(widget("a"), source="own words"))


def test_no_notebook_at_all_is_said() -> None:
    """A run that left no notebook still has its page, which says so."""
    page = render(run_record(status="kernel-died", cause="it never started"), {})
    assert "the executed notebook is missing" in page
    assert "it never started" in page


def test_the_same_run_gives_the_same_bytes() -> None:
    """The page is a function of record and notebook, so that anyone can make it."""
    cells = [code(shows({"text/html": "<b>x</b>"})), code(source="y = 2")]
    assert html_of(*cells) == html_of(*json.loads(json.dumps(cells)))


def test_half_a_character_does_not_stop_the_file() -> None:
    """Lone surrogates and control characters are replaced: the page is UTF-8."""
    stream = {"output_type": "stream", "name": "stdout", "text": "a\ud800b\x00c\x0b"}
    page = html_of(code(stream, cause="\udfff"), cause="x\ud800\x01")
    page.encode()
    assert "a�bc" in page


@pytest.mark.parametrize(
    "hostile",
    [
        "<a " * 200_000,
        "<!--" * 200_000,
        "<a x='" * 100_000,
        "<div>" * 200_000 + "</b>" * 200_000,
        "<svg>" * 200_000,
        "<a \"<b '" * 100_000 + ">",
        "&" * 500_000,
        "<p style='" + "a:" * 300_000 + "'>",
    ],
)
def test_the_time_grows_with_the_length_alone(hostile) -> None:
    """No text keeps the end of a run waiting: half a megabyte takes seconds at most."""
    began = time.process_time()
    clean_html(hostile)
    assert time.process_time() - began < 8


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://example.org/a?b:c", True),
        ("mailto:ann@example.org", True),
        ("#cell-3", True),
        ("logs/up.log", True),
        ("a/b:c", True),
        ("file:///etc/passwd", False),
        ("\\\\host\\share", False),
        ("/\t/host", False),
        ("vbscript:x", False),
    ],
)
def test_links_go_where_a_reader_expects(address, kept) -> None:
    """The web, mail, this page and what lies beside it; nothing else."""
    assert bool(safe_link(address)) is kept


@pytest.fixture
def place(project):
    """Return the directory of a run in the project's archive."""
    return new_place(
        project.outputs, target="aws", app="tika", notebook="deploy", stage="CI"
    )


def test_open_shows_the_page_and_says_where_it_is(place, monkeypatch, capsys) -> None:
    """The path is printed, the browser gets the file's address; --print opens none."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: not opened.append(url))
    page = place.folder / "notebook.html"
    page.write_text("<p>")
    open_command.main([place.run_id, "--print"], standalone_mode=False)
    assert opened == []
    open_command.main([place.run_id], standalone_mode=False)
    assert opened == [page.as_uri()]
    assert capsys.readouterr().out.split() == [str(page)] * 2


def test_open_says_what_to_do_where_there_is_no_page(place) -> None:
    """A run that goes on has none; the hint names the command that tells more."""
    with pytest.raises(UsageError, match="still running, or killed") as caught:
        open_command.main([place.run_id], standalone_mode=False)
    assert f"show {place.run_id}" in caught.value.hint


def test_open_without_a_browser_is_no_success(place, monkeypatch) -> None:
    """On a machine without one the error says that the path can be copied."""
    (place.folder / "notebook.html").write_text("<p>")
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    with pytest.raises(OlrunbookError, match="no browser"):
        open_command.main([place.run_id], standalone_mode=False)
