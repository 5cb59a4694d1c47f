"""The process that keeps providers ready, and the plugins that ask it for them."""

from __future__ import annotations

import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from olrunbook.rehearsal import providers
from olrunbook.rehearsal.providers import host, serve
from olrunbook.rehearsal.providers.wire import struct
from tests.rehearsal.support import Account

EMPTY = empty_pb2.Empty()
STAYS_S = serve.GRACE_S / 2  # before its server would cut it


@contextmanager
def engine(
    home: Path, name: str, env: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """Start a plugin as an engine does; yield its process and its provider."""
    (program,) = home.glob(f"plugins/*/pulumi-resource-{name}")
    with subprocess.Popen(
        [program, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True, env=env or {}
    ) as plugin:
        assert plugin.stdout
        try:
            address = f"127.0.0.1:{int(plugin.stdout.readline())}"
            with grpc.insecure_channel(address) as channel:
                yield plugin, provider_pb2_grpc.ResourceProviderStub(channel)
        finally:
            plugin.kill()


@pytest.fixture
def waits(
    records: Account, eventually: Callable[..., Any]
) -> Iterator[provider_pb2.UpdateRequest]:
    """Return an update of a group that waits while its one instance is in standby."""
    name = records.name("waits")
    template = records.ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "ImageId": records.base_image(),
            "InstanceType": "t3a.medium",
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    (zone, *_) = records.subnets()
    records.asg.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        VPCZoneIdentifier=zone,
    )
    eventually(
        lambda: records.group(name)["Instances"][0]["LifecycleState"] == "InService"
    )
    records.asg.enter_standby(
        AutoScalingGroupName=name,
        InstanceIds=records.members(name),
        ShouldDecrementDesiredCapacity=True,
    )
    old = {
        "name": name,
        "minSize": 0,
        "maxSize": 1,
        "launchTemplate": {"id": template, "version": "$Latest"},
        "vpcZoneIdentifiers": [zone],
    }
    yield provider_pb2.UpdateRequest(
        id=name,
        urn="urn:pulumi:CI::p::aws:autoscaling/group:Group::group",
        olds=struct(old),
        old_inputs=struct(old),
        news=struct({**old, "minSize": 1}),
    )
    records.asg.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)


def test_two_engines_have_states_of_their_own(
    records: Account,
    waits: provider_pb2.UpdateRequest,
    eventually: Callable[..., Any],
) -> None:
    """One's Configure and Cancel are not the other's; an end waits for calls."""
    env = records.target.environment()
    home = Path(env["PULUMI_HOME"])
    configured = provider_pb2.ConfigureRequest(args=struct({"region": "us-east-1"}))
    with (
        ThreadPoolExecutor() as pool,
        engine(home, "aws", env) as (_, one),
        engine(home, "aws", env) as (plugin, other),
    ):
        one.Configure(configured)
        with pytest.raises(grpc.RpcError, match="not configured yet"):
            other.Update(waits)
        other.Configure(configured)
        stays = pool.submit(other.Update, waits)
        eventually(lambda: records.group(waits.id)["MinSize"] == 1)
        ends = pool.submit(one.Update, waits)
        one.Cancel(EMPTY)
        ends.result(60)
        plugin.send_signal(signal.SIGTERM)
        eventually(lambda: not answers(other))
        assert not stays.done()
        assert plugin.poll() is None
        records.asg.exit_standby(
            AutoScalingGroupName=waits.id, InstanceIds=records.members(waits.id)
        )
        done, _ = wait([stays], STAYS_S)
        assert done, f"the update waits with {records.group(waits.id)}"
        stays.result()
        assert plugin.wait(60) == 0
        assert answers(one)


def answers(stub: Any) -> bool:
    """Whether a provider takes calls."""
    try:
        return bool(stub.GetPluginInfo(EMPTY).version)
    except grpc.RpcError:
        return False


def test_a_plugin_without_a_host_is_the_provider_itself(tmp_path: Path) -> None:
    """As when the host has died: a deploy takes longer, and that is all."""
    providers.install(tmp_path, tmp_path / "nobody.socket")

    with engine(tmp_path, "consul") as (plugin, stub):
        assert stub.GetPluginInfo(EMPTY).version == providers.plugin_version("consul")
        assert "olrunbook.rehearsal.providers" in psutil.Process(plugin.pid).cmdline()
        plugin.terminate()
        assert plugin.wait(60) == 0


def test_a_plugin_ends_with_its_host(tmp_path: Path) -> None:
    """Its engine sees a plugin that died. The length of the path is no matter."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    file = folder / "host.socket"
    providers.install(tmp_path, file)
    with host.start(file) as process, engine(tmp_path, "vault") as (plugin, stub):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert answers(stub)
        assert not psutil.Process(process.pid).children()
        process.kill()
        assert plugin.wait(60) == 1
        assert not answers(stub)


def test_the_host_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Also when that was killed: its end of the pipe closes."""
    with host.start(tmp_path / "host.socket") as process:
        assert process.stdin
        process.stdin.close()
        assert process.wait(60) == 0
