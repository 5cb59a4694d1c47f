"""The live output: one output, redrawn seldom, whose end stays."""

from __future__ import annotations

import sys
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from olrunbook.display import front, live
from olrunbook.display.front import Output
from olrunbook.display.live import Board, Live
from olrunbook.events import Event


class Watched(Output):
    """An output that keeps what was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[dict[str, Any]] = []

    def put(self, data: dict[str, Any]) -> None:
        """Keep it."""
        self.drawn.append(data)


class Clock:
    """Seconds that go on when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the present."""
        return self.now


@pytest.fixture
def board() -> Live:
    """Return a live view on a watched output."""
    return Live("build", output=Watched(), clock=Clock())


def operation(name: str, state: str, **data: Any) -> Event:
    """Return an operation's event."""
    return Event("pyinfra", "operation", name, {"name": name, "state": state, **data})


def test_a_flood_of_events_is_drawn_four_times_a_second() -> None:
    """A thousand lines in two seconds are at most nine drawings, and the end."""
    output, clock = Watched(), Clock()
    shown = Live("build", output=output, clock=clock)
    for number in range(1000):
        shown.add(Event("packer", "line", f"line {number}"))
        clock.now += 0.002
    assert len(output.drawn) <= 9
    shown.close()
    assert len(output.drawn) <= 10


def test_headless_runs_draw_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody looks, every two seconds is enough."""
    monkeypatch.setenv(live.HEADLESS, "7")
    output, clock = Watched(), Clock()
    shown = Live("build", output=output, clock=clock)
    for _ in range(100):
        shown.add(Event("packer", "line", "x"))
        clock.now += 0.1
    assert len(output.drawn) == 5


def test_an_operation_is_one_row_that_changes() -> None:
    """Running, then changed: the row is replaced, with its time."""
    board = Board("test")
    board.add(operation("Install", "running"))
    board.add(operation("Install", "changed", seconds=1.5))
    board.add(operation("Start", "running"))
    rows = board.view(3.0).tables[0].rows
    assert [[cell.plain for cell in row] for row in rows] == [
        ["Install", "✓ changed", "", "1.5 s"],
        ["Start", "⋯ running", "", ""],
    ]


def test_the_title_says_where_it_stands() -> None:
    """Step, seconds, and the last progress or phase."""
    board = Board("rollout", began=10.0)
    assert board.view(12.0).title == "rollout · 2.0 s"
    board.add(Event("aws", "phase", "waiting"))
    assert board.view(12.0).title == "rollout · 2.0 s · waiting"
    board.add(Event("aws", "progress", "1 of 2 healthy"))
    assert board.view(13.0).title == "rollout · 3.0 s · 1 of 2 healthy"


def test_long_lists_show_their_end() -> None:
    """The last rows, and how many there are."""
    board = Board("up")
    for number in range(100):
        board.add(operation(f"op {number}", "changed"))
    (table,) = board.view(1.0).tables
    assert len(table.rows) == live.ROWS
    assert table.caption == "the last 40 of 100"
    assert board.view(1.0, ended=True).title.endswith("100 changed")


def test_a_good_end_is_folded(board: Live) -> None:
    """The result stands below it, so the way there is one line to be opened."""
    board.add(operation("Install", "changed"))
    board.close()
    last = board._output.drawn[-1]["text/html"]  # type: ignore[attr-defined]
    assert "<details>" in last
    assert "running" not in last


def test_a_bad_end_stays_open(board: Live) -> None:
    """No result will come: the operations and the last lines are what there is."""
    board.add(operation("Install", "failed"))
    board.add(Event("packer", "line", "the last words"))
    board.add(Event("packer", "error", "curl: not found"))
    with pytest.raises(ZeroDivisionError), closing(board):
        int(1 / 0)
    last = board._output.drawn[-1]["text/html"]  # type: ignore[attr-defined]
    assert "<details>" not in last
    for text in ("✗", "the last words", "curl: not found"):
        assert text in last


def test_a_step_that_says_nothing_shows_nothing(board: Live) -> None:
    """An empty box would be noise."""
    board.close()
    assert board._output.drawn == []  # type: ignore[attr-defined]


def test_hostile_lines_stay_text(board: Live) -> None:
    """What a tool writes cannot become markup."""
    board.add(Event("packer", "line", "<script>alert(1)</script>"))
    drawn = board._output.drawn[-1]["text/html"]  # type: ignore[attr-defined]
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn


def test_without_a_kernel_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal has its own progress; a note is a line of text."""
    Output().put({"text/plain": "x"})
    assert capsys.readouterr().out == ""
    front.note("done")
    assert capsys.readouterr().out == "done\n"


def test_in_a_kernel_one_output_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second drawing replaces the first by its display id."""
    calls: list[tuple[str, Any]] = []
    handle = SimpleNamespace(update=lambda data, **_: calls.append(("update", data)))

    def display(data: Any, **options: Any) -> Any:
        calls.append(("display", options.get("display_id")))
        return handle

    module = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=object()),
        display=SimpleNamespace(display=display),
    )
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)
    output = Output()
    output.put({"text/plain": "1"})
    output.put({"text/plain": "2"})
    assert calls == [("display", True), ("update", {"text/plain": "2"})]
