"""`olrunbook revoke`: no stage gets these images any more."""

from __future__ import annotations

from typing import Any

import pytest

from olrunbook.adapters.aws.reads import Account
from olrunbook.cli import main
from olrunbook.errors import RefusedError, UsageError
from olrunbook.project.catalog import Project
from olrunbook.steps.images.revoke import revoke
from tests.rollout import conftest as kit

aws, clock = kit.aws, kit.clock


def call(
    project: Project,
    aws: kit.FakeAws,
    *images: str,
    why: str = "leaks",
    node: str = "server",
) -> Any:
    """Revoke images of the scripted account."""
    target: Any = kit.FakeTarget(aws)
    given = dict.fromkeys(images, node)
    return revoke(project.catalog, lambda _: target, given, why, "ann@host")


def test_each_image_is_tagged_with_when_who_and_why(
    project: Project, aws: kit.FakeAws
) -> None:
    """And the stages that run it are named, with the way back."""
    aws.script = [(0, kit.Picture((kit.Machine("i-1", kit.NEW),)))]
    lines = call(project, aws, kit.NEW)
    said = Account(kit.FakeTarget(aws)).images([kit.NEW, kit.OLD])  # type: ignore[arg-type]
    assert said[kit.NEW].revoked.endswith("by ann@host: leaks")
    assert said[kit.OLD].revoked == ""
    assert lines[0].startswith(f"Revoked {kit.NEW}, tika-server-20261123150000: at 20")
    assert lines[1:] == [f"CI runs {kit.NEW}: olrunbook rollback tika CI"]


def test_the_first_word_stays(project: Project, aws: kit.FakeAws) -> None:
    """What is revoked already is left as it is; of nothing new it is refused."""
    call(project, aws, kit.NEW)
    lines = call(project, aws, kit.NEW, kit.OLD, why="another")
    assert len(lines) == 1
    with pytest.raises(RefusedError, match=r"was revoked at .* by ann@host: leaks"):
        call(project, aws, kit.NEW)


def test_only_images_of_the_catalogs_apps_are_revoked(
    project: Project, aws: kit.FakeAws
) -> None:
    """Nothing is tagged where one of them is none, or not there."""
    aws.images["ami-0bad0000"] = {"Name": "debian-12", "State": "available"}
    with pytest.raises(RefusedError, match="of no app in the catalog"):
        call(project, aws, kit.NEW, "ami-0bad0000", node="")
    with pytest.raises(RefusedError, match="no worker of an app in the catalog"):
        call(project, aws, kit.NEW, node="worker")
    with pytest.raises(RefusedError, match="does not exist"):
        call(project, aws, kit.NEW, "ami-0123456789")
    assert "Tags" not in aws.images[kit.NEW]
    aws.identity = "arn:aws:iam::9:user/somebody"
    with pytest.raises(RefusedError, match="the AWS identity is"):
        call(project, aws, kit.NEW)


def test_a_reason_that_does_not_fit_the_tag_is_refused(
    project: Project, aws: kit.FakeAws
) -> None:
    """It says how much fits, and that much is kept whole; nothing is cut off."""
    with pytest.raises(UsageError, match=r"has 300 .*; \d+ fit the tag") as caught:
        call(project, aws, kit.NEW, why="x" * 300)
    assert "Tags" not in aws.images[kit.NEW]
    fits = "y" * int(str(caught.value).split("; ")[1].split()[0])
    call(project, aws, kit.NEW, why=fits)
    (tag,) = aws.images[kit.NEW]["Tags"]
    assert tag["Value"].endswith(f": {fits}")
    assert len(tag["Value"]) == 256


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["server=ami-nonsense", "--reason", "x"], 2, "node_type=ami-"),
        (["server=ami-0a17c0ffee5511223"], 2, "--reason is missing"),
        (["server=ami-0a17c0ffee5511223", "--reason", "x"], 4, "not up"),
    ],
)
def test_bad_input_is_told(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    words: Any,
    code: int,
    says: str,
) -> None:
    """A wrong id, no reason, no cloud."""
    del project
    with pytest.raises(SystemExit) as ended:
        main(["revoke", *words])
    assert ended.value.code == code
    assert says in capsys.readouterr().err
