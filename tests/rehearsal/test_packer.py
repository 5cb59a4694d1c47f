"""An ordinary Packer template, silent about endpoints, builds in the rehearsal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from olrunbook import toolchain
from olrunbook.adapters.docker.command import docker
from tests.rehearsal.support import Account

pytestmark = pytest.mark.rehearsal

TEMPLATE = Path(__file__).parent / "data" / "plain.pkr.hcl"
HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
}


def test_plain_template(
    containers: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base filter, subnet filter, tags and SSH work; a hostile shell changes nothing.

    Waits for states take seconds, not the SDKs' quarter of a minute each.
    """
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    tools = toolchain.ensure(["packer", "packer-plugin-amazon"]).environment()
    env = {**containers.target.environment(), **tools, "CHECKPOINT_DISABLE": "1"}
    env["PATH"] = os.pathsep.join([tools.get("PATH", ""), env["PATH"]])
    keys = containers.ec2.describe_key_pairs()["KeyPairs"]
    done = subprocess.run(
        ["packer", "build", "-machine-readable", str(TEMPLATE)],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    ids = [line for line in done.stdout.splitlines() if ",artifact,0,id," in line]
    ami = ids[0].rpartition(":")[2]
    image = containers.ec2.describe_images(ImageIds=[ami])["Images"][0]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert image["State"] == "available"
    assert tags["app"] == "tika"
    assert image["Description"].startswith("Deployment image for tika")
    assert containers.ec2.describe_key_pairs()["KeyPairs"] == keys
    left = docker(
        *("run", "--rm", "--entrypoint=cat", _image(ami), "/etc/marker"),
    )
    assert left == "v1"
    containers.ec2.deregister_image(ImageId=ami)


def _image(ami: str) -> str:
    wanted = f"label=olrunbook.ami={ami}"
    form = "{{.Repository}}:{{.Tag}}"
    return docker("images", "--filter", wanted, "--format", form)
