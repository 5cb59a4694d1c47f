"""What happens in a scenario beside its commands: to cloud, files and processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from olrunbook.adapters.docker.command import docker
from olrunbook.archive import chain
from olrunbook.record.model import RunRecord
from olrunbook.steps.approval.decisions import of_kind
from tests.kernels import Desk as Kernel
from tests.scenarios import scene as kinds
from tests.scenarios.faulty import Faulty
from tests.scenarios.outside import update
from tests.scenarios.scene import Scene, When
from tests.scenarios.support import Desk
from tests.scenarios.world import World, commit, settings, until

CHAINED = ("n", "kind", "at", "prev")  # the chain's own facts of an entry


@dataclass
class Child:
    """A command that runs, and what it has said."""

    process: subprocess.Popen[bytes]
    file: Path

    @property
    def said(self) -> str:
        """What it has said until now."""
        return self.file.read_text(errors="replace")


def works(process: psutil.Process) -> bool:
    """Whether a process has not ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@dataclass
class Acts:
    """What can happen in a scenario; each method is an act of its name.

    Args:
        world: What all share.
        name: Its app.
        scene: The scenario.
        desk: Where commands are typed.

    """

    world: World
    name: str
    scene: Scene
    desk: Desk
    runs: dict[str, RunRecord] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    faulty: Faulty | None = None
    child: Child | None = None
    kernel: Kernel | None = None
    left: list[psutil.Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with the images of all."""
        self.images = dict(self.world.images)

    # -- the cloud -------------------------------------------------------------------

    def groups(self, stage: str, group: str) -> list[dict[str, Any]]:
        """Return the groups of a tag, as AWS has them."""
        tag = f"{self.name}-{group}-{stage.lower()}"
        wanted = [{"Name": "tag:Name", "Values": [tag]}]
        asg = self.world.account.asg
        found = asg.describe_auto_scaling_groups(Filters=wanted)["AutoScalingGroups"]
        return list(found)

    def members(self, stage: str, group: str) -> list[dict[str, Any]]:
        """Return the instances of a group: id, image, whether it is in service."""
        found = [one for g in self.groups(stage, group) for one in g["Instances"]]
        ids = [one["InstanceId"] for one in found]
        wanted = [{"Name": "instance-id", "Values": ids}]
        answer = (
            self.world.account.ec2.describe_instances(Filters=wanted) if ids else {}
        )
        images = {
            one["InstanceId"]: one["ImageId"]
            for reservation in answer.get("Reservations", [])
            for one in reservation["Instances"]
        }
        return [
            {
                "id": one["InstanceId"],
                "image": images.get(one["InstanceId"], ""),
                "serves": one["LifecycleState"] == "InService",
            }
            for one in found
        ]

    def true(self, when: When) -> bool:
        """Whether it is time."""
        if when.said and (not self.child or when.said not in self.child.said):
            return False
        if when.tools_ended and any(map(works, self.left)):
            return False
        if when.image:
            members = self.members(when.stage, when.group)
            wanted = (self.images[when.image], when.serves)
            if wanted not in {(one["image"], one["serves"]) for one in members}:
                return False
        if when.health and when.health not in self.health(when.stage, when.group):
            return False
        if not when.refresh and not when.percent:
            return True
        newest = self.refresh(when.stage, when.group)
        right = when.refresh in ("", newest.get("Status"))
        return right and newest.get("PercentageComplete", 0) >= when.percent

    def refresh(self, stage: str, group: str) -> dict[str, Any]:
        """Return the newest refresh of a group; empty: there is none."""
        for found in self.groups(stage, group):
            call = self.world.account.asg.describe_instance_refreshes
            answer = call(AutoScalingGroupName=found["AutoScalingGroupName"])
            return dict(next(iter(answer["InstanceRefreshes"]), {}))
        return {}

    def health(self, stage: str, group: str) -> set[str]:
        """Return how the targets of a group are."""
        arns = [arn for g in self.groups(stage, group) for arn in g["TargetGroupARNs"]]
        look = self.world.account.elb.describe_target_health
        answers = [look(TargetGroupArn=arn) for arn in arns]
        return {
            one["TargetHealth"]["State"]
            for answer in answers
            for one in answer["TargetHealthDescriptions"]
        }

    def only(self, act: kinds.InGroup) -> str:
        """Return the physical name of the one group an act is about."""
        (group,) = self.groups(act.stage, act.group)
        return str(group["AutoScalingGroupName"])

    def one_of(self, act: kinds.OneInstance) -> str:
        """Return an instance that runs an image."""
        members = self.members(act.stage, act.group)
        image = self.images[act.image]
        ids = [one["id"] for one in members if one["image"] == image]
        assert ids, f"no instance runs {act.image}: {members}"
        return str(ids[0])

    def kill_instance(self, act: kinds.OneInstance) -> None:
        """Terminate an instance."""
        self.world.account.ec2.terminate_instances(InstanceIds=[self.one_of(act)])

    def sicken_instance(self, act: kinds.OneInstance) -> None:
        """Let an instance answer that it is ill from now on."""
        self.world.inside(self.one_of(act), "echo sick >/etc/light/kind")

    def heal_instance(self, act: kinds.OneInstance) -> None:
        """Let an instance answer well from now on."""
        self.world.inside(self.one_of(act), "echo good >/etc/light/kind")

    def start_refresh(self, act: kinds.Refresh) -> None:
        """Start a refresh, as soon as none is at work."""
        self.world.account.asg.start_instance_refresh(
            AutoScalingGroupName=self.only(act),
            Preferences={"MinHealthyPercentage": 50, "InstanceWarmup": 0},
        )

    def cancel_refresh(self, act: kinds.Refresh) -> None:
        """Cancel the refresh that is at work."""
        name = self.only(act)
        self.world.account.asg.cancel_instance_refresh(AutoScalingGroupName=name)

    def resize(self, act: kinds.Resize) -> None:
        """Set the group's largest size."""
        self.world.account.asg.update_auto_scaling_group(
            AutoScalingGroupName=self.only(act), MaxSize=act.most
        )

    def delete_group(self, act: kinds.Resize) -> None:
        """Delete the group with its instances."""
        self.world.account.asg.delete_auto_scaling_group(
            AutoScalingGroupName=self.only(act), ForceDelete=True
        )

    def twin_group(self, act: kinds.Resize) -> None:
        """Make a second group with the same tag `Name`, without instances."""
        (group,) = self.groups(act.stage, act.group)
        tag = f"{self.name}-{act.group}-{act.stage.lower()}"
        self.world.account.asg.create_auto_scaling_group(
            AutoScalingGroupName=f"{tag}-twin",
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=0,
            LaunchTemplate={
                "LaunchTemplateId": group["LaunchTemplate"]["LaunchTemplateId"]
            },
            VPCZoneIdentifier=group["VPCZoneIdentifier"],
            Tags=[{"Key": "Name", "Value": tag, "PropagateAtLaunch": False}],
        )

    def copy_image(self, act: kinds.CopyImage) -> None:
        """Copy an image."""
        made = self.world.account.ec2.copy_image(
            SourceImageId=self.images[act.of],
            SourceRegion="us-east-1",
            Name=f"light-{self.name}-{act.name}",
        )
        self.images[act.name] = made["ImageId"]

    def forget_image(self, act: kinds.ForgetImage) -> None:
        """Deregister an image."""
        self.world.account.ec2.deregister_image(ImageId=self.images[act.image])

    def spoil_image(self, act: kinds.ForgetImage) -> None:
        """Let every instance that boots the image from now on be as another's."""
        other, spoilt = self.images[act.like], self.images[act.image]
        name = self.world.repository
        docker("tag", f"{name}:{other}", f"{name}:{spoilt}")

    # -- files and processes ---------------------------------------------------------

    def write(self, act: kinds.Write) -> None:
        """Write a file of the project, or settings of a stage's stack."""
        if act.stage:
            settings(self.desk.root, self.name, act.stage, self.scene, **act.settings)
        else:
            people = {
                f"{p}_key": self.world.public(p) for p in ("ann", "bob", "mallory")
            }
            text = act.text
            for name, value in people.items():
                text = text.replace(f"{{{name}}}", value)
            file = self.desk.root / act.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        if act.commit:
            commit(self.desk.root)

    def kill_engine(self, act: kinds.KillEngine) -> None:
        """Kill the command that runs, and its kernel; perhaps its tools too."""
        assert self.child
        engine = psutil.Process(self.child.process.pid)
        children = engine.children(recursive=True)
        engine.kill()
        for one in children:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if act.tools or any("kernel" in word for word in one.cmdline()):
                    os.kill(one.pid, signal.SIGKILL)
        self.left = children

    def replay_approval(self, act: kinds.Replay) -> None:
        """Enter the last approval of a run once more, for it or for another."""
        room = self.desk.archive / self.desk.name / self.name / act.stage
        run, other = self.runs[act.of], self.runs[act.to or act.of]
        entries = of_kind(chain.entries(room), "approved")
        mine = [entry for entry in entries if entry["run_id"] == run.run_id][-1]
        facts = {k: v for k, v in mine.items() if k not in CHAINED}
        facts |= {"run_id": other.run_id, "digest": other.gates[-1].digest}
        chain.append(room, "approved", **facts)

    def other_cloud(self, act: kinds.OtherCloud) -> None:
        """Say that the cloud is another one."""
        del act
        self._cloud("cloud-of-somebody")

    def own_cloud(self, act: kinds.OtherCloud) -> None:
        """Say which cloud it is."""
        del act
        self._cloud(self.world.account.target.cloud_id)

    def _cloud(self, cloud_id: str) -> None:
        for name in ("target", "daemon"):
            (file,) = self.desk.state.glob(
                f"{self.name}-????????/rehearsal/{name}.json"
            )
            facts = json.loads(file.read_text())
            file.write_text(json.dumps({**facts, "cloud_id": cloud_id}))

    def pulumi_up(self, act: kinds.Outside) -> None:
        """Update the stack by Pulumi alone, as somebody without the kit does."""
        images = {node: self.images[name] for node, name in act.images.items()}
        update(self.desk, self.name, act.stage, images)

    def kernel_begins(self, act: kinds.HoldLock) -> None:
        """Watch a rollout in a kernel, as JupyterLab does; it holds the app's lock."""
        folder = self.desk.root.with_name(f"{self.name}-ipython")
        more = {"IPYTHONDIR": str(folder), "PYTHONUNBUFFERED": "1"}
        self.kernel = Kernel(self.desk.root, {**self.desk.env, **more})
        begin = f'olrunbook.begin("rollout", app="{self.name}", stage="{act.stage}")'
        assert self.kernel.run(f"import olrunbook\nrun = {begin}") == "ok"
        self.kernel.send(f'run.rollout(images="web={self.images[act.image]}")')
        lock = f"{self.name}-????????/locks/{self.name}.lock"
        held = partial(self.desk.state.glob, lock)
        until(lambda: any(file.read_text() for file in held()), 60, "the kernel's lock")

    def kernel_ends(self, act: kinds.HoldLock) -> None:
        """Shut the kernel down."""
        del act
        assert self.kernel
        self.kernel.manager.interrupt_kernel()
        self.kernel.shut_down()
        self.close()

    def close(self) -> None:
        """End the kernel, if there is one."""
        if self.kernel:
            self.kernel.__exit__(None, None, None)
        self.kernel = None

    def api(self, act: kinds.Api) -> None:
        """Let the API be well or not."""
        assert self.faulty
        was, self.faulty.mood = self.faulty.mood, act.is_
        assert was in {"well", *self.faulty.met}, f"no request met that it was {was}"
