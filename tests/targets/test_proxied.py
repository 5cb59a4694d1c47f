"""An account behind a proxy with a password, with certificates of a private CA."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from olrunbook import toolchain
from olrunbook.errors import ToolError
from olrunbook.processes.handout import handing_out
from olrunbook.processes.tool import Command, Tool
from olrunbook.redact import Redactor, new_key
from tests.account import Person
from tests.conftest import ROOT
from tests.proxied import ADDRESS, CA, PASSWORD, WHO, Network, network_before
from tests.targets.conftest import ASKS, ID, ROLE, Make

TEMPLATE = ROOT / "tests/scenarios/light/images/light/light.pkr.hcl"
# What Pulumi, its programs and plugins do: call each other by gRPC on loopback.
CALLS = """
import grpc
from concurrent.futures import ThreadPoolExecutor
class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"answered")
server = grpc.server(ThreadPoolExecutor(1), handlers=[Handler()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
print(channel.unary_unary("/a/b")(b"", timeout=30).decode())
"""


@pytest.fixture(scope="module")
def up(person: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Return the network before the person's account."""
    folder = tmp_path_factory.mktemp("network")
    with network_before(person.target.endpoint, folder) as network:
        yield network


@pytest.fixture
def network(
    up: Network, make: Make, person: Person, monkeypatch: pytest.MonkeyPatch
) -> Network:
    """Return it, with a shell and AWS settings that lead through it."""
    assert make  # has written the person's settings
    for name, value in up.shell.items():
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv(name, value)
    up.into(person.home / ".aws" / "config", person.target.endpoint)
    up.tunnels, up.agents, up.refused = 0, set(), []
    return up


def test_our_calls_and_those_of_tools_go_through_it(
    network: Network, make: Make, tmp_path: Path
) -> None:
    """And who asks for a role, too. The password is in no file."""
    target = make(profile="base", role=f"arn:aws:iam::{ID}:role/olrunbook-build")
    assert target.identified().identity_arn.startswith(f"{ROLE}olrunbook-")
    assert target.client("s3").list_buckets()["Buckets"]
    command = Command(
        "asks",
        [sys.executable, "-c", ASKS],
        cwd=tmp_path,
        env=target.environment(),
        log=tmp_path / "asks.log",
    )
    with Tool(command, Redactor(new_key(), [])) as tool:
        (said,) = [line.text for line in tool.lines()]
    assert said.startswith(ROLE)
    assert said.endswith(f" https://{ADDRESS}")
    assert network.tunnels > 2  # of ourselves, of who asks for the role, of the tool
    assert not network.refused
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        assert PASSWORD.encode() not in path.read_bytes(), path


@pytest.fixture(scope="module")
def packer() -> dict[str, str]:
    """Return where the real Packer and its plugin are."""
    return toolchain.ensure(["packer", "packer-plugin-amazon"]).environment()


@pytest.mark.rehearsal
def test_a_real_packer_bakes_through_it(
    packer: dict[str, str], network: Network, make: Make, tmp_path: Path
) -> None:
    """Each of its calls; the password is not in what it says, even of its details."""
    env = make().environment()
    env |= {**packer, "PATH": f"{packer.get('PATH', '')}{os.pathsep}{env['PATH']}"}
    with handing_out({**env, "CHECKPOINT_DISABLE": "1", "PACKER_LOG": "1"}) as inside:
        done = subprocess.run(
            ["packer", "build", "-var", "node_type=web", TEMPLATE],
            env=inside,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-3000:]
    assert any("packer-plugin-amazon" in agent for agent in network.agents)
    assert not network.refused
    assert PASSWORD not in done.stdout + done.stderr


def test_a_ca_of_the_shell_counts_where_the_catalog_names_it(
    network: Network,
    make: Make,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For tools and for us, and else for neither."""
    config = person.home / ".aws" / "config"
    config.write_text(config.read_text().replace("ca_bundle", "# ca_bundle"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(network.folder / CA))
    with pytest.raises(ToolError) as caught:
        make(profile="base").identified()
    assert "`ca_bundle` in the profile" in caught.value.hint
    assert caught.value.hint.endswith("(`variables` in catalog.toml): AWS_CA_BUNDLE")
    assert not network.agents
    found = make(profile="base", variables=["AWS_CA_BUNDLE"])
    assert found.identified().identity_arn == person.target.identity_arn


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "http_proxy"])
def test_on_loopback_the_parts_of_a_tool_meet_without_it(
    network: Network, make: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """However the shell writes it, and whether or not it excepts loopback."""
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv(name, network.proxy)
    monkeypatch.setenv("NO_PROXY", "example.org")
    env = make().environment()
    assert env["NO_PROXY"] == env["no_proxy"] == "example.org,127.0.0.1,localhost"
    done = subprocess.run(
        [sys.executable, "-c", CALLS], env=env, capture_output=True, check=True
    )
    assert done.stdout == b"answered\n"
    assert not network.refused


# What is wrong: variables of the shell and what AWS's config says otherwise; then what
# the error says, and what helps.
AT_PROXY, BY_CA = "look at network and proxy", "`ca_bundle` in the profile"
CLOSED: dict[str, tuple[str, str, str, str]] = {
    "no proxy": ("", "", f"https://{ADDRESS}/", AT_PROXY),
    "nobody there": ("http://{who}@127.0.0.1:1", "", "//***:***@127", AT_PROXY),
    "no password": ("http://127.0.0.1:{port}", "", "http://127", AT_PROXY),
    "another CA": ("{own}", "# ca_bundle", "CERTIFICATE_VERIFY_FAILED", BY_CA),
    "no CA": ("{own}", "ca_bundle = /none #", "No such file", BY_CA),
}


@pytest.mark.parametrize("what", CLOSED)
def test_where_it_is_closed_nothing_is_asked_and_what_helps_is_said(
    what: str,
    network: Network,
    make: Make,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No request comes through, and no password is shown."""
    proxy, bundle, words, helps = CLOSED[what]
    own = {"own": network.proxy, "port": network.port, "who": WHO}
    monkeypatch.setenv("HTTPS_PROXY", proxy.format_map(own))
    if bundle:
        config = person.home / ".aws" / "config"
        config.write_text(config.read_text().replace("ca_bundle", bundle))
    with pytest.raises(ToolError) as caught:
        make().identified()
    assert words in str(caught.value)
    assert helps in caught.value.hint
    assert PASSWORD not in f"{caught.value} {caught.value.hint}"
    assert not network.agents
