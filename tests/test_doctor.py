"""`olrunbook doctor`: all checks over apps and stages, with what to type."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from olrunbook import cli
from olrunbook.project.catalog import Project
from olrunbook.record.files import short
from olrunbook.redact import Redactor
from olrunbook.steps.lock import HELD_VARIABLE, holder, one_at_a_time
from olrunbook.steps.preflight import CheckRow
from tests.archives import sealed_run
from tests.rehearsal.support import FAST, Account, cloud_at
from tests.test_tree import ROOT

BUCKET = "mitol-pulumi-state"
STACK = "ol-infrastructure-tika-server/applications.tika.CI"
TAG = "tika-server-tika-ci"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a caller of the command: its exit code, and what it printed."""

    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["doctor", *words])
        return int(ended.value.code or 0), capsys.readouterr().out

    return call


def rows(said: str) -> dict[tuple[str, str], CheckRow]:
    """Return the rows that were printed as JSON, by where and name."""
    found = map(CheckRow.model_validate, json.loads(said)["rows"])
    return {(row.where, row.name): row for row in found}


def test_without_a_cloud_that_is_the_one_failure(project: Project, run: Run) -> None:
    """It is said once, with what to type; what needs no cloud is checked."""
    code, said = run("--json")
    found = rows(said)
    assert code == 4
    assert found["", "target"].hint == "Start it: olrunbook rehearsal up"
    assert found["tika", "app lock"].status == "ok"
    assert found["tika QA", "stack"].status == "ok"
    not_up = [row.name for row in found.values() if "not up" in row.found]
    assert not_up == ["target"]
    code, said = run("tika", "QA")
    assert said.startswith("✗ failed  target: the rehearsal is not up")
    assert "tika Production" not in said
    assert json.loads(run("tika", "--json", "--target", "rehearsal")[1])["rows"]
    assert run("")[0] == run("tika", "")[0] == run("--target", "Moon")[0] == 2
    assert run("tikka")[0] == run("tika", "Moon")[0] == 2


def test_who_holds_an_app_is_named(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a run that goes on; not the one that our own caller holds for us."""
    with one_at_a_time(project.root, "tika", "deploy CI (run 42)"):
        row = rows(run("--json")[1])["tika", "app lock"]
        assert row.status == "warning"
        assert row.found.startswith("deploy CI (run 42), pid ")
        monkeypatch.setenv(HELD_VARIABLE, "tika")
        assert holder(project.root, "tika") == ""
    monkeypatch.delenv(HELD_VARIABLE)
    assert holder(project.root, "tika") == holder(project.root, "other") == ""


def test_a_run_that_was_cut_off_is_named_with_what_goes_on_with_it(
    project: Project, redactor: Redactor, run: Run
) -> None:
    """The newest that began to change the stage, until another takes it up."""

    def add(step: str, how: str, status: str) -> str:
        told = {"name": step, "status": how, "headline": ""}
        end = {"status": status, "cause": "", "masked": 0}
        more = {"steps": [told], "end": end}
        return sealed_run(project, redactor, "deploy", "CI", **more).record.run_id

    def row() -> CheckRow:
        return rows(run("tika", "CI", "--json")[1])["tika CI", "last run"]

    assert row().found == "none is on record"
    cut = add("up", "interrupted", "interrupted")
    add("preview", "interrupted", "interrupted")  # that changed nothing
    assert row().status == "warning"
    assert row().found == f"deploy {short(cut)} interrupted"
    assert row().hint == f"Go on with it: olrunbook resume {short(cut)}"
    add("up", "kept", "succeeded")
    assert row().status == "ok"


def test_a_command_before_is_run_once_for_an_app(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What both the test and the build of an image want is not asked for twice."""
    counted = project.root / "counted"
    catalog = project.root / "catalog.toml"
    said = f"echo asked >> {counted}; echo KEY=value"
    more = f'[tools.pyinfra]\nbefore = [{{run = ["sh", "-c", "{said}"]}}]\n'
    catalog.write_text(f"{catalog.read_text()}\n{more}")
    found = rows(run("tika", "CI", "--json")[1])
    assert found["tika", "commands before a test"].found == "1 ended well"
    assert found["tika", "commands before images"].found == "1 ended well"
    assert counted.read_text() == "asked\n"


# -- with a cloud -------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return a cloud of records."""
    with cloud_at(tmp_path_factory.mktemp("doctor"), FAST) as account:
        yield account


@pytest.fixture
def put(
    cloud: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str, Any], None]:
    """Return a function that writes into the backend; the cloud's project is in use."""
    state = cloud.target.state.parents[1]
    shutil.copy(ROOT / "catalog.toml", state.parent / "project")
    monkeypatch.setenv("OLRUNBOOK_STATE", str(state))
    monkeypatch.setenv("OLRUNBOOK_ARCHIVE", str(tmp_path / "outputs"))
    monkeypatch.chdir(state.parent / "project")

    def write(key: str, value: Any) -> None:
        body = json.dumps(value).encode()
        cloud.client("s3").put_object(Bucket=BUCKET, Key=f".pulumi/{key}", Body=body)

    return write


@pytest.mark.rehearsal
def test_what_a_cut_off_update_left_comes_first(
    cloud: Account, put: Callable[[str, Any], None], run: Run
) -> None:
    """A lock, an operation without an end, what no state knows: each with its way."""
    code, said = run("tika", "CI", "--json")
    (found,) = [list(rows(said).values())]
    assert [row.name for row in found[:6]] == [
        "target",
        "app lock",
        "last run",
        "stack lock",
        "pending operations",
        "possible orphans",
    ]
    assert [row.status for row in found[:6]] == ["ok"] * 6

    groups = [
        cloud.elb.create_target_group(
            Name=cloud.name("tg"),
            Protocol="HTTP",
            Port=80,
            VpcId=cloud.vpc(),
            Tags=[{"Key": "Name", "Value": TAG}],
        )["TargetGroups"][0]["TargetGroupArn"]
        for _ in range(2)
    ]
    urn = f"urn:pulumi:CI::p::aws:lb/loadBalancer:LoadBalancer::{TAG}-load-balancer"
    latest = {
        "manifest": {"time": "2026-11-24T04:00:00.123456789Z"},
        "resources": [{"urn": "urn:x", "id": groups[0]}],
        "pending_operations": [{"type": "creating", "resource": {"urn": urn}}],
    }
    put(f"stacks/{STACK}.json", {"version": 3, "checkpoint": {"latest": latest}})
    lock = {"pid": 42, "username": "ann", "hostname": "there", "timestamp": "now"}
    put(f"locks/organization/{STACK}/1.json", lock)
    code, said = run("tika", "CI", "--json")
    assert code == 4
    found = rows(said)
    held = found["tika CI", "stack lock"]
    assert held.found == "held by ann@there (pid 42) since now"
    assert held.hint.endswith(
        "olrunbook tools pulumi cancel --yes -s applications.tika.CI -C stacks/tika"
    )
    assert held.hint.startswith("Wait; if that process is gone: ")
    gone = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # nobody has reaped it yet
    put(
        f"locks/organization/{STACK}/1.json",
        {**lock, "pid": gone.pid, "hostname": platform.node()},
    )
    held = rows(run("tika", "CI", "--json")[1])["tika CI", "stack lock"]
    assert held.hint.startswith("That process is gone: olrunbook tools pulumi")
    gone.wait()
    assert rows(run("tika", "CI", "--json")[1])["tika CI", "stack lock"] == held
    pending = found["tika CI", "pending operations"]
    assert pending.status == "failed"
    assert pending.found.startswith("creating aws:lb/loadBalancer:LoadBalancer")
    assert "--clear-pending-creates" in pending.hint
    orphans = found["tika CI", "possible orphans"]
    assert orphans.status == "warning"
    assert orphans.found.count("target-group") == 1
    assert groups[1].rpartition("/")[0].rpartition("/")[2] in orphans.found
