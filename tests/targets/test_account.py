"""A target of kind `aws`: a second rehearsal is used as if it were AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from olrunbook.adapters.aws.reads import Account, as_ourselves
from olrunbook.adapters.before import run_before
from olrunbook.adapters.context import Commit, Context
from olrunbook.cli.tools import _on_a_copy
from olrunbook.errors import RefusedError, ToolError, UsageError
from olrunbook.processes.handout import CHAIN, SOCKET, Chain, handing_out
from olrunbook.processes.tool import Command, Tool
from olrunbook.project.catalog import Project, find_project
from olrunbook.project.tools import Before
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.doctor import permitted
from olrunbook.steps.images.provision import _environment
from olrunbook.targets import Target, account
from tests.account import Person
from tests.targets.conftest import ASKS, ID, REGION, ROLE, Make


def of_project(project: Project, target: Target | None, folder: Path) -> Context:
    """Return a run of a project's first app on a target."""
    name, app = next(iter(project.catalog.apps.items()))
    return Context(
        project=project,
        place=target,
        app_name=name,
        app=app,
        stage="",
        run_id="run",
        commit=Commit(""),
        logs=folder,
        work=folder / "work",
        redactor=Redactor(new_key()),
    )


def with_roles(project: Project) -> Project:
    """Return a project whose catalog has the account, with a role for each stage."""
    text = project.catalog_file.read_text().replace("access_token", "business_unit")
    text += f"""
[targets.prod]
title = "an account"
kind = "aws"
account = "{ID}"
region = "{REGION}"
profile = "base"
role = "arn:aws:iam::{ID}:role/olrunbook-{{stage_lower}}"
"""
    project.catalog_file.write_text(text)
    return find_project(project.root)


class TestWhoWeAre:
    """STS is asked before anything else, and its answer held to the catalog."""

    def test_the_account_answers_as_the_role(self, make: Make) -> None:
        """The profile's role is who we are; the account's alias is known."""
        found = make(identity="arn:aws:sts::*:assumed-role/olrunbook-*/*").identified()
        assert found.identity_arn == f"{ROLE}ann"
        assert found.alias
        assert found.client("ec2").describe_vpcs()["Vpcs"]

    def test_the_role_of_a_stage_is_assumed(self, make: Make) -> None:
        """Each stage has its own; image notebooks that of builds."""
        role = f"arn:aws:iam::{ID}:role/olrunbook-{{stage_lower}}"
        for stage, name in (("QA", "qa"), ("", "build")):
            found = make(stage, profile="base", role=role).identified()
            assert f"assumed-role/olrunbook-{name}/olrunbook-" in found.identity_arn

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            ({"account": "999999999999"}, f"account is {ID}"),
            ({"identity": "arn:aws:iam::*:user/ann"}, "wanted arn:aws:iam::*:user/ann"),
            ({"region": "eu-west-1"}, "region is us-east-1, wanted eu-west-1"),
        ],
    )
    def test_another_is_refused_before_the_first_call(
        self, make: Make, person: Person, other: dict[str, str], words: str
    ) -> None:
        """With both shown: exit code 4, and the service is never called."""
        target = make(**other)
        with pytest.raises(RefusedError) as caught:
            target.client("ec2")
        assert words in str(caught.value)
        assert not [key for key in account._CLIENTS if key[0] == "ec2"]

    def test_a_session_named_after_the_clock_is_the_same(
        self, make: Make, person: Person
    ) -> None:
        """AWS's libraries name it so where the profile names none, anew each time."""
        config = person.home / ".aws" / "config"
        config.write_text(config.read_text().replace("role_session_name = ann\n", ""))
        found = make(identity="*:assumed-role/olrunbook-build/*").identified()
        end = time.monotonic() + 60
        while (now := make().client("sts").get_caller_identity()) and (
            now["Arn"] == found.identity_arn
        ):
            account._CREDENTIALS.clear()
            account._CLIENTS.clear()
            assert time.monotonic() < end
        assert found.wrong(now) == ""
        named = found.model_copy(update={"pattern": found.identity_arn})
        assert "identity is" in named.wrong(now)  # where the catalog names the session
        other = {**now, "Arn": now["Arn"].replace("-build/", "-qa/")}
        assert "identity is" in found.wrong(other)

    def test_renewed_credentials_are_taken_up_at_once(
        self, make: Make, person: Person
    ) -> None:
        """What was given is kept for long; a call that found it expired asks anew."""
        target = make()
        sts = target.client("sts").get_caller_identity
        assert "olrunbook-build" in sts()["Arn"]
        person.write("qa")
        assert "olrunbook-build" in target.client("sts").get_caller_identity()["Arn"]
        target.forget()
        assert "olrunbook-qa" in target.client("sts").get_caller_identity()["Arn"]

    def test_before_each_change_it_is_asked_again(
        self, make: Make, person: Person
    ) -> None:
        """Whoever became another in the midst of a run changes nothing more."""
        person.account.tokens(1)  # so that the profile is soon asked anew
        try:
            target = make().identified()
            ctx: Any = SimpleNamespace(place=target, target=target)
            done: list[int] = []

            def change() -> Any:
                done.append(len(done))

            work = as_ourselves(ctx, change)
            work()
            person.write("qa")
            end = time.monotonic() + 60
            while "olrunbook-qa" not in Account(target).wrong_identity():
                assert time.monotonic() < end
            with pytest.raises(RefusedError) as caught:
                work()
            assert "olrunbook-qa" in str(caught.value)
            assert target.identity_arn in str(caught.value)
            assert len(done) == 1
        finally:
            person.account.tokens(0)

    @pytest.mark.parametrize("profile", ["nobody", ""])
    def test_no_credentials_are_said(self, make: Make, profile: str) -> None:
        """A profile that is not there, or none: what to type is said."""
        with pytest.raises((RefusedError, ToolError)) as caught:
            make(profile=profile).identified()
        assert "profile" in caught.value.hint or "Log in" in caught.value.hint

    def test_what_helps_depends_on_what_is_wrong(
        self, make: Make, person: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody answers, or the role is not given: to log in again helps neither."""
        monkeypatch.setenv("AWS_CONFIG_FILE", str(person.home / "config"))
        config = person.home / ".aws" / "config"

        def hint(code: str) -> str:
            person.account.trouble(code, 60)
            try:
                with pytest.raises(ToolError) as caught:
                    make().identified()
            finally:
                person.account.trouble("", 0)
            return caught.value.hint

        known = config.read_text()
        away = known.replace(person.target.endpoint, "http://127.0.0.1:1")
        config.write_text(f"{away}max_attempts = 1\n")
        assert hint("Throttling").startswith("Nobody answered: look at network")
        config.write_text(known)
        assert hint("AccessDenied").startswith("Who is logged in may not take the role")
        for code in ("ExpiredToken", "InvalidClientTokenId"):
            assert hint(code).startswith("Log in: aws sso login --profile account")
        said = hint("ExpiredToken")
        assert said.endswith("(`variables` in catalog.toml): AWS_CONFIG_FILE")

    def test_the_shell_diverts_our_own_calls_as_little(
        self, make: Make, person: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are made where the shell's variables are, and the catalog names none."""
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        ec2 = make(profile="base").client("ec2")
        assert ec2.meta.endpoint_url == person.target.endpoint
        assert ec2.describe_vpcs()["Vpcs"]

    def test_the_shell_counts_only_where_the_catalog_says_so(
        self, make: Make, person: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keys of the shell divert nothing unless their names are in the catalog."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", person.secrets()[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", person.secrets()[1])
        monkeypatch.setenv("AWS_ENDPOINT_URL", person.target.endpoint)
        with pytest.raises(ToolError):
            make(profile="").identified()
        account._WRITTEN.clear()
        named = ["AWS_ACCESS_*", "AWS_SECRET_*", "AWS_ENDPOINT_URL"]
        found = make(profile="", variables=named)
        assert found.identified().identity_arn == person.target.identity_arn


class TestTools:
    """What a tool gets: a config that asks, and no credential anywhere else."""

    def test_a_tool_works_as_the_person(
        self, make: Make, person: Person, tmp_path: Path
    ) -> None:
        """By endpoint and role of their profile; no key of theirs is where it looks."""
        target = make()
        redactor = Redactor(new_key(), [])
        command = Command(
            "asks",
            [sys.executable, "-c", ASKS],
            cwd=tmp_path,
            env=target.environment(),
            log=tmp_path / "asks.log",
        )
        with Tool(command, redactor) as tool:
            lines = [line.text for line in tool.lines()]
        assert lines == [f"{ROLE}ann {person.target.endpoint}"]
        for path in [p for p in tmp_path.rglob("*") if p.is_file()]:
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [secret for secret in person.secrets() if secret in text], path
        shown = json.dumps({**command.env})
        assert not [secret for secret in person.secrets() if secret in shown]

    def test_a_command_before_works_as_the_person_too(
        self, make: Make, project: Project, tmp_path: Path
    ) -> None:
        """As `sops --decrypt` must, whose key is in the account."""
        ctx = of_project(project, make(), tmp_path)
        code = ASKS.partition("for line")[0]
        before = Before(run=[sys.executable, "-c", code], holds=ROLE)
        assert run_before(ctx, "packer", before) == ""

    def test_a_deploy_that_is_tested_gets_no_home_of_the_person(
        self, make: Make, project: Project, tmp_path: Path
    ) -> None:
        """With a target or none; on an account it works as the person."""
        for target in (make(), None):
            env = _environment(of_project(project, target, tmp_path))
            assert env["HOME"] != os.environ["HOME"]
            assert env["DOCKER_CONFIG"] == f"{os.environ['HOME']}/.docker"
            assert (CHAIN in env) == (target is not None)

    def test_a_tool_by_hand_is_called_as_the_stage_of_its_stack(
        self, make: Make, project: Project
    ) -> None:
        """What recovers a stack needs what deploys it, not what builds images."""
        found = with_roles(project)
        app = found.catalog.app("tika")
        assert app.stack
        folder = str(found.path(app.stack.path))
        stack = ("-s", app.stack.stack_name("QA"), "-C", folder)
        for words, stage in ((("pulumi", *stack), "qa"), (("packer",), "build")):
            with _on_a_copy(found, "prod", words) as (_, call):
                assert f"role/olrunbook-{stage}" in call.env[CHAIN]

    def test_each_stage_is_asked_what_its_own_role_may(
        self, make: Make, project: Project
    ) -> None:
        """Builds that of builds; a role is not blamed for what others do."""
        rows = permitted(with_roles(project), "tika", target="prod").rows
        asked = {(row.where, row.wanted.partition(" ")[0]) for row in rows}
        role = f"arn:aws:iam::{ID}:role/olrunbook-"
        assert ("tika image_build", f"{role}build") in asked
        for stage in ("CI", "QA", "Production"):
            assert (f"tika {stage} deploy", role + stage.lower()) in asked
        assert ("tika status", f"{role}ci") in asked

    def test_what_it_was_given_is_masked(
        self, make: Make, person: Person, tmp_path: Path
    ) -> None:
        """A tool that prints its credentials prints a mask."""
        prints = (
            "import botocore.session as s; print(s.Session().get_credentials().token)"
        )
        command = Command(
            "prints",
            [sys.executable, "-c", prints],
            cwd=tmp_path,
            env=make().environment(),
            log=tmp_path / "prints.log",
        )
        with Tool(command, Redactor(new_key(), [])) as tool:
            lines = [line.text for line in tool.lines()]
        assert len(lines) == 1
        assert "secret" in lines[0] or "▒" in lines[0] or "masked" in lines[0], lines

    def test_tokens_that_expire_are_renewed_in_the_midst(
        self, make: Make, person: Person, tmp_path: Path
    ) -> None:
        """A tool that outlives its first token, and our own calls, go on."""
        person.account.tokens(2)
        try:
            target = make()
            with handing_out(target.environment()) as env:
                tool = subprocess.Popen(
                    [sys.executable, "-c", ASKS],
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                assert tool.stdin
                assert tool.stdout
                first, own = tool.stdout.readline, target.client("ec2")
                told = own.describe_vpcs()["Vpcs"]
                credentials = account._credentials(target).get_frozen_credentials()
                while (
                    account._credentials(target).get_frozen_credentials() == credentials
                ):
                    pass
                assert own.describe_vpcs()["Vpcs"] == told
                tool.stdin.write("again\n")
                tool.stdin.close()
                assert first().startswith(ROLE)
                assert first().startswith(ROLE)
                assert tool.wait(30) == 0
        finally:
            person.account.tokens(0)

    def test_a_profile_that_changes_meanwhile_gives_a_tool_nothing(
        self, make: Make, person: Person
    ) -> None:
        """Neither at its first question nor at a later one: who we are was checked."""
        person.account.tokens(6)
        try:
            target = make().identified()
            end = time.monotonic() + 60
            with handing_out(target.environment()) as env:
                tool = [sys.executable, "-c", ASKS]
                pipes = {"text": True, "stderr": subprocess.PIPE}
                pipes |= {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                begun = subprocess.Popen(tool, env=env, **pipes)
                assert begun.stdout
                assert begun.stdout.readline().startswith(f"{ROLE}ann")
                person.write("qa")
                again = subprocess.run(tool, env=env, check=False, **pipes)
                # Keys that were given are used to their end, and may end on the way.
                while "the AWS identity is " not in again.stderr:
                    assert "qa" not in again.stdout
                    assert time.monotonic() < end, again.stderr
                    again = subprocess.run(tool, env=env, check=False, **pipes)
                said, errors = begun.communicate("again\n", timeout=60)
            assert "qa" not in said + again.stdout
            for text in (errors, again.stderr):
                assert "the AWS identity is " in text, text
                assert f"/olrunbook-qa/ann, wanted {ROLE}ann" in text
        finally:
            person.account.tokens(0)

    def test_outside_there_is_nothing_to_be_had(self, make: Make) -> None:
        """The socket ends with whoever opened it; a tool is told so in words."""
        env = make().environment()
        assert CHAIN in env
        with handing_out(env) as inside:
            assert CHAIN not in inside
            folder = Path(inside[SOCKET]).parent
            assert folder.stat().st_mode & 0o077 == 0
        assert not folder.exists()
        done = subprocess.run(
            [sys.executable, "-c", ASKS],
            env=inside,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert "nobody hands out credentials here" in done.stderr


def test_what_is_there_is_used_where_it_cannot_be_renewed(tmp_path: Path) -> None:
    """To its end: only then a tool is told why."""
    answer, fresh = tmp_path / "answer", datetime.now(UTC)

    def say(seconds: float) -> None:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        answer.write_text(json.dumps({"Expiration": until.isoformat()}))

    chain = Chain(["/bin/cat", str(answer)], os.environ)
    say(3)
    first = json.loads(chain.ask())
    answer.unlink()
    while datetime.now(UTC) < datetime.fromisoformat(first["Expiration"]):
        said, fresh = json.loads(chain.ask()), datetime.now(UTC)
        if fresh < datetime.fromisoformat(first["Expiration"]):
            assert said == first
    end = time.monotonic() + 60
    while "error" not in json.loads(chain.ask()):
        assert time.monotonic() < end
    say(3)
    while "error" in (said := json.loads(chain.ask())):
        assert time.monotonic() < end
    assert said["Expiration"] > first["Expiration"]


def test_a_long_temporary_folder_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has about a hundred bytes."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with handing_out({CHAIN: json.dumps(["/bin/true"])}) as env:
        assert Path(env[SOCKET]).exists()


class TestCatalog:
    """What the catalog says of an account."""

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            ({"account": ""}, "needs account"),
            ({"account": "12"}, "account"),
            ({"region": "Virginia"}, "region"),
            ({"role": "arn:{who}"}, "placeholders"),
            ({"role": "olrunbook-{stage}"}, "no ARN of a role"),
            ({"variables": ["PATH"]}, "variables"),
            ({"kind": "rehearsal"}, "belongs to a target of kind aws"),
        ],
    )
    def test_it_is_checked(self, make: Make, other: dict[str, Any], words: str) -> None:
        """Missing and wrong values are named."""
        with pytest.raises(ValidationError, match=words):
            make(**other)


def test_a_digest_key_is_one_for_all_runs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept privately, or comes from the environment, and is no short word."""
    first = make().digest_key()
    assert make().digest_key() == first
    monkeypatch.setenv("OLRUNBOOK_DIGEST_KEY", "a key of a team's CI")
    assert make().digest_key() == "a key of a team's CI"
    monkeypatch.setenv("OLRUNBOOK_DIGEST_KEY", "short")
    with pytest.raises(UsageError, match="too short"):
        make().digest_key()


def test_who_gives_credentials_says_nothing_else(make: Make) -> None:
    """Not even a warning of Python's, which some shells make an error."""
    target = make()
    *command, words = target.chain
    asked = json.dumps({**json.loads(words), "ask": "settings"})
    done = subprocess.run(
        [*command, asked],
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([], {}),
        (["AWS_USE_*"], {"use_fips_endpoint": "true"}),
        (["AWS_ENDPOINT_URL_S3"], {"services": "own"}),
    ],
)
def test_what_counts_of_the_shell_is_in_the_tools_config(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    counts: list[str],
    found: dict[str, str],
) -> None:
    """By its name in the catalog; the endpoint of one service, too."""
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    target = make(variables=counts)
    text = Path(target.environment()["AWS_CONFIG_FILE"]).read_text()
    lines = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
    said = {
        key: lines[key] for key in ("use_fips_endpoint", "services") if key in lines
    }
    assert said == found
    assert ("http://127.0.0.1:9" in text) == ("services" in found)
