"""Results as tables: escaped, complete without a script, readable as text."""

from __future__ import annotations

import copy
import pickle
import re
from html.parser import HTMLParser
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.cli import common
from olrunbook.display import Shown, view_of
from olrunbook.display.render import html, text
from olrunbook.display.view import Cell, Note, Table, View, identifier, seconds, status
from olrunbook.pages.text import took
from olrunbook.steps.results import Result
from olrunbook.steps.rollout.model import RolloutResult

VOID = {"br", "img", "hr"}


class Page(HTMLParser):
    """Collects tags and text, and sees whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See that it closes the last one that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.words += data


def parsed(markup: str) -> Page:
    """Return a page that was read to its end."""
    page = Page()
    page.feed(markup)
    page.close()
    assert page.open == []
    return page


ALLOWED = {
    *("div", "p", "strong", "span", "code", "pre", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
}


def test_hostile_text_stays_text(result: Any) -> None:
    """Whatever a tool says, the page has our tags alone and nothing that runs."""
    page = parsed(html(view_of(result)))
    assert {tag for tag, _ in page.tags} <= ALLOWED
    for _, attributes in page.tags:
        assert set(attributes) <= {"class", "style", "title", "scope", "aria-hidden"}
    if "alert" in result.model_dump_json():
        assert "<script>alert('x')</script>" in page.words or "alert" not in page.words


def test_nothing_comes_from_outside(result: Any) -> None:
    """No script, no style sheet, no address is loaded: it reads in ten years."""
    markup = html(view_of(result))
    assert not re.search(r"<(script|link|iframe|img)|url\(|@import", markup)


def test_a_failed_rollout_carries_its_plot(failed_rollout: RolloutResult) -> None:
    """Its notebook never comes to the cell with the plot; the picture is inside."""
    page = parsed(html(view_of(failed_rollout)))
    (picture,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert (picture["src"] or "").startswith("data:image/png;base64,")
    assert "Plot of 20 s" in (picture["alt"] or "")


def test_every_table_has_a_caption(result: Any) -> None:
    """A table in the record says what it shows; empty ones are left out."""
    page = parsed(html(view_of(result)))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("caption") == tags.count("table") > 0
    assert tags.count("td") > 0


def test_text_holds_the_headline_and_the_same_fields(result: Any) -> None:
    """Who sees no HTML reads the same, in lines that fit a terminal."""
    plain = text(view_of(result))
    assert view_of(result).heading in plain
    table_lines = [line for line in plain.splitlines() if "──" in line]
    assert table_lines
    assert max(map(len, table_lines)) <= 112


def test_each_kind_of_result_is_known(results: dict[str, Any]) -> None:
    """None falls back to the table of fields."""
    for result in results.values():
        captions = [table.caption for table in view_of(result).tables]
        assert any(captions), type(result).__name__


def test_a_shown_result_is_the_result(rolled: RolloutResult) -> None:
    """Cells after it read its fields as if nothing were around it."""
    view = Shown(rolled)
    assert view.outcome == "refreshed"
    assert view.result is rolled
    assert view.headline() == rolled.headline()
    with pytest.raises(AttributeError):
        view.nonsense  # noqa: B018
    with pytest.raises(AttributeError):
        view._ipython_display_  # noqa: B018
    assert copy.copy(view).result == rolled
    assert pickle.loads(pickle.dumps(view)).result == rolled  # noqa: S301


def test_a_shown_result_gives_html_and_text(rolled: RolloutResult) -> None:
    """Both come at once, and are the same as when shown alone."""
    bundle = Shown(rolled)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == repr(Shown(rolled))


class Strange(Result):
    """A result nobody knows how to show."""

    schema_name: ClassVar[str] = "strange/1"

    one: int
    many: list[dict[str, str]]
    words: list[str]
    mapping: dict[str, int]

    def headline(self) -> str:
        """Return a line."""
        return "strange <b>things</b>"


def test_an_unknown_result_is_shown_field_by_field() -> None:
    """Nothing is left out, nothing is interpreted."""
    strange = Strange(
        one=1, many=[{"a": "<i>"}, {"b": "2"}], words=["w"], mapping={"k": 3}
    )
    page = parsed(html(view_of(strange)))
    for word in ("strange <b>things</b>", "one", "<i>", "words: w", "k", "3"):
        assert word in page.words


def test_a_failed_rollout_ends_with_the_way_back(failed_rollout: RolloutResult) -> None:
    """What it leaves stands below the tables."""
    plain = text(view_of(failed_rollout))
    assert plain.index("What the failed rollout leaves") < plain.index(
        "Back: olrunbook"
    )
    assert plain.startswith("✗ failed")


def test_an_ill_instance_is_shown_with_its_console(
    failed_rollout: RolloutResult,
) -> None:
    """Why, where more of its console is, and its last lines."""
    plain = text(view_of(failed_rollout))
    assert "that turned unhealthy" in plain
    assert "logs/console-i-072db11223344.log" in plain
    assert "caddy.service: Failed" in plain


def test_the_failed_operation_is_shown_with_its_output(results: dict[str, Any]) -> None:
    """Commands, output, and what can be done."""
    plain = text(view_of(results["ImageTestResult"]))
    assert "curl: not found" in plain
    assert "What you can do: Use the kit's own base image." in plain
    assert "no service was tested" in plain


def test_a_change_apart_is_marked(results: dict[str, Any]) -> None:
    """What is no part of an image roll is said first and marked in its row."""
    plain = text(view_of(results["PreviewResult"]))
    assert "Not part of an image roll: 1 of 2 changes." in plain
    assert f"imageId: {results['PreviewResult'].changes[0].changes[0].old}" in plain
    assert "▲ apart" in plain


words = st.text(max_size=40)


@given(st.lists(st.tuples(words, words), max_size=6), words, words)
def test_any_text_can_be_shown(
    rows: list[tuple[str, str]], title: str, line: str
) -> None:
    """Whatever characters come: the page is whole and the text has every row."""
    cells = [(Cell(f"1{one}", title=two), Cell(f"2{two}")) for one, two in rows]
    view = View(title, tables=[Table("t", ("a", "b"), cells)], notes=[Note(line)])
    page = parsed(html(view))
    assert sum(tag == "td" for tag, _ in page.tags) == 2 * len(rows)
    assert text(view).strip() or not (rows or title.strip() or line.strip())


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    """A table of creations has no column of old values."""
    rows = [(Cell("a"), Cell("")), (Cell("b"), Cell(""))]
    plain = text(View("t", tables=[Table("", ("name", "old"), rows)]))
    assert "name" in plain
    assert "old" not in plain


@pytest.mark.parametrize(
    ("word", "plain"),
    [
        ("ok", "✓ ok"),
        ("warning", "▲ warning"),
        ("Cancelled", "✗ Cancelled"),
        ("no change", "· no change"),
        ("pending", "⋯ pending"),
        ("in service, unhealthy", "▲ in service, unhealthy"),
        ("something", "something"),
    ],
)
def test_a_status_is_a_word_and_a_shape(word: str, plain: str) -> None:
    """Colour alone says nothing."""
    assert status(word).plain == plain


@pytest.mark.parametrize(
    ("value", "shown_as"), [(0.04, "0.0 s"), (12.34, "12.3 s"), (190, "3 min 10 s")]
)
def test_durations_have_units(value: float, shown_as: str) -> None:
    """Seconds, or minutes and seconds."""
    assert seconds(value).text == shown_as
    assert seconds(None).text == ""


@pytest.mark.parametrize(
    ("value", "whole", "tenths"),
    [
        (59.4, "59 s", "59.4 s"),
        (59.7, "1 min 00 s", "59.7 s"),
        (59.97, "1 min 00 s", "1 min 00 s"),
        (119.7, "2 min 00 s", "2 min 00 s"),
        (3599.6, "60 min 00 s", "60 min 00 s"),
    ],
)
def test_no_duration_is_60_seconds(value: float, whole: str, tenths: str) -> None:
    """What is rounded up to a minute is one: in the terminal, notebook and page."""
    assert common.duration(value) == whole
    assert seconds(value).text == took(value) == tenths


def test_an_id_is_whole_in_its_title() -> None:
    """Short in the line, whole on pointing at it."""
    cell = identifier("ami-0df7e95b351bd8408")
    assert (cell.text, cell.title) == ("ami-0df7…408", "ami-0df7e95b351bd8408")


def test_wide_tables_fold_their_fields() -> None:
    """A long field goes over several lines; the others stay in their columns."""
    wide = " ".join(["word"] * 60)
    view = View("t", tables=[Table("", ("a", "b"), [(Cell(wide), Cell("x"))])])
    lines = text(view).splitlines()
    assert max(map(len, lines)) <= 112
    assert sum("word" in line for line in lines) > 2


def test_an_id_stays_in_one_piece_where_a_table_is_too_wide() -> None:
    """Words beside it go over several lines instead."""
    ids = "web=ami-f5425b5dc04bd15d2"
    row = (Cell(ids, code=True), Cell("many words of what is so " * 5))
    table = Table("", ("image set", "said"), [(*row, Cell("x" * 40, code=True))])
    assert ids in text(View("", tables=[table]))
