"""How a rollout is watched: calls, trouble with the API, ill instances, the soak."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.adapters.aws.answers import AwsError
from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.context import Context
from olrunbook.errors import RefusedError, StepError, UsageError
from olrunbook.events import Event
from olrunbook.project.catalog import SoakSpec
from olrunbook.project.stack import StackSpec
from olrunbook.steps.pace import Pace, Patience
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.awaited import by_groups, chosen
from olrunbook.steps.rollout.refresh import RefreshBegan, watched
from olrunbook.steps.rollout.rollout import require, rollout

NEW = "ami-0a17c0ffee5511223"
OLD = "ami-0df7e95b351bd8408"
REFRESH = "2de4959a-0000-4000-8000-000000000001"
MINUTE = timedelta(seconds=60)
Deployed = Callable[..., DeployResult]


def _said(events: list[Event], kind: str) -> list[str]:
    return [event.text for event in events if event.kind == kind]


def _in_app(ctx: Context, **changes: Any) -> Context:
    return dataclasses.replace(ctx, app=ctx.app.model_copy(update=changes))


@pytest.fixture
def refresh(aws: Any, kit: Any, deployed: Deployed) -> DeployResult:
    """Let the account refresh its one instance for twelve minutes."""
    old = kit.Machine("i-0ld1", OLD, template="1")
    new = kit.Machine("i-0e11")
    pending = kit.Machine("i-0e11", lifecycle="Pending", target="initial")
    running = kit.Refresh(REFRESH, "InProgress")
    done = kit.Refresh(REFRESH, "Successful", 100)
    aws.page = 100
    aws.script = [
        (0, kit.Picture((old,), (running,))),
        (300, kit.Picture((pending,), (running,))),
        (700, kit.Picture((new,), (running,))),
        (720, kit.Picture((new,), (done,))),
    ]
    return deployed(kit.seen(old))


def _groups(ctx: Context, aws: Any, number: int) -> Context:
    """Let the app have as many groups of its one node type."""
    names = [f"tika-server-tika-ci-{n}" for n in range(number)]
    aws.script = [
        (at, dataclasses.replace(p, groups=tuple((f"{n}-asg", n) for n in names)))
        for at, p in aws.script
    ]
    assert ctx.app.stack is not None
    given = ctx.app.stack.model_dump() | {"groups": {"server": names}}
    return _in_app(ctx, stack=StackSpec(**given))


@pytest.mark.parametrize(("number", "most"), [(1, 12), (2, 16), (4, 24)])
def test_no_minute_has_more_calls_than_the_target_allows(
    ctx: Context,
    aws: Any,
    refresh: DeployResult,
    number: int,
    most: int,
) -> None:
    """Twelve for one group, four for each more, whatever a look needs."""
    place = dataclasses.replace(ctx.target, calls=(12, 4))  # type: ignore[type-var]
    ctx = _groups(dataclasses.replace(ctx, place=place), aws, number)
    before = [
        refresh.before[0].model_copy(update={"tag_name": tag, "name": f"{tag}-asg"})
        for _, tag in ctx.app.stack.group_tags("CI")  # type: ignore[union-attr]
    ]
    result = rollout(ctx, refresh.model_copy(update={"before": before}))
    assert result.outcome == "refreshed", result.headline()
    assert len(result.groups) == number
    times = [at for at, _ in aws.asked]
    busiest = max(sum(at <= one < at + MINUTE for one in times) for at in times)
    assert busiest <= most
    # … and not so few that nothing is seen: a look each half minute.
    looks = [at for at, name in aws.asked if name == "AutoScalingGroups"]
    waits = [b - a for a, b in itertools.pairwise(looks)]
    assert max(waits) <= timedelta(seconds=45)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(9, 30))
def test_a_pace_is_kept_by_looks_of_every_size(sizes: list[int], most: int) -> None:
    """A look is made when it fits into its minute, with what it may need more."""
    now = start = datetime(2026, 11, 29).astimezone()
    pace = Pace(1.0, most, look=9)
    made: list[tuple[datetime, int]] = []
    for size in sizes:
        now += timedelta(seconds=pace.wait_s(now)) if made else timedelta()
        pace.spent(now, size)
        made.append((now, size))
    assert now >= start
    for at, _ in made:
        busy = sum(size for when, size in made if at <= when < at + MINUTE)
        assert busy <= most


TROUBLES = [  # code, seconds, what is said
    ("Throttling", 300, "AWS throttles our calls"),
    ("RequestLimitExceeded", 300, "AWS throttles our calls"),
    ("ExpiredToken", 900, "the credentials have expired; renew them: log in again"),
    ("RequestExpired", 900, "the credentials have expired"),
    ("", 30, "does not answer"),
]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_rollout_goes_on_through_trouble(
    ctx: Context,
    aws: Any,
    refresh: DeployResult,
    events: list[Event],
    trouble: tuple[str, int, str],
) -> None:
    """What it is, is said once aloud and again and again in the live line."""
    (code, lasts_s, text), start = trouble, aws.clock()

    def troubled() -> bool:
        return 5 <= (aws.clock() - start).total_seconds() < 5 + lasts_s

    aws.silent = lambda: troubled() and not code
    aws.error = lambda: code if troubled() else ""
    assert rollout(ctx, refresh).outcome == "refreshed"
    warnings = [line for line in _said(events, "warning") if "no news" not in line]
    assert len(warnings) == 2
    assert text in warnings[0]
    assert warnings[1] == f"AWS answers again after {lasts_s} s"
    assert any(text in line for line in _said(events, "progress"))


@pytest.mark.parametrize(
    "trouble",
    [
        ("Throttling", 600, "olrunbook run rollout -p app tika -p stage CI"),
        ("ExpiredToken", 1800, "Renew them: log in again. The update goes on"),
        ("AccessDenied", 30, "allowed: olrunbook iam APP. The update goes on by"),
        ("", 120, "rehearsal status. The update goes on by itself. Watch it again:"),
    ],
)
def test_trouble_has_a_limit(
    ctx: Context, aws: Any, refresh: DeployResult, trouble: tuple[str, int, str]
) -> None:
    """A watch that can see nothing any more ends, and says how it is taken up again."""
    (code, limit_s, hint), began = trouble, aws.clock()
    aws.silent = lambda: not code and aws.clock() > began
    aws.error = lambda: code if aws.clock() > began else ""
    with pytest.raises(AwsError) as caught:
        rollout(ctx, refresh)
    assert f"(for {limit_s} s)" in str(caught.value)
    assert hint in caught.value.hint
    assert (aws.clock() - began).total_seconds() == pytest.approx(limit_s, abs=3)


def test_each_sort_of_trouble_has_its_own_limit(
    ctx: Context, aws: Any, refresh: DeployResult, events: list[Event]
) -> None:
    """A short one after a long one of another sort ends nothing; each is said once."""
    start = aws.clock()

    def trouble() -> str:
        passed = (aws.clock() - start).total_seconds()
        return "" if passed >= 140 else "Throttling" if passed < 130 else "NoSuch"

    aws.error = lambda: trouble() if aws.asked[6:] else ""
    assert rollout(ctx, refresh).outcome == "refreshed"
    warnings = [line for line in _said(events, "warning") if "no news" not in line]
    assert [line.partition(" · ")[2] for line in warnings[:-1]] == [
        "the watch goes on for 600 s at most",
        "the watch goes on for 30 s at most",
    ]


def test_trouble_of_changing_sorts_has_an_end(
    ctx: Context, aws: Any, refresh: DeployResult
) -> None:
    """What comes and goes in turn is counted together, each sort for itself."""
    began = aws.clock()

    def trouble() -> str:
        passed = (aws.clock() - began).total_seconds()
        return ("", "Throttling", "NoSuch")[passed > 0 and 1 + int(passed / 20) % 2]

    aws.error = trouble
    with pytest.raises(AwsError, match=r"NoSuch.*\(for 30 s\)"):
        rollout(ctx, refresh)
    assert (aws.clock() - began).total_seconds() == pytest.approx(70, abs=3)


@pytest.mark.parametrize(
    "renewed",
    [
        ("arn:aws:iam::123456789012:user/rehearsal", {"cloud_id": "x"}),
        ("arn:aws:iam::*:user/*", {"identity_arn": "arn:aws:iam::*:role/*"}),
    ],
)
def test_renewed_credentials_are_taken_up(
    ctx: Context,
    aws: Any,
    refresh: DeployResult,
    monkeypatch: pytest.MonkeyPatch,
    renewed: tuple[str, dict[str, str]],
) -> None:
    """Only those of the same cloud and identity; the old ones are not tried again.

    An account that was not asked yet has a pattern for who we are.
    """
    wanted, stranger = renewed
    fresh = type(aws)(aws.clock, page=100)
    fresh.script = aws.script
    found = [dataclasses.replace(ctx.target, aws=fresh, **stranger)]  # type: ignore[type-var]

    def load(*_: object) -> object:
        target = found[-1]
        object.__setattr__(target, "secret_values", lambda: ["a-renewed-secret"])
        return target

    monkeypatch.setattr("olrunbook.steps.pace.load_target", load)
    aws.error = lambda: "ExpiredToken" if aws.asked[6:] else ""

    def sleep(seconds: float) -> None:
        aws.clock.sleep(seconds)
        if len(aws.asked) > 12:
            known = {"aws": fresh, "identity_arn": wanted}
            found.append(dataclasses.replace(ctx.target, **known))  # type: ignore[type-var]

    result = rollout(dataclasses.replace(ctx, sleep=sleep), refresh)
    assert result.outcome == "refreshed"
    assert fresh.asked
    assert len(aws.asked) < 20
    assert "a-renewed-secret" in ctx.redactor.values


@pytest.fixture
def ill(aws: Any, kit: Any, deployed: Deployed) -> DeployResult:
    """Let a refresh fail for an instance that never serves."""
    old = kit.Machine("i-0ld1", OLD, template="1")
    sick = kit.Machine(
        "i-0e11",
        lifecycle="Pending",
        target="unhealthy",
        why="Health checks failed with these codes: [502]",
        console="\x1b[1mboot\x1b[0m\r\n" + "x\n" * 30 + "token=the-planted-secret\n",
    )
    late = dataclasses.replace(sick, console="== caddy.service ended: exit-code 1\n")
    running = kit.Refresh(REFRESH, "InProgress")
    failed = kit.Refresh(REFRESH, "Failed", 0, "did not become healthy")
    aws.script = [
        (0, kit.Picture((old, sick), (running,), desired=2)),
        (60, kit.Picture((old, late), (running,), desired=2)),
        (90, kit.Picture((old, late), (failed,), desired=2)),
    ]
    return deployed(kit.seen(old))


def test_an_ill_instance_is_in_the_record_with_its_console(
    ctx: Context, ill: DeployResult, events: list[Event]
) -> None:
    """The balancer's reason, and what the instance wrote last."""
    result = rollout(ctx, ill)
    assert result.outcome == "failed"
    (ailment,) = result.groups[0].unhealthy
    assert ailment.id == "i-0e11"
    assert ailment.reason == "Health checks failed with these codes: [502]"
    assert ailment.console == ["== caddy.service ended: exit-code 1"]
    assert (ctx.logs / ailment.log).read_text() == ailment.console[0] + "\n"
    (error,) = _said(events, "error")
    assert error == f"i-0e11 is unhealthy: {ailment.reason}"
    assert ailment.console[0] in _said(events, "line")


def test_a_console_is_masked_and_capped(
    ctx: Context, ill: DeployResult, aws: Any
) -> None:
    """The last lines only in the result; no secret, no colour anywhere."""
    aws.script = [aws.script[0]]
    ctx.redactor.learn("the-planted-secret")
    result = rollout(ctx, ill, patience=Patience(deadline_s=20))
    (ailment,) = result.groups[0].unhealthy
    assert len(ailment.console) == 15
    text = (ctx.logs / ailment.log).read_text()
    assert text.startswith("boot\n")
    assert "the-planted-secret" not in text + str(ailment)
    assert "[masked:" in ailment.console[-1]


def test_one_that_is_gone_before_it_served_was_ill(
    ctx: Context, aws: Any, kit: Any, ill: DeployResult, events: list[Event]
) -> None:
    """Its group gave it up between two looks; the young one after it is not ill."""
    at, last = aws.script[-1]
    young = kit.Machine("i-0e12", lifecycle="Pending", target="initial")
    aws.script[-1] = (at, dataclasses.replace(last, machines=(young,)))
    aws.console_of = {"i-0e11": "kept for a while\n"}
    result = rollout(ctx, ill)
    assert result.outcome == "failed"
    (ailment,) = result.groups[0].unhealthy
    assert (ailment.id, ailment.lost) == ("i-0e11", True)
    assert ailment.console == ["kept for a while"]
    assert len(_said(events, "error")) == 1


def test_one_that_is_gone_between_two_looks_was_lost(
    ctx: Context, aws: Any, kit: Any, ill: DeployResult, events: list[Event]
) -> None:
    """Nobody has seen it ill: its console is in the record nevertheless."""
    old = kit.Machine("i-0ld1", OLD, template="1")
    running = kit.Refresh(REFRESH, "InProgress")
    pending = kit.Machine("i-0e11", lifecycle="Pending", target="initial")
    other = dataclasses.replace(pending, id="i-0e12")
    served = kit.Machine("i-0e13")
    done = kit.Refresh(REFRESH, "Successful", 100)
    aws.script = [
        (0, kit.Picture((old, pending), (running,))),
        (60, kit.Picture((old, other), (running,))),
        (90, kit.Picture((served,), (done,))),
    ]
    aws.console_of = {"i-0e11": "== caddy.service ended: exit-code 1\n"}
    result = rollout(ctx, ill)
    assert result.outcome == "refreshed"
    one, two = result.groups[0].unhealthy
    assert (one.id, two.id, one.lost) == ("i-0e11", "i-0e12", True)
    assert one.reason == "it was gone before it served"
    assert one.console == ["== caddy.service ended: exit-code 1"]
    assert one.console[0] in _said(events, "line")


def test_a_slow_start_is_no_illness(
    ctx: Context, aws: Any, kit: Any, ill: DeployResult, events: list[Event]
) -> None:
    """What is unhealthy until it serves for the first time is not told as ill."""
    new = kit.Machine("i-0e11")
    done = kit.Refresh(REFRESH, "Successful", 100)
    aws.script = [*aws.script[:2], (90, kit.Picture((new,), (done,)))]
    result = rollout(ctx, ill)
    assert result.outcome == "refreshed"
    assert result.groups[0].unhealthy == []
    assert not _said(events, "error")


def test_one_that_served_is_told_at_once(
    ctx: Context, aws: Any, kit: Any, ill: DeployResult, events: list[Event]
) -> None:
    """An old instance that falls ill is not waited for, also when it recovers."""
    running = kit.Refresh(REFRESH, "InProgress")
    old = kit.Machine("i-0ld1", OLD, template="1")
    hurt = dataclasses.replace(old, target="unhealthy", why="Request timed out")
    done = kit.Refresh(REFRESH, "Successful", 100)
    aws.script = [
        (0, kit.Picture((old,), (running,))),
        (5, kit.Picture((hurt,), (running,))),
        (9, kit.Picture((old,), (running,))),
        (20, kit.Picture((kit.Machine("i-0e11"),), (done,))),
    ]
    result = rollout(ctx, ill)
    assert result.outcome == "refreshed"
    (ailment,) = result.groups[0].unhealthy
    assert (ailment.id, ailment.at) == ("i-0ld1", kit.START + timedelta(seconds=5))
    assert "Request timed out" in _said(events, "error")[0]


@pytest.mark.parametrize("code", ["Throttling", "ExpiredToken", ""])
def test_an_ending_that_is_known_is_told_though_aws_says_no_more(
    ctx: Context, aws: Any, ill: DeployResult, events: list[Event], code: str
) -> None:
    """The record lacks what could not be read, not the verdict nor the way back."""
    over = aws.clock() + timedelta(seconds=90)
    asked: list[int] = []

    def late() -> bool:
        if aws.clock() >= over:
            asked.append(1)
        return len(asked) > 6  # the look that sees the end

    aws.error = lambda: code if code and late() else ""
    aws.silent = lambda: not code and late()
    result = rollout(ctx, ill)
    assert result.outcome == "failed"
    assert "did not become healthy" in result.headline()
    assert result.groups[0].activities == []
    assert "Serving now" in result.consequences[0]
    assert result.consequences[-1].startswith("To go back: olrunbook rollback tika CI")
    assert any("the record lacks" in line for line in _said(events, "warning"))
    with pytest.raises(StepError):
        require(result)
    # What comes after the read that was waited for is not waited for again.
    assert (result.ended_at - over).total_seconds() < 1900


def test_a_refresh_whose_end_is_seen_in_trouble_has_ended(
    ctx: Context, aws: Any, kit: Any, deployed: Deployed
) -> None:
    """Old instances that its last look still had are looked at again, patiently."""
    old, new = kit.Machine("i-0ld1"), kit.Machine("i-0e11")
    done = kit.Refresh(REFRESH, "Successful", 100)
    aws.script = [
        (0, kit.Picture((old,), (kit.Refresh(REFRESH, "InProgress"),))),
        (20, kit.Picture((old, new), (done,))),
        (21, kit.Picture((new,), (done,))),
    ]
    aws.error = lambda: (
        "Throttling" if 20 < (aws.clock() - kit.START).seconds < 90 else ""
    )
    began = RefreshBegan(
        images={"server": NEW},
        refreshes={kit.GROUP: REFRESH},
        before=[kit.seen(old)],
        url="",
        started_at=kit.START,
    )
    result = watched(ctx, began)
    assert result.outcome == "refreshed", result.headline()
    assert not any(track.stays for track in result.groups[0].instances)


def test_without_a_balancer_the_status_checks_count(
    ctx: Context, aws: Any, kit: Any, deployed: Deployed
) -> None:
    """Initializing is waited for, impaired is ill, ok serves."""
    worker = kit.Machine("i-0e11", target="", status="initializing")
    impaired = dataclasses.replace(worker, status="impaired")
    well = dataclasses.replace(worker, status="ok")
    aws.script = [(0, kit.Picture((worker,), balanced=False))]
    (group,) = Account(ctx.target).groups(ctx.app, "CI")
    assert group.instances[0].state == "in service, status initializing"
    assert not group.instances[0].serves
    aws.script += [(5, kit.Picture((impaired,), balanced=False))]
    result = rollout(ctx, deployed(None), patience=Patience(deadline_s=30))
    assert result.outcome == "failed"
    assert "status impaired" in result.headline()
    assert "instance status check" in result.groups[0].unhealthy[0].reason
    aws.script += [(50, kit.Picture((well,), balanced=False))]
    assert rollout(ctx, deployed(None)).outcome == "launched"


def _probed(path: Path, start: datetime, bad: set[int]) -> Path:
    lines = [
        {
            "at": (start + timedelta(seconds=n)).isoformat(),
            "ok": n not in bad,
            "seconds": 0.1,
            "error": "503" if n in bad else "",
        }
        for n in range(900)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path


@pytest.mark.parametrize(
    "soak",
    [
        (set(), 0, True),
        ({3, 700}, 0, True),  # before all served
        ({730}, 0, False),
        ({730, 731}, 2, True),
        ({730, 731, 779}, 2, False),
    ],
)
def test_a_soak_counts_what_the_probe_sees(
    ctx: Context,
    kit: Any,
    refresh: DeployResult,
    tmp_path: Path,
    soak: tuple[set[int], int, bool],
) -> None:
    """All serve from second 720 on; then the stage must go on answering."""
    bad, most, good = soak
    ctx = _in_app(ctx, soak=SoakSpec(seconds=60, max_failed=most))
    file = _probed(tmp_path / "samples", kit.START, bad)
    result = rollout(ctx, refresh, samples=file)
    assert f"soak of 60 s: {len([n for n in bad if n >= 720])} of 6" in result.soak
    assert (result.ended_at - kit.START).total_seconds() >= 780
    assert result.groups[0].outcome == "refreshed"
    if good:
        assert result.outcome == "refreshed"
        assert any("Soak of 60 s" in note for note in result.notes)
        require(result)
    else:
        assert result.headline().startswith("soak of 60 s: ")
        with pytest.raises(StepError, match="requests failed, at most"):
            require(result)


@pytest.mark.parametrize("written", [None, 300])
def test_a_soak_in_which_nothing_was_asked_proves_nothing(
    ctx: Context, kit: Any, refresh: DeployResult, tmp_path: Path, written: int | None
) -> None:
    """No load balancer, or a probe that wrote nothing meanwhile: it has failed."""
    ctx = _in_app(ctx, soak=SoakSpec(seconds=60))
    file = _probed(tmp_path / "samples", kit.START, set())
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:written]))
    result = rollout(ctx, refresh, samples=file if written else None)
    assert result.outcome == "failed"
    assert result.groups[0].outcome == "refreshed"
    assert "nothing is proven" in result.headline()
    with pytest.raises(StepError, match="no request was made"):
        require(result)


def test_an_instance_that_falls_ill_in_the_soak_begins_it_anew(
    ctx: Context, aws: Any, kit: Any, refresh: DeployResult, events: list[Event]
) -> None:
    """It counts only what served all the time."""
    samples = _probed(ctx.work / "samples", kit.START, set())
    ctx = _in_app(ctx, soak=SoakSpec(seconds=60))
    at, last = aws.script[-1]
    sick = dataclasses.replace(last.machines[0], target="unhealthy")
    aws.script += [
        (at + 30, dataclasses.replace(last, machines=(sick,))),
        (at + 40, last),
    ]
    result = rollout(ctx, refresh, samples=samples)
    assert result.outcome == "refreshed"
    assert (result.ended_at - kit.START).total_seconds() >= at + 100
    assert [one.id for one in result.groups[0].unhealthy] == ["i-0e11"]
    assert any("soak for 29 of 60 s" in line for line in _said(events, "progress"))


def test_groups_alone_say_what_a_record_would(
    ctx: Context, aws: Any, kit: Any, refresh: DeployResult
) -> None:
    """On another machine: the images, and since when, are enough."""
    began = kit.START + timedelta(seconds=10)
    earlier = kit.Refresh("r-old", "Successful", started_s=-9000)
    aws.script = [
        (at, dataclasses.replace(p, refreshes=(now, earlier)))
        for at, p in aws.script
        for now in [dataclasses.replace(p.refreshes[0], started_s=10)]
    ]
    for since in ("", began.isoformat(), f"{began:%Y-%m-%d %H:%M} UTC"):
        found = by_groups(ctx, {"server": NEW}, since)
        (before,) = found.before
        assert before.name == kit.GROUP
        assert REFRESH not in before.refresh_ids
        assert "r-old" in before.refresh_ids
        assert not found.recorded
    result = rollout(ctx, found)
    assert result.outcome == "refreshed", result.headline()
    assert any("without a deploy's record" in note for note in result.notes)


def test_a_new_group_alone_is_launched(ctx: Context, aws: Any, kit: Any) -> None:
    """A group that was made since, or never refreshed, was not there before."""
    aws.script = [(0, kit.Picture((kit.Machine("i-0e11"),)))]
    found = by_groups(ctx, {"server": NEW}, "")
    assert found.before[0].name == ""
    assert rollout(ctx, found).outcome == "launched"


def test_an_image_that_nothing_brings_there_cannot_be_watched(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """Not on an instance, not on the template, and no refresh is at work."""
    aws.script = [(0, kit.Picture((kit.Machine("i-0e11"),)))]
    with pytest.raises(RefusedError, match="not ami-0bad0000"):
        by_groups(ctx, {"server": "ami-0bad0000"}, "")


def test_groups_that_are_not_there_cannot_be_watched(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """And a time that is none is an error before anything is asked."""
    aws.script = [(0, kit.Picture(groups=()))]
    with pytest.raises(RefusedError, match="no group tagged Name=tika-server-tika-ci"):
        by_groups(ctx, {"server": NEW}, "")
    aws.asked.clear()

    def none(run: str) -> DeployResult:
        raise AssertionError(run)

    for words in (("run", f"server={NEW}", ""), ("", "", "2026-11-29"), ("r", "", "x")):
        with pytest.raises(UsageError, match="by deploy_run, or by images"):
            chosen(ctx, none, *words)
    with pytest.raises(UsageError, match="'soon' is not a time"):
        by_groups(ctx, {"server": NEW}, "soon")
    with pytest.raises(UsageError, match="is still to come"):
        by_groups(ctx, {"server": NEW}, "2099-01-01")
    assert not aws.asked
