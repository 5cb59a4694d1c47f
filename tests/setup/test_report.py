"""The report: one line a step, and why it failed."""

from __future__ import annotations

import io

import pytest

from setup.report import Report, SetupError, clock


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (205, "3:25")]
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    """Seconds below a minute, minutes and seconds above."""
    assert clock(seconds) == text


def test_a_step_is_one_line(report: Report, out: io.StringIO) -> None:
    """Off a terminal there are no colours and nothing is drawn twice."""
    with report.step("a thing") as step:
        step.doing("making it", 90)
        step.done("made")
    (line,) = out.getvalue().splitlines()
    assert line.split() == ["a", "thing", "done", "0", "s", "made"]
    assert "\033" not in out.getvalue()


def test_a_failed_step_says_so(report: Report, out: io.StringIO) -> None:
    """The first line of the error stands beside the step's name."""

    def fail() -> None:
        with report.step("a thing"):
            msg = "broken\nmore"
            raise SetupError(msg)

    with pytest.raises(SetupError):
        fail()
    (line,) = out.getvalue().splitlines()
    assert line.split() == ["a", "thing", "failed", "0", "s", "broken"]


def test_a_commands_last_words_are_in_the_error(report: Report) -> None:
    """Whoever reads the terminal need not open the log."""
    with report.step("a thing") as step, pytest.raises(SetupError) as caught:
        step.run(["sh", "-c", "echo first; echo no such host >&2; exit 3"], "look")
    assert "ended with 3" in str(caught.value)
    assert "no such host" in str(caught.value)
    assert caught.value.hint == "look"
    assert "no such host" in report.log.getvalue()  # type: ignore[attr-defined]
