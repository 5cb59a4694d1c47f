"""Two releases of Tika through three stages, and what a person reads afterwards."""

from __future__ import annotations

import json
import subprocess

import psutil
import pytest

from olrunbook.adapters.docker.command import docker
from olrunbook.rehearsal.places import BLOCK_LABEL, LABEL
from tests.scenarios.support import ROOT, Desk, ask

pytestmark = pytest.mark.rehearsal

STAGES = ["CI", "QA", "Production"]
TRANSIENT = ("journal.jsonl", "notebook.ipynb", "run.json")


@pytest.fixture(scope="module")
def first(released: Desk) -> Desk:
    """Return the desk after the first release, before anything else."""
    return released


@pytest.fixture(scope="module")
def second(first: Desk) -> Desk:
    """Return the desk after a second release with another marker."""
    before = {s: ask(url(first, s) + "/image")[1].strip() for s in STAGES}
    assert set(before.values()) == {"one"}
    done = first.run("release", "tika", "--variable", "marker=two")
    assert done.returncode == 0, done.stdout + done.stderr
    return first


def url(desk: Desk, stage: str) -> str:
    """Return where a stage answers."""
    found: str = desk.result("deploy", "up", stage)["url"]
    return found


def test_a_first_release_launches_three_stages_on_one_image(first: Desk) -> None:
    """Eight runs and one release: three stages launched, 17 resources each, one AMI."""
    release = first.record("release")
    assert release.status == "succeeded"
    names = [(part.notebook, part.stage) for part in release.parts]
    staged = [(n, s) for s in STAGES for n in ("deploy", "rollout")]
    assert names == [("image_test", ""), ("image_build", ""), *staged]
    for stage in STAGES:
        assert first.result("deploy", "up", stage)["counts"]["create"] == 17
        rollout = first.result("rollout", "rollout", stage)
        assert rollout["outcome"] == "launched"
        assert rollout["images"] == release.images
        seen = {
            i["image"]
            for g in rollout["groups"]
            for i in g["instances"]
            if not i["gone_at"]
        }
        assert seen == set(release.images.values())


def test_tika_answers_with_the_token_and_refuses_without(first: Desk) -> None:
    """The checks put a document in, got its text, and were refused without token."""
    for stage in STAGES:
        rows = first.result("rollout", "checks", stage)["answers"]
        assert len(rows) == 3
        assert all(row["ok"] for row in rows)
        status, _ = ask(
            url(first, stage) + "/tika", "PUT", "<p>x</p>", Accept="text/plain"
        )
        assert status == 403


def test_every_run_leaves_its_files_and_no_secret(first: Desk) -> None:
    """Notebook, journal and run.json are there; no byte of them shows a key."""
    target = first.target()
    secrets = [
        target["secret_key"],
        *(target["env"][name] for name in target["secrets"]),
    ]
    for place in (
        first.places("deploy") + first.places("rollout") + first.places("image_build")
    ):
        assert all((place.folder / name).is_file() for name in TRANSIENT)
    for path in first.archive.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            assert not any(secret.encode() in text for secret in secrets), path
            assert b"PRIVATE KEY-----\\nMII" not in text


def test_the_release_notebook_tells_the_release(first: Desk) -> None:
    """The release's own notebook has the table of its runs."""
    text = (first.places("release")[0].folder / "notebook.ipynb").read_text()
    assert "image_build" in text
    assert "Production" in text
    assert json.loads(text)["metadata"]["olrunbook"]["status"] == "succeeded"


def test_a_second_release_is_an_image_roll(second: Desk) -> None:
    """Three stages refreshed; only template image, tags and Vault's image change."""
    new = second.record("release").images
    for stage in STAGES:
        preview = second.result("deploy", "preview", stage)
        changed = {
            (c["type"].split(":")[-1], p["path"].split("[")[0].split(".")[0])
            for c in preview["changes"]
            for p in c["changes"]
        }
        assert changed == {
            ("LaunchTemplate", "imageId"),
            ("Group", "tags"),
            ("AuthBackendRole", "boundAmiIds"),
        }
        assert all(c["expected"] for c in preview["changes"])
        deploy = second.result("deploy", "up", stage)
        assert (deploy["counts"]["update"], deploy["counts"]["same"]) == (3, 14)
        rollout = second.result("rollout", "rollout", stage)
        assert rollout["outcome"] == "refreshed"
        assert rollout["images"] == new


def test_the_new_image_answers_through_each_load_balancer(second: Desk) -> None:
    """The marker read through the load balancers is the second image's everywhere."""
    assert {ask(url(second, s) + "/image")[1].strip() for s in STAGES} == {"two"}


def test_one_instance_means_an_outage_and_two_mean_none(second: Desk) -> None:
    """The probe saw requests fail where the group has one instance, none where two."""
    probes = {s: second.result("rollout", "rollout", s)["probe"] for s in STAGES}
    assert probes["CI"]["failed"] > 0
    assert probes["QA"]["failed"] > 0
    assert probes["Production"]["failed"] == 0
    assert probes["Production"]["requests"] > 20


def test_the_checkout_is_clean_after_a_release(second: Desk) -> None:
    """Nothing is written into the checkout but the archive, which git ignores."""
    del second
    dirty = subprocess.run(
        [
            "git",
            "-C",
            str(ROOT),
            "status",
            "--porcelain",
            "--",
            "stacks",
            "images",
            "notebooks",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert dirty == ""


def test_a_third_deploy_of_the_same_image_changes_nothing(second: Desk) -> None:
    """17 same is said to be unchanged, not deployed; the rollout agrees."""
    assert second.run("run", "deploy", "--app", "tika", "--stage", "CI").returncode == 0
    assert second.result("deploy", "up", "CI")["counts"].get("update", 0) == 0
    assert (
        second.run("run", "rollout", "--app", "tika", "--stage", "CI").returncode == 0
    )
    assert second.result("rollout", "rollout", "CI")["outcome"] == "unchanged"


def test_the_archive_answers_the_usual_questions(second: Desk) -> None:
    """Runs lists, show tells who and what, both also for programs."""
    listed = json.loads(second.run("runs", "tika", "--stage", "QA", "--json").stdout)
    assert {row["stage"] for row in listed} == {"QA"}
    shown = second.run("show", listed[0]["run_id"]).stdout
    assert "rehearsal" in shown
    assert listed[0]["status"] in shown


def test_only_loopback_is_listened_on(second: Desk) -> None:
    """Every socket that the rehearsal's processes listen on lies in 127.0.0.0/8."""
    status = json.loads(second.run("rehearsal", "status", "--json").stdout)
    block = second.target()["endpoint"].split("//127.")[1].split(".")[0]
    named = ["--format", f'{{{{.Label "{LABEL}"}}}}']
    instances = docker("ps", "--filter", f"label={BLOCK_LABEL}={block}", *named)
    cloud = f"label={LABEL}={instances.split()[0]}"
    containers = docker("ps", "--quiet", "--filter", cloud).split()
    daemon = psutil.Process(status["pid"])
    ours = {daemon.pid, *(child.pid for child in daemon.children(recursive=True))}
    for one in containers:
        ours |= {int(pid) for pid in docker("top", one, "-eo", "pid").split()[1:]}
    ports = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}"
    found = docker("inspect", "--format", ports, *containers).split()
    found += [
        one.laddr.ip
        for one in psutil.net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN and one.pid in ours
    ]
    assert f"127.{block}" in {address.rpartition(".0.")[0] for address in found}
    assert not [x for x in found if not x.startswith(("127.", "::1", "::ffff:127."))]
