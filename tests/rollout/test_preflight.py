"""What a preflight looks at, and what it does with what it finds."""

from __future__ import annotations

import dataclasses
import platform
import stat
from pathlib import Path
from typing import Any

import pytest

from olrunbook.adapters.context import Commit, Context
from olrunbook.adapters.tool_version import tool_version
from olrunbook.errors import RefusedError, ToolError
from olrunbook.events import Event
from olrunbook.processes.system import NOT_DONE
from olrunbook.project.tools import Tools
from olrunbook.project.versions import VERSIONS
from olrunbook.record.model import RollbackRecord
from olrunbook.steps import preflight_checks
from olrunbook.steps.preflight import NEEDS, preflight, require

DEPLOY = ("target", "stack", "images", "stage order", "instance refresh", "checkout")


def _row(ctx: Context, name: str, **given: Any) -> Any:
    return preflight(ctx, need=[name], **given).rows[0]


def test_every_need_is_a_check_there_is() -> None:
    """No notebook asks for a check that nobody wrote."""
    assert {name for need in NEEDS.values() for name in need} <= set(
        preflight_checks.CHECKS
    )


def test_a_deploy_that_may_begin(ctx: Context, kit: Any, events: list[Event]) -> None:
    """All is well: every check says what it found, and nothing is raised."""
    result = preflight(ctx, need=DEPLOY, images={"server": kit.NEW})
    assert [row.status for row in result.rows] == ["ok"] * len(DEPLOY)
    assert result.headline() == "6 checks passed"
    assert [event.data["name"] for event in events] == list(DEPLOY)
    require(result)


def test_a_failed_check_refuses_with_what_can_be_done(ctx: Context, kit: Any) -> None:
    """The first failed check is the message, its hint the hint."""
    images = {"server": "ami-00000000000000dad"}
    result = preflight(ctx, need=["target", "images"], images=images)
    with pytest.raises(
        RefusedError, match="ami-00000000000000dad does not exist"
    ) as bad:
        require(result)
    assert "olrunbook run image_build" in bad.value.hint
    assert bad.value.exit_code == 4


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"State": "pending"}, "is pending"),
        ({"Name": "concourse-web-20261123150000"}, "not tika-server-*"),
    ],
)
def test_an_image_must_be_available_and_of_this_app(
    ctx: Context, aws: Any, kit: Any, changes: dict[str, str], found: str
) -> None:
    """An image of another app, or one that is not ready, is refused."""
    aws.images[kit.NEW] |= changes
    row = _row(ctx, "images", images={"server": kit.NEW})
    assert row.status == "failed"
    assert found in row.found


def test_an_image_of_an_older_name_is_good_enough_for_a_rollback(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """The catalog's pattern was changed since; it served well, and the row says it."""
    aws.images[kit.NEW]["Name"] = "tika-20261123150000"
    back = RollbackRecord(left={"server": kit.OLD}, run_id="r")
    row = _row(ctx, "images", images={"server": kit.NEW}, rollback=back)
    assert row.status == "warning"
    assert "tika-20261123150000, not tika-server-*" in row.found


def test_one_revoked_member_refuses_its_set(ctx: Context, aws: Any, kit: Any) -> None:
    """A set is one thing: the worker's revocation stops the web with it."""
    concourse = ctx.project.catalog.apps["concourse"]
    images = {"web": kit.NEW, "worker": kit.OLD}
    its = dataclasses.replace(ctx, app_name="concourse", app=concourse)
    for node, image in images.items():
        aws.images[image]["Name"] = concourse.image.name.format(node_type=node)
    assert _row(its, "images", images=images).status == "ok"
    aws.images[kit.OLD]["Tags"] = [{"Key": "revoked", "Value": "at noon by ann"}]
    row = _row(its, "images", images=images)
    assert row.status == "failed"
    assert row.found == f"worker: {kit.OLD} was revoked at noon by ann"


def test_no_image_set_is_a_failure(ctx: Context) -> None:
    """An empty set deploys nothing, so it is not deployed."""
    assert _row(ctx, "images").found == "no image set"


def test_the_stage_order_is_a_row(
    ctx: Context, aws: Any, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was relied on is said; a refusal becomes a row with its hint."""
    monkeypatch.setenv("OLRUNBOOK_ARCHIVE", str(tmp_path / "archive"))
    images = {"server": kit.NEW}
    row = _row(ctx, "stage order", images=images)
    assert (row.status, row.found) == ("ok", "this is the first stage")
    ctx = dataclasses.replace(ctx, stage="QA")
    row = _row(ctx, "stage order", images=images)
    assert row.status == "failed"
    assert "QA needs a succeeded CI rollout" in row.found
    assert row.hint.startswith("olrunbook release tika --to CI")
    aws.script = [(0, kit.Picture((kit.Machine("i-1"),)))]
    row = _row(ctx, "stage order", images=images)
    assert "the account says that CI runs these images on all instances" in row.found


def test_a_revoked_image_is_refused_and_says_when_and_why(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """No forward deploy of it; a rollback only where all others are revoked."""
    said = "at 2026-11-29T18:00:00Z by ann@host: leaks"
    aws.images[kit.NEW] |= {"Tags": [{"Key": "revoked", "Value": said}]}
    images = {"server": kit.NEW}
    row = _row(ctx, "images", images=images)
    assert row.status == "failed"
    assert f"was revoked {said}" in row.found
    back = RollbackRecord(left={"server": kit.OLD}, run_id="r")
    assert _row(ctx, "images", images=images, rollback=back).status == "failed"
    back = back.model_copy(update={"revoked": "everything"})
    row = _row(ctx, "images", images=images, rollback=back)
    assert row.status == "ok"
    assert f"revoked {said}" in row.found


def test_a_refresh_at_work_lets_a_rollback_pass(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """It is what the rollback is there for; the table says how far it is."""
    aws.script = [(0, kit.Picture(refreshes=(kit.Refresh("r1", "InProgress", 25),)))]
    back = RollbackRecord(left={"server": kit.NEW}, run_id="r")
    row = _row(ctx, "instance refresh", rollback=back)
    assert row.status == "warning"
    assert "r1" in row.found
    assert "25 %" in row.found


@pytest.mark.parametrize("status", ["Pending", "InProgress", "Baking", "Cancelling"])
def test_a_refresh_at_work_refuses_an_update(
    ctx: Context, aws: Any, kit: Any, status: str
) -> None:
    """The provider would cancel it: wherever on its pages it stands."""
    done = kit.Refresh("r2", "Successful", started_s=9)
    refreshes = (done, kit.Refresh("r1", status, 50))
    aws.script = [(0, kit.Picture(refreshes=refreshes))]
    row = _row(ctx, "instance refresh")
    assert row.status == "failed"
    assert status in row.found


def test_a_dirty_checkout_is_said_and_no_reason_to_stop(ctx: Context) -> None:
    """A rehearsal may try what is not committed; the table says so."""
    dirty = ("a.py", "b.py", "c.py", "d.py", "e.py")
    ctx = dataclasses.replace(ctx, commit=Commit("f" * 40, dirty))
    result = preflight(ctx, need=["checkout"])
    assert result.rows[0].status == "warning"
    assert "a.py, b.py, c.py and 2 more" in result.rows[0].found
    assert result.headline() == "1 checks passed; warnings: checkout"
    require(result)
    none = dataclasses.replace(ctx, commit=Commit(""))
    assert _row(none, "checkout").found == "no git checkout"


def test_another_identity_is_a_failed_row(ctx: Context, aws: Any) -> None:
    """The table shows who we are, instead of ending with an error."""
    aws.identity = "arn:aws:iam::999999999999:user/somebody"
    row = _row(ctx, "target")
    assert row.status == "failed"
    assert "999999999999" in row.found


def test_a_target_that_is_not_up_is_a_failed_row(ctx: Context) -> None:
    """With the command that starts it."""
    row = _row(dataclasses.replace(ctx, place=None), "target")
    assert (row.status, row.hint) == ("failed", "Start it: olrunbook rehearsal up")


def test_a_stage_without_a_group_cannot_be_watched(
    ctx: Context, aws: Any, kit: Any
) -> None:
    """A rollout before the first deploy is refused, with the way."""
    assert _row(ctx, "group").status == "ok"
    aws.script = [(0, kit.Picture(groups=()))]
    row = _row(ctx, "group")
    assert row.status == "failed"
    assert "run deploy" in row.hint


def test_a_stack_must_have_its_files(ctx: Context) -> None:
    """Program, project and the stage's settings."""
    assert _row(ctx, "stack").status == "ok"
    strange = dataclasses.replace(ctx, stage="Moon")
    assert "Pulumi.applications.tika.Moon.yaml" in _row(strange, "stack").found
    no_stack = ctx.app.model_copy(update={"stack": None})
    assert _row(dataclasses.replace(ctx, app=no_stack), "stack").status == "failed"


def test_files_are_looked_for_in_the_project_and_in_the_package(ctx: Context) -> None:
    """What is in neither is a failed row with the path."""
    assert _row(ctx, "template").found == "images/tika/tika.pkr.hcl"
    image = ctx.app.image.model_copy(update={"deploy": "images/none/deploy.py"})
    app = ctx.app.model_copy(update={"image": image})
    row = _row(dataclasses.replace(ctx, app=app), "deploy file")
    assert "images/none/deploy.py" in row.found


def test_docker_and_disk(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's version, its silence, and the room it has."""
    monkeypatch.setattr(preflight_checks, "docker", lambda *_, **__: "/")
    assert "free in /" in _row(ctx, "free disk").found
    for version, status in {"28.2.2": "ok", "19.03.15": "failed"}.items():
        monkeypatch.setattr(preflight_checks, "docker", lambda *_, v=version, **__: v)
        row = _row(ctx, "docker")
        assert (row.status, row.wanted) == (status, ">= 20.10")
        assert row.found == f"engine {version} answers"
    monkeypatch.setattr(preflight_checks, "docker", lambda *_, **__: "/")
    monkeypatch.setattr(preflight_checks, "FREE_GB", 1e9)
    assert _row(ctx, "free disk").status == "failed"

    def silent(*_: object, **__: object) -> str:
        msg = "docker version: Cannot connect to the Docker daemon"
        raise ToolError(msg, "Start it")

    monkeypatch.setattr(preflight_checks, "docker", silent)
    assert _row(ctx, "docker").hint == "Start it"


def test_python_itself_is_looked_at(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel of another Python is named, and what was wanted."""
    row = _row(ctx, "python")
    assert row.status == "ok"
    assert row.found.startswith(platform.python_version())
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.12")
    row = _row(ctx, "python")
    assert (row.status, row.wanted) == ("failed", ">= 3.11")


def test_what_is_not_done_on_another_system_is_said(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every preflight, so in each record; on Linux there is nothing to say."""
    assert "Not done" not in _row(ctx, "python").found
    assert all("python" in need for need in NEEDS.values())
    monkeypatch.setattr(preflight_checks, "is_linux", lambda: False)
    row = _row(ctx, "python")
    assert row.status == "warning"
    assert all(one in row.found for one in NOT_DONE)
    assert "docs/machines.md" in row.hint


def _tool(folder: Path, name: str, says: str) -> dict[str, str]:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("says", "version", "good"),
    [
        ("v3.259.0", "3.259.0", True),
        ("Packer v1.14.2", "1.14.2", False),
        ("pyinfra: v3.10", "3.10", True),
        ("hello", "", False),
    ],
)
def test_versions_are_read_and_compared(
    tmp_path: Path, says: str, version: str, *, good: bool
) -> None:
    """As numbers: 3.10 is later than 3.9."""
    found = tool_version("pulumi", _tool(tmp_path, "pulumi", says))
    assert found.version == version
    assert VERSIONS["pulumi"]._replace(minimum="3.9").fit(found.version) == good


def test_a_tool_that_is_missing_or_old_fails(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the target's own PATH is looked at."""
    assert _row(ctx, "packer").found == "not found"
    monkeypatch.setattr(type(ctx.target), "path", [], raising=False)
    account = dataclasses.replace(ctx.target, kind="aws")  # type: ignore[type-var]
    unused = _row(dataclasses.replace(ctx, place=account), "packer")
    assert unused.status == "warning"  # a run would have got it
    assert "the first run on this target" in unused.found
    env = _tool(tmp_path, "packer", "Packer v1.9.4")
    monkeypatch.setattr(type(ctx.target), "environment", lambda _: env)
    row = _row(ctx, "packer")
    assert (row.status, row.wanted) == ("failed", ">= 1.14")
    assert row.found.startswith("1.9.4, ")


def test_a_tool_behind_a_prefix_is_asked_behind_it(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy's by the Python it runs in; a prefix that is missing is named."""
    env = _tool(tmp_path, "pyinfra", "pyinfra: v3.10")
    _tool(tmp_path, "python", "pyinfra: v2.9.2 $*")
    monkeypatch.setattr(type(ctx.target), "environment", lambda _: env)
    its = _with_prefix(ctx, "pyinfra", ["env"])
    assert "python -P -m pyinfra" in _row(its, "pyinfra").found
    assert _row(its, "pyinfra").found.startswith("2.9.2, ")
    row = _row(_with_prefix(ctx, "packer", ["uvv", "run"]), "packer")
    assert (row.status, row.found) == ("failed", "uvv: not found")
    assert "tools.packer in the catalog" in row.hint


def _with_prefix(ctx: Context, name: str, prefix: list[str]) -> Context:
    tools = Tools.model_validate({name: {"prefix": prefix}})
    return dataclasses.replace(ctx, app=ctx.app.model_copy(update={"tools": tools}))


@pytest.mark.parametrize(
    ("kind", "stage", "status"),
    [
        ("rehearsal", "Production", "warning"),
        ("aws", "CI", "warning"),
        ("aws", "", "warning"),
        ("aws", "QA", "failed"),
    ],
)
def test_a_dirty_checkout_refuses_after_the_first_stage_of_an_account(
    ctx: Context, aws: Any, kind: str, stage: str, status: str
) -> None:
    """By the kind of the target, whatever it is called."""
    place = dataclasses.replace(ctx.target, kind=kind)  # type: ignore[type-var]
    commit = Commit("f" * 40, ("a.py",))
    its = dataclasses.replace(ctx, place=place, stage=stage, commit=commit)
    assert _row(its, "checkout").status == status
    back = RollbackRecord(left={}, run_id="r")
    (row,) = preflight(its, need=["checkout"], rollback=back).rows
    assert row.status == "warning"  # nothing but its gate stands in the way back
