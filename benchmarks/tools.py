"""packer and pulumi under the kit beside the same calls by hand, interleaved.

    python benchmarks/tools.py [--runs 3] [packer|pulumi]

On a rehearsal of its own, which is taken down at the end. packer: the image of
examples/hello, by `olrunbook run image_build` and by `packer build` with the same
arguments, environment and folder; the tool's time each. pulumi: the roll of an image,
by `olrunbook run deploy` and by a plain script that calls `preview` and `up` of the
Automation API on the same stack; from the call to its return each. What both need
before (Python, the imports of the SDK) is apart. Medians; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from olrunbook.adapters.context import Commit, Context
from olrunbook.adapters.packer import build_arguments
from olrunbook.adapters.pulumi.settings import prepare
from olrunbook.processes.tool import Command
from olrunbook.project.catalog import find_project
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.images.packer import packer_of, variables_of
from olrunbook.steps.images.workspace import workspace
from olrunbook.targets import load_target
from olrunbook.workers.pulumi.program import HEAVY

GOAL = 1.10
APP, NODE, STAGE = "hello", "web", "CI"
PROJECT = Path(__file__).resolve().parents[1] / "examples" / "hello"
OLRUNBOOK = str(Path(sys.executable).parent / "olrunbook")
POLL_S = 0.02
WAIT_S = 300.0
# What a person writes who has Pulumi's CLI and the SDK, and nothing of ours.
BY_HAND = """
import sys, time
start = time.monotonic()
import importlib, json, os, runpy
import pulumi.automation as auto
for name in HEAVY:
    importlib.import_module(f"pulumi_aws.{name}")
folder, project, stack_name, provider = sys.argv[1:]
def program():
    os.chdir(folder)
    sys.path.insert(0, folder)
    runpy.run_path("__main__.py", run_name="__main__")
options = auto.LocalWorkspaceOptions(work_dir=folder, secrets_provider=provider)
times = [time.monotonic()]
stack = auto.create_or_select_stack(
    stack_name=stack_name, project_name=project, program=program, opts=options)
times.append(time.monotonic())
stack.preview(refresh=True, on_output=print)
times.append(time.monotonic())
changed = stack.up(refresh=True, on_output=print).summary.resource_changes
times.append(time.monotonic())
parts = [end - begin for begin, end in zip([start, *times], times)]
keys = ("import", "open", "preview", "up")
print(json.dumps({"changed": changed, **dict(zip(keys, parts))}))
"""
Times = dict[str, list[float]]


class Bench:
    """A rehearsal of its own, and what is run in it both ways."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ["OLRUNBOOK_STATE"] = str(folder / "state")
        os.environ["OLRUNBOOK_ARCHIVE"] = str(folder / "outputs")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # tools would start slower
        self.project = find_project(PROJECT)
        self.number = 0

    def kit(self, *words: str) -> float:
        """Run `olrunbook …` to its good end and return how long it took."""
        argv = [OLRUNBOOK, "--project", str(PROJECT), *words]
        return seconds(argv, PROJECT, os.environ)

    def context(self) -> Context:
        """Return a run's surroundings, to make what its tools get."""
        self.number += 1
        folder = self.folder / f"by-hand-{self.number}"
        (folder / "logs").mkdir(parents=True)
        return Context(
            project=self.project,
            place=load_target("rehearsal", self.project),
            app_name=APP,
            app=self.project.catalog.app(APP),
            stage=STAGE,
            run_id=folder.name,
            commit=Commit("0" * 40),
            logs=folder / "logs",
            work=folder / "work",
            redactor=Redactor(new_key()),
        )

    def newest(self, notebook: str) -> Path:
        """Return the directory of the newest run of a notebook."""
        found = self.folder.glob(f"outputs/*/*/*/*_{notebook}_*")
        return max(found, key=lambda path: path.stat().st_mtime)

    def bake(self, times: Times) -> str:
        """Bake the image by the kit; return its id."""
        whole = self.kit("run", "image_build", "--app", APP)
        record = json.loads((self.newest("image_build") / "run.json").read_text())
        (step,) = [step for step in record["steps"] if step["name"] == "build"]
        (built,) = step["result"]["builds"]
        times.setdefault("build", []).append(built["seconds"])
        times.setdefault("(whole command)", []).append(whole)
        return str(built["ami"])

    def bake_by_hand(self, times: Times) -> None:
        """Bake it with Packer alone, as the kit calls it but for -machine-readable."""
        ctx = self.context()
        place = workspace(ctx)
        packer = packer_of(ctx, place, "packer.log")
        values = variables_of(ctx, place, NODE, {})
        values["packages_file"] = str(ctx.logs / "packages.txt")
        only = ctx.app.image.only
        arguments = build_arguments(str(place.template), only=only, variables=values)
        took = seconds([*packer.program, *arguments], packer.cwd, packer.env)
        times.setdefault("build", []).append(took)

    def roll(self, image: str, times: Times) -> None:
        """Deploy an image by the kit; its worker's log says when what began."""
        self.settle()
        words = ("run", "deploy", "--app", APP, "--stage", STAGE)
        with self.followed() as seen:
            whole = self.kit(*words, "--images", f"{NODE}={image}")
        begun = {"preview": "previewing", "up": "updating"}
        opened = 0.0
        for step, word in begun.items():
            at = seen[step]
            times.setdefault("import", []).append(at["opening"] - at["starting"])
            opened += at[word] - at["opening"]
            times.setdefault(step, []).append(at["result"] - at[word])
        times.setdefault("open", []).append(opened)
        times.setdefault("(whole command)", []).append(whole)

    def roll_by_hand(self, image: str, times: Times) -> None:
        """Deploy an image by the Automation API alone, on the same stack."""
        self.settle()
        ctx = self.context()
        made = prepare(ctx, {NODE: image})
        script = made.root / "by_hand.py"
        script.write_text(f"HEAVY = {HEAVY!r}\n{BY_HAND}")
        command = Command(
            "pulumi",
            [
                *(sys.executable, "-P", str(script), str(made.folder)),
                *(made.project, made.stack, made.secrets_provider),
            ],
            cwd=made.folder,
            env=ctx.target.environment(),
            log=ctx.logs / "by-hand.log",
        )
        said = output(list(command.argv), command.cwd, command.env)
        found = json.loads(said.splitlines()[-1])
        assert found.pop("changed").get("update"), "nothing was rolled"
        for name, took in found.items():
            times.setdefault(name, []).append(took)

    def second(self, image: str) -> str:
        """Return a copy of an image: another one to roll to."""
        ec2 = load_target("rehearsal", self.project).client("ec2")
        made = ec2.copy_image(
            SourceImageId=image, SourceRegion="us-east-1", Name=f"{APP}-{NODE}-second"
        )
        return made["ImageId"]

    def settle(self) -> None:
        """Wait until no refresh is on its way and each group is whole."""
        client = load_target("rehearsal", self.project).client("autoscaling")
        end = time.monotonic() + WAIT_S
        busy = True
        while busy:
            assert time.monotonic() < end, "the group does not come to rest"
            groups = client.describe_auto_scaling_groups()["AutoScalingGroups"]
            busy = not all(_at_rest(client, group) for group in groups)
            time.sleep(1)

    @contextmanager
    def followed(self) -> Iterator[dict[str, dict[str, float]]]:
        """Note when the worker of the run that is to begin says what."""
        old = set(self.folder.glob("outputs/*/*/*/*_deploy_*"))
        seen: dict[str, dict[str, float]] = {"preview": {}, "up": {}}
        over = threading.Event()

        def follow() -> None:
            while not over.wait(POLL_S):
                for folder in {*self.folder.glob("outputs/*/*/*/*_deploy_*")} - old:
                    for step, at in seen.items():
                        log = folder / "logs" / f"pulumi-{step}.log"
                        _note(log.read_text() if log.exists() else "", at)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield seen
        finally:
            over.wait(3 * POLL_S)
            over.set()
            thread.join()


def _note(text: str, at: dict[str, float]) -> None:
    """Note the time of each sign in a worker's log that was not there before."""
    for line in text.splitlines():
        word = "result" if line.startswith('{"result"') else ""
        if line.startswith('{"event": "phase"'):
            with suppress(ValueError):  # half of a line
                word = json.loads(line)["text"].partition(" ")[0]
        if word and word not in at:
            at[word] = time.monotonic()


def _at_rest(client: Any, group: Mapping[str, Any]) -> bool:
    """Whether a group has what it wants, in service, and no refresh is open."""
    name = group["AutoScalingGroupName"]
    found = client.describe_instance_refreshes(AutoScalingGroupName=name)
    last = found["InstanceRefreshes"][:1]
    states = [one["LifecycleState"] for one in group["Instances"]]
    whole = states == ["InService"] * group["DesiredCapacity"]
    ended = ("Successful", "Failed", "Cancelled")
    return whole and all(one["Status"] in ended for one in last)


def output(argv: list[str], folder: Path, env: Mapping[str, str]) -> str:
    """Run a command to its good end and return what it said."""
    done = subprocess.run(
        argv,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def seconds(argv: list[str], folder: Path, env: Mapping[str, str]) -> float:
    """Run a command to its good end and return how long it took."""
    began = time.monotonic()
    output(argv, folder, env)
    return time.monotonic() - began


def compare(case: str, kit: Times, hand: Times) -> None:
    """Print the medians of both ways; what has a goal, with its ratio."""
    samples = len(next(iter(hand.values())))
    print(f"{case}: medians of {samples}; goal {GOAL:.2f} of by hand")
    for name, values in kit.items():
        ours = f"{statistics.median(values):6.2f} s ({_spread(values)})"
        line = f"  {name:<22} kit {ours}"
        if other := hand.get(name):
            line += f"   by hand {statistics.median(other):6.2f} s ({_spread(other)})"
            ratio = statistics.median(values) / statistics.median(other)
            line += "" if name in ("import", "open") else f"   ratio {ratio:.2f}"
        print(line)


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f}-{max(values):.2f}"


def packer(bench: Bench, runs: int) -> None:
    """Bake by turns, each first in every second round."""
    kit: Times = {}
    hand: Times = {}
    for number in range(runs):
        ways = [lambda: bench.bake(kit), lambda: bench.bake_by_hand(hand)]
        for way in ways if number % 2 == 0 else ways[::-1]:
            way()
    compare("packer", kit, hand)


def pulumi(bench: Bench, runs: int) -> None:
    """Roll to and fro between two images, by turns."""
    kit: Times = {}
    hand: Times = {}
    first = bench.bake({})
    images = [first, bench.second(first)]
    bench.roll(first, {})  # makes the stack
    bench.roll_by_hand(images[1], {})
    for _ in range(runs):
        bench.roll(images[0], kit)
        bench.roll_by_hand(images[1], hand)
    for times in (kit, hand):
        parts = zip(*(times[n] for n in ("open", "preview", "up")), strict=True)
        times["open, preview and up"] = [sum(part) for part in parts]
    compare("pulumi", kit, hand)


def main() -> None:
    """Measure the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("cases", nargs="*", choices=[[], "packer", "pulumi"])
    options = parser.parse_args()
    del sys.path[0]  # html.py beside this file is not the library's html
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tools-") as name:
        bench = Bench(Path(name))
        try:
            bench.kit("rehearsal", "up")
            for case in options.cases or ("packer", "pulumi"):
                {"packer": packer, "pulumi": pulumi}[case](bench, options.runs)
        finally:
            bench.kit("rehearsal", "down", "--images")


if __name__ == "__main__":
    main()
