"""The rules of a build: exactly one available image, or a failure that says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from olrunbook.errors import StepError, ToolError, UsageError
from olrunbook.project.tools import Tools
from olrunbook.steps.images.build import build, validate
from olrunbook.steps.images.watch import Watch, leftovers
from olrunbook.steps.images.workspace import parse_variables
from tests.images.conftest import DATA

AMI = "ami-505533bcdcc73e857"
IMAGE = {
    "ImageId": AMI,
    "Name": "tika-server-20261124040310",
    "State": "available",
    "Tags": [{"Key": "app", "Value": "tika"}],
}
GOOD = f"cat {DATA}/packer-good.log"


@pytest.fixture
def packer(act, cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes Packer's build do what a script does."""
    from olrunbook.steps.images import build as image_build  # noqa: PLC0415

    monkeypatch.setattr(image_build, "artifacts_of", lambda *_: [])
    log = tmp_path / "packer.log"

    def make(script: str, code: int = 0, other: int = 0) -> Path:
        act(
            "packer",
            f"""
            printf '%s ' "$@" >> {log}; echo >> {log}
            case $1 in
            build) {script}; exit {code} ;;
            version) echo 'Packer v1.15.4'; exit 0 ;;
            esac
            echo "$1 said this"; exit {other}
            """,
        )
        return log

    return make


def test_a_good_build_gives_an_image_set(packer, context, nocloud) -> None:
    """The image is checked in the account; what it was made of is in the result."""
    log = packer(GOOD)
    nocloud.answers["describe_images"] = {"Images": [IMAGE]}
    ctx = context(place=nocloud)
    result = build(ctx, variables={"marker": "one"})
    assert result.images == {"server": AMI}
    assert result.headline() == f"server={AMI}  tika-server-20261124040310"
    built = result.builds[0]
    assert (built.name, built.base_ami) == (IMAGE["Name"], "ami-0deb12amd64local0")
    assert built.phases[3].name == "provisioning"
    assert len(built.operations) == 9
    assert built.by_hand.startswith(
        "packer build -only=amazon-ebs.tika -var node_type="
    )
    assert "marker=one" in built.by_hand
    assert "run_id" not in built.by_hand
    called = log.read_text()
    assert "build -machine-readable -only=amazon-ebs.tika" in called
    assert f"-var run_id={ctx.run_id}" in called
    assert "-var commit=c0ffee" in called


@pytest.fixture
def two(context, nocloud, hello) -> Any:
    """Return a context of an app with the node types web and worker."""
    nocloud.answers["describe_images"] = {"Images": [IMAGE]}
    ctx = context("hello", place=nocloud, project=hello)
    types = ["web", "worker"]
    return replace(ctx, app=ctx.app.model_copy(update={"node_types": types}))


# What a build of web, and one of worker, does: each begins only when both are there.
MEET = (
    'case "$*" in *=web*) one=web; other=worker ;; *) one=worker; other=web ;; esac; '
    "touch $0.$one; while [ ! -e $0.$other ]; do sleep 0.05; done"
)


def test_node_types_are_baked_side_by_side_each_with_its_log(packer, two, told) -> None:
    """Two Packers at once; what they say is told apart; one image set at the end."""
    packer(f"{MEET}; {GOOD}")
    result = build(two)
    assert result.images == {"web": AMI, "worker": AMI}
    assert [len(one.operations) for one in result.builds] == [9, 9]
    for node in ("web", "worker"):
        assert f"node_type={node}" in (two.logs / f"packer-{node}.log").read_text()
    rows = {event.data["name"] for event in told if event.kind == "operation"}
    assert len(rows) == 18
    assert all(row.startswith(("web: ", "worker: ")) for row in rows)


def test_one_that_fails_lets_the_other_come_to_its_end(packer, two) -> None:
    """The record says what of it was built, why the rest failed, and what to do."""
    empty: dict[str, Any] = {"Reservations": [], "KeyPairs": [], "SecurityGroups": []}
    for call in ("instances", "key_pairs", "security_groups"):
        two.target.answers[f"describe_{call}"] = empty
    slow = f"if [ $one = worker ]; then cat {DATA}/packer-failed.log; exit 1; fi"
    packer(f"{MEET}; {slow}; sleep 0.5; {GOOD}")
    with pytest.raises(ToolError) as caught:
        build(two)
    first, why = str(caught.value).split("\n", 1)
    assert first == "web built, worker failed"
    assert why.startswith("worker: packer build of hello ended with code 1")
    assert "Unrecognized VM option" in why
    assert f"web={AMI} stays in the account" in caught.value.hint
    assert "-p node_type worker" in caught.value.hint
    assert caught.value.code == 1


def test_when_all_fail_each_says_why(packer, two) -> None:
    """Nothing was built, and the logs are named."""
    packer("echo '1,,error,no disk'", code=2)
    with pytest.raises(ToolError, match="web failed, worker failed") as caught:
        build(two)
    assert str(caught.value).count("no disk") == 2
    assert "logs/packer-worker.log" in caught.value.hint


def test_run_id_and_commit_are_put_on_an_image_that_lacks_them(
    packer, context, nocloud
) -> None:
    """A template that knows nothing of olrunbook makes an image that names its run."""
    packer(GOOD)
    nocloud.answers["describe_images"] = {"Images": [IMAGE]}
    result = build(context(place=nocloud))
    [(_, tagged)] = [call for call in nocloud.calls if call[0] == "create_tags"]
    assert tagged["Resources"] == [AMI]
    assert {tag["Key"] for tag in tagged["Tags"]} == {"run_id", "commit"}
    assert result.builds[0].tags["commit"] == "c0ffee"


def test_code_zero_without_an_image_is_a_failure(packer, context, nocloud) -> None:
    """Packer ends with 0 when `only` names nothing: that built nothing."""
    packer("echo '1,,ui,say,Builds finished but no artifacts were created.'")
    with pytest.raises(StepError, match="named 0 images of tika: none") as caught:
        build(context(place=nocloud))
    assert "only" in caught.value.hint


def test_two_images_are_a_failure_the_same_twice_is_one(
    packer, context, nocloud
) -> None:
    """A manifest names its image a second time; two distinct ones are too many."""
    line = "1,amazon-ebs.x,artifact,0,id,us-east-1:"
    nocloud.answers["describe_images"] = {"Images": [IMAGE]}
    packer(f"echo '{line}{AMI}'; echo '{line}{AMI}'")
    assert build(context(place=nocloud)).images == {"server": AMI}
    packer(f"echo '{line}{AMI}'; echo '{line}ami-00000000'")
    with pytest.raises(StepError, match="named 2 images"):
        build(context(place=nocloud))


@pytest.mark.parametrize(
    ("images", "words"),
    [([], "no such image"), ([{**IMAGE, "State": "pending"}], "is pending, wanted")],
)
def test_an_image_must_exist_and_be_available(
    packer, context, nocloud, images, words
) -> None:
    """What Packer says is not believed before the account says it too."""
    packer(GOOD)
    nocloud.answers["describe_images"] = {"Images": images}
    with pytest.raises(StepError, match=words):
        build(context(place=nocloud))


def test_an_account_that_does_not_answer_fails_the_build(
    packer, context, nocloud, monkeypatch
) -> None:
    """Nobody is shown a traceback of the client's; other builds are still named."""

    class Silent:
        """An account of which nothing answers."""

        def describe_images(self, **_: Any) -> None:
            """Fail as boto3 does."""
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    monkeypatch.setattr(type(nocloud), "client", lambda *_: Silent())
    packer(GOOD)
    with pytest.raises(ToolError, match="AWS does not answer"):
        build(context(place=nocloud))


def test_a_failed_build_says_what_failed_and_what_is_left(
    packer, context, nocloud
) -> None:
    """The failed operation's output, the hint, and what the account still holds."""
    packer(f"cat {DATA}/packer-failed.log", code=1)
    key = "packer_6b050909-e7b1-aa75-2e2a-7dc1573c513f"
    nocloud.answers["describe_key_pairs"] = {"KeyPairs": [{"KeyName": key}]}
    nocloud.answers["describe_security_groups"] = {"SecurityGroups": []}
    nocloud.answers["describe_instances"] = {"Reservations": []}
    with pytest.raises(ToolError) as caught:
        build(context(place=nocloud))
    assert "Unrecognized VM option" in str(caught.value)
    assert caught.value.code == 1
    assert "tika_java_options" in caught.value.hint
    assert f"Left in the account: key pair {key}" in caught.value.hint


def test_an_account_that_does_not_answer_hides_no_failure(
    packer, context, nocloud, monkeypatch
) -> None:
    """What failed is said, and that nobody knows what the build has left."""
    nowhere = boto3.client(
        "ec2",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 0}),
    )
    monkeypatch.setattr(type(nocloud), "client", lambda *_: nowhere)
    packer(f"cat {DATA}/packer-failed.log", code=1)
    with pytest.raises(ToolError, match="Unrecognized VM option") as caught:
        build(context(place=nocloud))
    assert "Left in the account: unknown: AWS does not answer" in caught.value.hint


def test_leftovers_are_what_still_lives() -> None:
    """A terminated instance is nothing that is left."""

    class Account:
        """An account with one instance gone and one running."""

        def describe_instances(self, **_: Any) -> dict[str, Any]:
            """Return two instances."""
            rows = [("i-1", "terminated"), ("i-2", "running")]
            made = [{"InstanceId": i, "State": {"Name": s}} for i, s in rows]
            return {"Reservations": [{"Instances": made}]}

    watch = Watch(made=[("instance", "i-1"), ("instance", "i-2")])
    assert leftovers(Account(), watch) == ["instance i-2 (running)"]


@pytest.mark.parametrize(
    ("on_error", "words"), [("ask", "wait for a key"), ("nonsense", "wanted cleanup")]
)
def test_ask_is_refused_with_a_reason(
    packer, context, nocloud, on_error, words
) -> None:
    """A notebook has no terminal to answer on; nothing is started."""
    log = packer(GOOD)
    with pytest.raises(UsageError, match=words):
        build(context(place=nocloud), on_error=on_error)
    assert not log.exists()


def test_an_unknown_variable_is_refused_before_anything_starts(
    packer, context, nocloud
) -> None:
    """The template declares what it takes; the hint lists it."""
    log = packer(GOOD)
    with pytest.raises(UsageError, match="declares no variable makrer") as caught:
        build(context(place=nocloud), variables={"makrer": "one"})
    assert "marker" in caught.value.hint
    assert not log.exists()


def test_validate_names_each_check_and_the_same_by_hand(
    packer, context, nocloud
) -> None:
    """init, fmt and validate, each with the command a person would type."""
    packer(GOOD)
    result = validate(context(place=nocloud))
    assert [check.name for check in result.checks] == [
        "packer init",
        "packer fmt",
        "packer validate",
    ]
    assert result.headline() == "3 of 3 checks passed (Packer v1.15.4)"
    assert result.by_hand[0].startswith("packer init ")


def test_a_check_that_fails_shows_what_packer_said(packer, context, nocloud) -> None:
    """The failure carries Packer's words."""
    packer(GOOD, other=1)
    with pytest.raises(ToolError, match=r"packer init failed(.|\n)*init said this"):
        validate(context(place=nocloud))


def test_a_missing_packer_is_no_riddle(context, nocloud, monkeypatch, tmp_path) -> None:
    """The hint names the command that finds or builds it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="packer is not on the PATH") as caught:
        validate(context(place=nocloud))
    assert "olrunbook tools" in caught.value.hint


def test_behind_a_prefix_packer_is_what_the_prefix_finds(
    packer, act, context, nocloud, tmp_path
) -> None:
    """The one whose version the preflight has asked, not the one on our own PATH."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    packer(GOOD)
    (tmp_path / "programs" / "packer").rename(theirs / "packer")
    act("packer", "exit 9")
    ctx = context(place=nocloud)
    prefix = ["env", f"PATH={theirs}:/usr/bin:/bin"]
    tools = Tools.model_validate({"packer": {"prefix": prefix}})
    ctx = replace(ctx, app=ctx.app.model_copy(update={"tools": tools}))
    assert validate(ctx).headline() == "3 of 3 checks passed (Packer v1.15.4)"


def test_settings_carry_what_the_default_template_does_not_declare(
    packer, context, nocloud, hello
) -> None:
    """An app's own parameters reach its deploy through the template's map."""
    log = packer(GOOD)
    nocloud.answers["describe_images"] = {"Images": [IMAGE]}
    ctx = context("hello", place=nocloud, project=hello)
    built = build(ctx, variables={"marker": "one"}).builds[0]
    called = log.read_text()
    assert "-var app_name=hello -var node_type=web" in called
    assert f"settings={json.dumps({'marker': 'one'})}" in called
    assert "-var images_folder=images" in built.by_hand


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        (" a = 1 ; b_2=x=y; ", {"a": "1", "b_2": "x=y"}),
        ("options=-Xmx1g -Xms1g", {"options": "-Xmx1g -Xms1g"}),
    ],
)
def test_variables_are_read(text, found) -> None:
    """Name and value at the first equals sign, several by semicolons."""
    assert parse_variables(text) == found


@pytest.mark.parametrize("text", ["a", "1a=2", "a b=1", "a=1;a=2"])
def test_wrong_variables_are_refused(text) -> None:
    """A typo must not become an empty value."""
    with pytest.raises(UsageError, match="variables:"):
        parse_variables(text)
