"""Real engine, real SDKs, the cloud of records: create, same, image roll, drift."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from olrunbook.adapters.aws.answers import AwsError
from olrunbook.adapters.pulumi import settings
from olrunbook.adapters.pulumi import stack as pulumi
from olrunbook.adapters.pulumi.found import Found
from olrunbook.adapters.pulumi.secrets import secret_config
from olrunbook.errors import RefusedError, UsageError
from olrunbook.project.tools import Tools
from olrunbook.record.files import short
from olrunbook.rehearsal.providers.clients import HttpClient
from olrunbook.steps.deploy import update as deploy
from tests.pulumi.conftest import ROOT, Deploys

pytestmark = pytest.mark.rehearsal

ROLL = {
    "aws:ec2/launchTemplate:LaunchTemplate": ["imageId"],
    "aws:autoscaling/group:Group": ["tags.ami_id"],
    "vault:aws/authBackendRole:AuthBackendRole": ["boundAmiIds[0]"],
}


def group_of(deploys: Deploys) -> dict[str, Any]:
    """Return the CI group."""
    wanted = [{"Name": "tag:Name", "Values": ["tika-server-tika-ci"]}]
    found = deploys.account.asg.describe_auto_scaling_groups(Filters=wanted)
    (group,) = found["AutoScalingGroups"]
    return dict(group)


def refreshes(deploys: Deploys) -> list[dict[str, Any]]:
    """Return the refreshes of the CI group."""
    name = group_of(deploys)["AutoScalingGroupName"]
    found = deploys.account.asg.describe_instance_refreshes(AutoScalingGroupName=name)
    return list(found["InstanceRefreshes"])


def state_objects(deploys: Deploys) -> str:
    """Return every object of the state bucket as one text."""
    s3 = deploys.account.client("s3")
    listed = s3.list_objects_v2(Bucket="mitol-pulumi-state")
    keys = [item["Key"] for item in listed["Contents"]]
    bodies = [s3.get_object(Bucket="mitol-pulumi-state", Key=key) for key in keys]
    return "\n".join(body["Body"].read().decode() for body in bodies)


def test_two_runs_that_preview_the_same_have_the_same_digest(deploys: Deploys) -> None:
    """Also of a stack that is not there yet, though Pulumi makes up other names."""
    images = {"server": deploys.images[0]}
    one, two = (deploy.preview(deploys.run(), images) for _ in range(2))
    assert one.counts == {"create": 17}
    assert one.parts == two.parts
    assert one.digest == two.digest
    other = deploy.preview(deploys.run(), {"server": deploys.images[1]})
    names = {n for n in one.parts if one.parts[n] != other.parts[n]}
    assert names == {"images", "changes", "outlook"}


def test_the_first_deploy_creates_seventeen_resources_and_its_preview_none(
    deploys: Deploys,
) -> None:
    """A preview makes nothing; the update makes what was shown, on the pinned image."""
    run, images = deploys.run(), {"server": deploys.images[0]}

    plan = deploy.preview(run, images)

    assert plan.counts == {"create": 17}
    assert plan.apart == []
    assert plan.version == 0
    assert plan.groups[0].name == ""
    assert deploys.account.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []

    done = deploy.up(run, plan)

    assert done.counts == {"create": 17}
    assert done.version == 1
    assert done.before[0].name == ""
    assert [one.image for one in done.groups[0].instances] == [deploys.images[0]]
    assert done.outputs["image_id"] == deploys.images[0]
    assert done.url == f"https://{done.outputs['load_balancer_dns_name']}"
    assert done.headline() == "17 created"
    assert done.by_hand == (
        f"pulumi up --refresh --yes -c tika:image_id={deploys.images[0]} "
        "-s applications.tika.CI -C stacks/tika"
    )


def test_the_same_image_again_changes_nothing_and_starts_no_refresh(
    deploys: Deploys, texts_below: Callable[[Path], str]
) -> None:
    """Everything is `same`, by the engine's counts; the checkout is never written."""
    run, stacks = deploys.run(), ROOT / "stacks"
    before = {path: path.stat().st_mtime_ns for path in stacks.rglob("*")}

    plan = deploy.preview(run, {"server": deploys.images[0]})
    done = deploy.up(run, plan)

    assert plan.counts == done.counts == {"same": 17}
    assert plan.changes == done.changes == []
    assert plan.outlook[0].startswith("Nothing to do")
    assert "was not built here" in plan.outlook[1]
    assert refreshes(deploys) == []
    assert {path: path.stat().st_mtime_ns for path in stacks.rglob("*")} == before
    assert "secure:" not in texts_below(stacks)


def test_what_was_done_is_told_though_aws_is_in_trouble_then(
    deploys: Deploys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update has ended: what it has changed is looked at again and again."""
    run, real = deploys.run(), pulumi.up

    def then(*given: Any) -> Found:
        found = real(*given)
        deploys.account.trouble("AccessDenied", 2)
        return found

    monkeypatch.setattr(pulumi, "up", then)
    done = deploy.up(run, deploy.preview(run, {"server": deploys.images[0]}))
    assert done.counts == {"same": 17}
    assert any("AWS refused" in event.text for event in deploys.events)
    assert any("AWS answers again" in event.text for event in deploys.events)


def test_an_update_that_cannot_be_looked_at_says_how_it_goes_on(
    deploys: Deploys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No rollout is named: that would watch the deploy before this one."""
    real, slept = pulumi.up, [0.0]
    times = {"clock": lambda: datetime.now(UTC) + timedelta(seconds=sum(slept))}
    run = replace(deploys.run(), sleep=lambda _: slept.append(20.0), **times)

    def then(*given: Any) -> Found:
        found = real(*given)
        deploys.account.trouble("AccessDenied", 600)
        return found

    monkeypatch.setattr(pulumi, "up", then)
    plan = deploy.preview(run, {"server": deploys.images[0]})
    try:
        with pytest.raises(AwsError) as caught:
            deploy.up(run, plan)
    finally:
        deploys.account.trouble("AccessDenied", 0)
    iam, _, again = caught.value.hint.partition(". ")
    assert iam.endswith("olrunbook iam APP")
    assert again.endswith(f"Go on with it: olrunbook resume {short(run.run_id)}")


def test_an_image_roll_changes_template_tag_and_bound_image_and_nothing_else(
    deploys: Deploys,
) -> None:
    """Three updates, old and new image in each; the tag starts exactly one refresh."""
    run = deploys.run()
    old, new = deploys.images

    first = deploy.preview(deploys.run(), {"server": new})
    plan = deploy.preview(run, {"server": new})
    done = deploy.up(run, plan)

    assert first.digest == plan.digest
    assert plan.counts == done.counts == {"update": 3, "same": 14}
    for found in (plan.changes, done.changes):
        assert {c.type: [p.path for p in c.changes] for c in found} == ROLL
        assert {(p.old, p.new) for c in found for p in c.changes} == {(old, new)}
    assert plan.apart == []
    assert "An outage: the only instance goes before the new one" in plan.outlook[0]
    assert any("AWS's own rollback is not available" in line for line in plan.outlook)
    assert done.before[0].refresh_ids == []
    (refresh,) = refreshes(deploys)
    assert done.groups[0].refresh_ids == [refresh["InstanceRefreshId"]]
    assert refresh["Preferences"]["MinHealthyPercentage"] == 50
    assert refresh["Preferences"]["InstanceWarmup"] == 0
    assert "MaxHealthyPercentage" not in refresh["Preferences"]
    assert bound_images(deploys) == [new]


def vault(deploys: Deploys, stage: str) -> HttpClient:
    """Return a client of a stage's Vault."""
    env = deploys.target.env
    address = f"{env['VAULT_ADDR']}/{stage}"
    return HttpClient(address, "X-Vault-Token", env["VAULT_TOKEN"])


def bound_images(deploys: Deploys) -> list[str]:
    """Return the images Vault's role for CI is bound to."""
    found = vault(deploys, "ci")("GET", "auth/aws/role/tika-server")
    return list(found["data"]["bound_ami_id"])


def test_drift_is_seen_shown_apart_and_repaired(deploys: Deploys) -> None:
    """A size somebody changed by hand is in the preview, and no part of a roll."""
    name = group_of(deploys)["AutoScalingGroupName"]
    deploys.account.asg.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=7)
    run = deploys.run()

    plan = deploy.preview(run, {"server": deploys.images[1]})

    (change,) = plan.changes
    assert [(p.path, p.old, p.new) for p in change.changes] == [("maxSize", "7", "2")]
    assert plan.apart == [change]
    assert "not part of an image roll" in plan.headline()
    before = len(refreshes(deploys))
    deploy.up(run, plan)
    assert group_of(deploys)["MaxSize"] == 2
    assert len(refreshes(deploys)) == before


def test_what_somebody_else_changed_after_the_preview_refuses_the_update(
    deploys: Deploys,
) -> None:
    """The update is held to the state that was previewed."""
    mine, other = deploys.run(), deploys.run()
    plan = deploy.preview(mine, {"server": deploys.images[0]})
    theirs = deploy.preview(other, {"server": deploys.images[0]})
    deploy.up(other, theirs)

    with pytest.raises(RefusedError, match="has changed since the preview"):
        deploy.up(mine, plan)


def test_an_image_that_is_not_there_is_refused_before_pulumi_runs(
    deploys: Deploys,
) -> None:
    """No event, no log: nothing was started."""
    run = deploys.run()

    with pytest.raises(RefusedError, match="is missing, wanted available"):
        deploy.preview(run, {"server": "ami-00000000000000000"})

    assert deploys.events == []
    assert not run.logs.exists()


def test_an_image_set_that_names_no_node_type_is_a_usage_error(
    deploys: Deploys,
) -> None:
    """`newest` is for bare pulumi only."""
    with pytest.raises(UsageError, match="needs server"):
        deploy.preview(deploys.run(), {})


def test_a_replacement_of_the_group_is_denied(
    deploys: Deploys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What serves may not go without a person's word: `up` refuses such a preview."""
    run = deploys.run()
    prepare = settings.prepare

    def renamed(*args: Any) -> Any:
        prepared = prepare(*args)
        program = prepared.folder / "__main__.py"
        text = program.read_text()
        for old, new in {
            'APP = "tika-server"': 'APP = "tika-other"',
            'f"{APP}-*"': '"tika-server-*"',
        }.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        program.write_text(text)
        return prepared

    monkeypatch.setattr(deploy, "prepare", renamed)
    plan = deploy.preview(run, {"server": deploys.images[0]})
    assert {finding.rule for finding in plan.denied} == {"serving-goes"}
    assert any("loadBalancer" in finding.text for finding in plan.denied)


def test_secrets_are_nowhere_in_clear(
    deploys: Deploys, texts_below: Callable[[Path], str]
) -> None:
    """Not in state, settings, events, results, nor in the logs of any run before."""
    run = deploys.run()
    token = secret_config(run, "tika:access_token").get_secret_value()
    plan = deploy.preview(run, {"server": deploys.images[0]})

    assert len(token) >= 32
    user_data = [value for value in run.redactor.values if len(value) > 200]
    assert len(user_data) == 1
    seen = {
        "state": state_objects(deploys),
        "runs": texts_below(deploys.folder),
        "settings": texts_below(deploys.target.state / "stacks"),
        "events": repr(deploys.events),
        "results": plan.model_dump_json(),
    }
    assert {name for name, text in seen.items() if token in text} == set()
    assert {name for name, text in seen.items() if user_data[0] in text} == set()
    assert "secure: v1:" in seen["settings"]


def test_behind_a_prefix_pulumi_is_what_the_prefix_finds(deploys: Deploys) -> None:
    """Every call of it, and its version; our own PATH need not have one."""
    run = deploys.run()
    path = [*deploys.target.path, str(Path(sys.executable).parent), os.environ["PATH"]]
    prefix = ["env", f"PATH={':'.join(path)}"]
    tools = Tools.model_validate({"pulumi": {"prefix": prefix}})
    place = deploys.target.model_copy(update={"path": []})
    app = run.app.model_copy(update={"tools": tools})
    run = replace(run, place=place, app=app)

    assert deploy.preview(run, {"server": deploys.images[0]}).counts
    assert secret_config(run, "tika:access_token")


def test_a_changed_secret_is_a_change_of_its_mask(deploys: Deploys) -> None:
    """Another token changes the template's user data, and is never in clear."""
    run, images = deploys.run(), {"server": deploys.images[0]}
    prepared = settings.prepare(run, images)
    file, stack = prepared.settings, ["--stack", prepared.stack]
    subprocess.run(
        ["pulumi", "config", "set", "--secret", "tika:access_token", *stack],
        cwd=prepared.folder,
        env=deploys.target.environment(),
        input="another-token-of-the-stage",
        text=True,
        check=True,
        capture_output=True,
    )
    assert "another-token" not in file.read_text()

    found = pulumi.preview(run, prepared)

    (change,) = found.changes
    (path,) = change.changes
    assert path["path"] == "userData"
    assert path["old"].startswith("[masked:")
    assert path["new"].startswith("[masked:")
    assert path["old"] != path["new"]
    again = pulumi.preview(other := deploys.run(), settings.prepare(other, images))
    assert again.changes[0].inputs == change.inputs
    assert again.changes[0].changes != found.changes[0].changes  # masks of a run
    assert "another-token" not in json.dumps([e.data for e in deploys.events])


def test_stages_have_secrets_and_a_vault_of_their_own(deploys: Deploys) -> None:
    """QA's token is not CI's, and its Vault has nothing of CI's."""
    plan = deploy.preview(deploys.run("QA"), {"server": deploys.images[1]})

    tokens = {
        stage: secret_config(deploys.run(stage), "tika:access_token")
        for stage in ("CI", "QA")
    }
    assert plan.counts == {"create": 17}
    assert tokens["CI"] != tokens["QA"]
    assert vault(deploys, "qa")("GET", "auth/aws/role/tika-server") is None
