"""The endings of a rollout (DESIGN 6.4), each from a scripted account."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from olrunbook.adapters.context import Context
from olrunbook.errors import RefusedError, StepError, UsageError
from olrunbook.events import Event
from olrunbook.steps.pace import Patience
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.model import RolloutResult
from olrunbook.steps.rollout.rollout import require, rollout

OLD, NEW = "ami-0df7e95b351bd8408", "ami-0a17c0ffee5511223"
ID1 = "2de4959a-0000-4000-8000-000000000001"
ID2 = "77c1aaaa-0000-4000-8000-000000000002"
Deployed = Callable[..., DeployResult]
Play = Callable[..., RolloutResult]


def _scripts(kit: Any) -> dict[str, tuple[Any, list[tuple[float, Any]]]]:
    """Return name → (group before, script)."""
    machine, refresh, picture = kit.Machine, kit.Refresh, kit.Picture
    seen = kit.seen
    old1 = machine("i-0ld10000000000001", OLD, template="1")
    old2 = machine("i-0ld20000000000002", OLD, template="1")
    new1 = machine("i-0e1100000000000001")
    new2 = machine("i-0e1200000000000002")
    pending = machine("i-0e1100000000000001", lifecycle="Pending", target="initial")
    sick = machine("i-0e1100000000000001", target="unhealthy")
    before = seen(old1)
    running = refresh(ID1, "InProgress", 0)
    done = refresh(ID1, "Successful", 100)

    def ending(status: str, reason: str, *machines: Any, percent: int = 0) -> list[Any]:
        return [
            (0, picture((old1,), (running,))),
            (5, picture(machines, (refresh(ID1, status, percent, reason),))),
        ]

    def through(status: str) -> list[Any]:
        return [
            (0, picture((old1,), (refresh(ID1, status, 0),))),
            (5, picture((pending,), (running,))),
            (9, picture((new1,), (done,))),
        ]

    return {
        "launched": (None, [(0, picture((pending,))), (9, picture((new1,)))]),
        "launched at once": (None, [(0, picture((new1,)))]),
        "refreshed": (before, through("InProgress")),
        "refreshed after Pending": (before, through("Pending")),
        "refreshed after Baking": (
            before,
            [
                (0, picture((new1,), (refresh(ID1, "Baking", 100),))),
                (5, picture((new1,), (done,))),
            ],
        ),
        "refreshed, seen late": (
            before,
            [
                (0, picture((old1,))),
                (4, picture((old1,), (running,))),
                (9, picture((new1,), (done,))),
            ],
        ),
        "refreshed, healthy a little later": (
            before,
            [(0, picture((pending,), (done,))), (9, picture((new1,), (done,)))],
        ),
        "refreshed, the last one still leaving": (
            before,
            [
                (
                    0,
                    picture(
                        (machine(old1.id, OLD, "Terminating", target="draining"), new1),
                        (done,),
                    ),
                )
            ],
        ),
        "refreshed by the second of two": (
            before,
            [
                (0, picture((old1,), (refresh(ID1, "Cancelling", 0),))),
                (
                    3,
                    picture(
                        (old1,),
                        (
                            refresh(ID2, "InProgress", 0, started_s=2),
                            refresh(ID1, "Cancelled"),
                        ),
                    ),
                ),
                (
                    9,
                    picture(
                        (new1,),
                        (
                            refresh(ID1, "Cancelled"),
                            refresh(ID2, "Successful", 100, started_s=2),
                        ),
                    ),
                ),
            ],
        ),
        "unchanged": (seen(new1), [(0, picture((new1,)))]),
        "unchanged, two of two": (
            seen(new1, new2),
            [(0, picture((new1, new2), desired=2))],
        ),
        "failed: Cancelled": (before, ending("Cancelled", "Cancelled by user.", old1)),
        "failed: Cancelling first": (
            before,
            [
                (0, picture((old1,), (refresh(ID1, "Cancelling", 0),))),
                (
                    5,
                    picture(
                        (old1,), (refresh(ID1, "Cancelled", 0, "Cancelled by user."),)
                    ),
                ),
            ],
        ),
        "failed: Failed": (before, ending("Failed", "did not become healthy", old1)),
        "failed: RollbackSuccessful": (
            before,
            ending("RollbackSuccessful", "Automatic rollback", old1),
        ),
        "failed: RollbackFailed": (before, ending("RollbackFailed", "no image", old1)),
        "failed: only the template changed": (before, [(0, picture((old1,)))]),
        "failed: the newest refresh is an old one": (
            kit.seen(old1, refresh_ids=(ID1,)),
            [(0, picture((old1,), (done,)))],
        ),
        "failed: an old refresh brought the image": (
            kit.seen(old1, refresh_ids=(ID1,)),
            [(0, picture((old1,), (running,))), (5, picture((new1,), (done,)))],
        ),
        "failed: user data changed, same image, no refresh": (
            seen(machine(new1.id, template="1")),
            [(0, picture((machine(new1.id, template="1"),)))],
        ),
        "failed: Successful with an unhealthy target": (
            before,
            [(0, picture((sick,), (done,)))],
        ),
        "failed: Successful on another image": (
            before,
            [(0, picture((old1,), (done,)))],
        ),
        "failed: Successful with one of two": (
            kit.seen(old1, old2),
            [(0, picture((new1,), (done,), desired=2))],
        ),
        "failed: the second of two was cancelled": (
            before,
            [
                (
                    0,
                    picture(
                        (new1,),
                        (
                            done,
                            refresh(ID2, "Cancelled", 50, "by a person", started_s=2),
                        ),
                    ),
                )
            ],
        ),
        "failed: unchanged but unhealthy": (seen(new1), [(0, picture((sick,)))]),
        "failed: no group": (None, [(0, picture(groups=()))]),
        "failed: nothing wanted": (before, [(0, picture((), (done,), desired=0))]),
        "failed: new instances come and go": (
            None,
            [
                (0, picture((pending,))),
                (
                    9,
                    picture(
                        (machine("i-0e12", lifecycle="Pending", target="initial"),)
                    ),
                ),
                (
                    18,
                    picture(
                        (machine("i-0e13", lifecycle="Pending", target="initial"),)
                    ),
                ),
            ],
        ),
        "failed: launches fail": (
            None,
            [
                (
                    0,
                    picture(
                        activities=tuple(
                            {
                                "StartTime": kit.START + timedelta(seconds=n),
                                "StatusCode": "Failed",
                                "Description": "Launching a new EC2 instance.",
                                "StatusMessage": "The image does not exist",
                            }
                            for n in (3, 2, 1)
                        )
                    ),
                )
            ],
        ),
        "failed: launched on another image": (
            None,
            [
                (
                    0,
                    picture(
                        (machine("i-0e1100000000000001", OLD),), template=("2", OLD)
                    ),
                )
            ],
        ),
    }


NAMES = [
    "launched",
    "launched at once",
    "refreshed",
    "refreshed after Pending",
    "refreshed after Baking",
    "refreshed, seen late",
    "refreshed, healthy a little later",
    "refreshed, the last one still leaving",
    "refreshed by the second of two",
    "unchanged",
    "unchanged, two of two",
    "failed: Cancelled",
    "failed: Cancelling first",
    "failed: Failed",
    "failed: RollbackSuccessful",
    "failed: RollbackFailed",
    "failed: only the template changed",
    "failed: the newest refresh is an old one",
    "failed: an old refresh brought the image",
    "failed: user data changed, same image, no refresh",
    "failed: Successful with an unhealthy target",
    "failed: Successful on another image",
    "failed: Successful with one of two",
    "failed: the second of two was cancelled",
    "failed: unchanged but unhealthy",
    "failed: no group",
    "failed: nothing wanted",
    "failed: new instances come and go",
    "failed: launches fail",
    "failed: launched on another image",
]


@pytest.fixture
def play(ctx: Context, aws: Any, kit: Any, deployed: Deployed) -> Play:
    """Return a player of scripts: the account follows one, the rollout watches it."""

    def run(name: str, samples: Path | None = None, **changes: Any) -> RolloutResult:
        before, aws.script = _scripts(kit)[name]
        return rollout(ctx, deployed(before, **changes), samples=samples)

    return run


def test_every_script_has_a_test(kit: Any) -> None:
    """No ending is written down and never tried."""
    assert list(_scripts(kit)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_rollout_ends_as_its_name_says(play: Play, name: str) -> None:
    """The outcome is that of rule 6.4, and `require` raises exactly for failed ones."""
    result = play(name)
    outcome = name.partition(",")[0].partition(":")[0].split()[0]
    assert result.outcome == outcome, result.headline()
    assert result.groups[0].outcome == outcome
    if outcome == "failed":
        assert result.groups[0].reason
        assert result.consequences
        with pytest.raises(StepError):
            require(result)
    else:
        assert not result.consequences
        require(result)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("failed: Cancelled", "refresh 2de4959a Cancelled: Cancelled by user."),
        ("failed: RollbackSuccessful", "RollbackSuccessful: Automatic rollback"),
        ("failed: only the template changed", "no instance refresh has begun"),
        ("failed: user data changed, same image, no refresh", "version 1 of 2"),
        ("failed: Successful with an unhealthy target", "in service, unhealthy"),
        ("failed: Successful with one of two", "1 of 2 instances are up"),
        ("failed: no group", "Name=tika-server-tika-ci"),
        ("failed: launches fail", "The image does not exist"),
        ("failed: new instances come and go", "ended before they served"),
    ],
)
def test_a_failure_says_why(play: Play, name: str, text: str) -> None:
    """AWS's own reason, or what was seen, stands in the first line."""
    assert text in play(name).headline()


def test_a_good_ending_names_refresh_counts_and_image(play: Play) -> None:
    """The headline answers the question: what happened, how many, on which image."""
    result = play("refreshed")
    assert result.headline() == "refreshed by 2de4959a: 1 of 1 on ami-0a17…223"
    assert play("launched").headline() == ("launched: 1 of 1 healthy on ami-0a17…223")


def test_instances_are_told_before_and_after(play: Play, kit: Any) -> None:
    """The table has the old instance with its end and the new one with its times."""
    group = play("refreshed").groups[0]
    old, new = group.instances
    assert old.image == OLD
    assert old.before is not None
    assert old.after is None
    assert old.gone_at == kit.START + timedelta(seconds=5)
    assert new.image == NEW
    assert new.before is None
    assert new.after is not None
    assert new.after.serves
    assert new.served_at == kit.START + timedelta(seconds=9)


def test_the_timeline_follows_the_refresh(play: Play) -> None:
    """Percent, status and instances in service are kept over time, for the plot."""
    timeline = play("refreshed").timeline
    told = [(s.status, s.percent, s.serving, s.on_image) for s in timeline]
    assert told[0] == ("InProgress", 0, 1, 0)
    assert ("InProgress", 0, 0, 0) in told
    assert told[-1] == ("Successful", 100, 1, 1)


def test_the_refresh_that_decided_is_named_beside_the_others(play: Play) -> None:
    """Two refreshes since the update: the later one decides, the other is shown."""
    group = play("refreshed by the second of two").groups[0]
    assert group.refresh is not None
    assert group.refresh.id == ID2
    assert [other.id for other in group.other_refreshes] == [ID1]


def test_a_failed_rollout_says_what_it_leaves(play: Play) -> None:
    """What serves, what comes next, that AWS cannot roll back, and the way back."""
    text = "\n".join(play("failed: Failed").consequences)
    assert "i-0ld1…001 on ami-0df7…408" in text
    assert "launches from now on gets ami-0a17…223" in text
    assert "AWS's own rollback is not available" in text
    assert "There is no way back: no other image set served well in CI" in text


def test_progress_says_how_many_serve_and_how_old_the_news_is(
    play: Play, events: list[Event]
) -> None:
    """One line for a person while it lasts."""
    play("refreshed")
    lines = [event.text for event in events if event.kind == "progress"]
    wanted = (
        "refresh 2de4959a InProgress 0 % · 0 of 1 healthy on ami-0a17…223 · "
        "i-0e11…001 pending · last news 2 s ago"
    )
    assert wanted in lines


def test_instances_are_told_as_they_change(play: Play, events: list[Event]) -> None:
    """Each change of an instance is one event."""
    play("refreshed")
    states = [e.data["state"] for e in events if e.kind == "operation"]
    assert states == ["in service, healthy", "gone", "pending", "in service, healthy"]


def test_silence_is_said_once_a_minute(
    ctx: Context, aws: Any, kit: Any, deployed: Deployed, events: list[Event]
) -> None:
    """Nothing new for a minute is a warning, not an end; a deadline is an end."""
    before = kit.seen(kit.Machine("i-0ld10000000000001", OLD))
    running = kit.Refresh(ID1, "InProgress")
    aws.script = [(0, kit.Picture((kit.Machine("i-1", OLD),), (running,)))]
    result = rollout(ctx, deployed(before), patience=Patience(deadline_s=200))
    warnings = [event for event in events if event.kind == "warning"]
    assert len(warnings) == 3
    assert "no news for 60 s: refresh 2de4959a InProgress 0 %" in warnings[0].text
    assert "not ended after 200 s" in result.headline()


def test_another_identity_is_refused(play: Play, aws: Any) -> None:
    """Nothing is read as anybody but the target's own identity."""
    aws.identity = "arn:aws:iam::999999999999:user/somebody"
    with pytest.raises(RefusedError, match="999999999999"):
        play("refreshed")


def test_images_that_do_not_fit_are_an_error(play: Play, kit: Any) -> None:
    """A deploy of another app's node types cannot be watched as this one's."""
    with pytest.raises(UsageError, match="worker"):
        play("refreshed", images={"worker": NEW})


def _samples(path: Path, kit: Any, rows: list[tuple[float, bool]]) -> None:
    lines = [
        json.dumps(
            {
                "at": (kit.START + timedelta(seconds=at)).isoformat(),
                "ok": ok,
                "seconds": 0.01,
                "error": "" if ok else "503",
            }
        )
        for at, ok in rows
    ]
    path.write_text("\n".join(lines) + "\n")


def test_a_probe_of_somebody_else_is_read_from_before_the_update(
    play: Play, ctx: Context, kit: Any, tmp_path: Path
) -> None:
    """The figures begin with the update, and a copy of the samples is kept."""
    file = tmp_path / "samples.jsonl"
    _samples(
        file,
        kit,
        [(-60, False), (-5, True), (0, False), (3, True), (8, True), (30, True)],
    )
    result = play("refreshed", samples=file)
    assert result.probe is not None
    assert (result.probe.requests, result.probe.failed) == (4, 1)
    assert result.probe.outage_s == 3.0
    assert result.headline().endswith("· outage 3.0 s (1 of 4 requests)")
    assert (ctx.logs / "probe.jsonl").read_text() == file.read_text()


def test_a_probe_that_began_late_is_not_in_the_headline(
    play: Play, kit: Any, tmp_path: Path
) -> None:
    """Figures that leave out the beginning of a refresh do not look like all of it."""
    file = tmp_path / "samples.jsonl"
    _samples(file, kit, [(8, True), (30, True)])
    result = play("refreshed", samples=file)
    assert result.headline().endswith("0 of 1 requests failed")
    assert result.probe is not None
    late = result.probe.model_copy(update={"since": kit.START + timedelta(seconds=4)})
    result = result.model_copy(update={"probe": late})
    assert result.headline() == "refreshed by 2de4959a: 1 of 1 on ami-0a17…223"


def test_a_new_stage_has_no_outage_before_its_first_answer(
    play: Play, kit: Any, tmp_path: Path
) -> None:
    """What a stage that never served does not answer is counted apart."""
    file = tmp_path / "samples.jsonl"
    _samples(file, kit, [(0, False), (4, False), (8, True), (30, True)])
    result = play("launched", samples=file)
    assert result.probe is not None
    assert (result.probe.failed, result.probe.before_first_answer) == (0, 2)
    assert any("first answer" in note for note in result.notes)


def test_availability_is_said_from_the_real_preferences(play: Play) -> None:
    """One instance and no maximum above 100 %: the only instance goes first."""
    notes = play("refreshed").notes
    assert notes[0] == (
        "An outage: the only instance goes before the new one serves "
        "(min healthy 50 %, no maximum)."
    )


def test_two_groups_are_one_rollout(
    ctx: Context, aws: Any, kit: Any, deployed: Deployed
) -> None:
    """Each node type has its ending; the worst of them is the rollout's."""
    stack = ctx.app.stack
    assert stack is not None
    tags = {"web": ["web-{stage_lower}"], "worker": ["worker-{stage_lower}"]}
    pins = {"web": "c:web", "worker": "c:worker"}
    stack = stack.model_copy(update={"groups": tags, "image_config": pins})
    app = ctx.app.model_copy(update={"node_types": ["web", "worker"], "stack": stack})
    machine = kit.Machine("i-0e1100000000000001")
    groups = (("web-1", "web-ci"), ("worker-1", "worker-ci"))
    aws.script = [(0, kit.Picture((machine,), groups=groups))]
    before = kit.seen(machine).model_copy(
        update={"node_type": "worker", "name": "worker-1", "tag_name": "worker-ci"}
    )
    deploy = deployed(before, images={"web": NEW, "worker": NEW})
    result = rollout(dataclasses.replace(ctx, app=app), deploy)
    assert [group.outcome for group in result.groups] == ["launched", "unchanged"]
    assert result.outcome == "launched"
    assert result.headline() == (
        "web: launched: 1 of 1 healthy on ami-0a17…223; "
        "worker: unchanged: 1 of 1 already on ami-0a17…223"
    )
    wrong = deployed(before, images={"web": OLD, "worker": NEW})
    result = rollout(dataclasses.replace(ctx, app=app), wrong)
    assert result.outcome == "failed"
    assert result.headline().startswith("web: i-0e11…001 runs ami-0a17…223")


def test_each_group_of_a_node_type_must_come_to_a_good_end(
    ctx: Context, aws: Any, kit: Any, deployed: Deployed
) -> None:
    """One that is missing fails the rollout, and is named by its tag."""
    stack = ctx.app.stack
    assert stack is not None
    tags = {"server": ["infra-{stage_lower}", "ocw-{stage_lower}"]}
    stack = stack.model_copy(update={"groups": tags})
    ctx = dataclasses.replace(ctx, app=ctx.app.model_copy(update={"stack": stack}))
    machine = kit.Machine("i-0e1100000000000001")
    both = (("infra-1", "infra-ci"), ("ocw-1", "ocw-ci"))
    aws.script = [(0, kit.Picture((machine,), groups=both))]
    result = rollout(ctx, deployed(None))
    assert [group.label for group in result.groups] == [
        "server infra-ci",
        "server ocw-ci",
    ]
    assert {sample.group for sample in result.timeline} == {
        "server infra-ci",
        "server ocw-ci",
    }
    assert result.outcome == "launched"
    aws.script = [(0, kit.Picture((machine,), groups=both[:1]))]
    result = rollout(ctx, deployed(None))
    assert [group.outcome for group in result.groups] == ["launched", "failed"]
    assert "server ocw-ci: there is no group" in result.headline()
