"""Two releases of Tika through three stages, and what a person reads afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from olrunbook.adapters.docker.command import docker
from olrunbook.rehearsal.places import BLOCK_LABEL, LABEL
from tests.scenarios.support import OLRUNBOOK, ROOT, Desk, ask

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
    done = first.run("release", "tika", "--images", first.bake("marker=two"))
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


HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAHOSTILEHOSTILE00",
    "AWS_SECRET_ACCESS_KEY": "hostile-secret-access-key-of-nobody",
    "AWS_SESSION_TOKEN": "hostile-session-token",
    "AWS_ENDPOINT_URL": "http://192.0.2.1:1",
    "AWS_ENDPOINT_URL_EC2": "http://192.0.2.2:1",
    "AWS_ENDPOINT_URL_S3": "http://192.0.2.3:1",
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_REGION": "eu-west-3",
    "PULUMI_ACCESS_TOKEN": "pul-0000000000000000000000000000000000000000",
    "PULUMI_BACKEND_URL": "https://192.0.2.4",
    "PULUMI_HOME": "/nonexistent/pulumi",
    "PULUMI_CONFIG_PASSPHRASE": "hostile",
    "VAULT_ADDR": "https://192.0.2.5:8200",
    "VAULT_TOKEN": "hostile-vault-token",
    "CONSUL_HTTP_ADDR": "192.0.2.6:8500",
    "PACKER_CONFIG": "/nonexistent/packer",
    "PKR_VAR_node_type": "worker",
}


@pytest.fixture(scope="module")
def fence() -> Iterator[Path]:
    """Return a cgroup whose processes are refused every packet that leaves loopback."""
    assert os.geteuid() == 0, "this test fences its processes in, which takes root"
    roots = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    (root,) = [r for r in roots if (r / "cgroup.procs").exists()][:1]
    name = f"olrunbook-fence-{os.getpid()}"
    folder = root / name
    folder.mkdir()
    rule = ["OUTPUT", "!", "-o", "lo", "-m", "cgroup", "--path", name, "-j", "REJECT"]
    subprocess.run(["iptables", "-I", *rule], check=True)
    yield folder
    subprocess.run(["iptables", "-D", *rule], check=True)
    for pid in (folder / "cgroup.procs").read_text().split():
        (root / "cgroup.procs").write_text(pid)
    folder.rmdir()


@pytest.fixture(scope="module")
def third(second: Desk, fence: Path) -> Desk:
    """Return the desk after CI's set was deployed again, fenced, in a hostile shell."""

    def fenced() -> None:
        (fence / "cgroup.procs").write_text(str(os.getpid()))

    for notebook in ("deploy", "rollout"):
        done = subprocess.run(
            [OLRUNBOOK, "run", notebook, "--app", "tika", "--stage", "CI"],
            cwd=ROOT,
            env={**second.env, **HOSTILE},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=fenced,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return second


def test_a_third_deploy_of_the_same_image_changes_nothing(third: Desk) -> None:
    """17 same is said to be unchanged, not deployed; the rollout agrees."""
    assert third.result("deploy", "up", "CI")["counts"].get("update", 0) == 0
    assert third.result("rollout", "rollout", "CI")["outcome"] == "unchanged"


def test_a_hostile_shell_changes_nothing(third: Desk) -> None:
    """Another account's settings in the shell reach no tool."""
    mine = third.target()["identity_arn"]
    assert third.record("deploy", "CI").identity == mine
    assert third.record("rollout", "CI").identity == mine


def test_no_packet_leaves_loopback(third: Desk, fence: Path) -> None:
    """A deploy and a rollout in a hostile shell: not one packet tried to leave."""
    del third
    counts = subprocess.run(
        ["iptables", "-L", "OUTPUT", "-v", "-n", "-x"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = [x for x in counts.splitlines() if fence.name in x]
    assert line.split()[0] == "0", line


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
