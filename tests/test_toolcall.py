"""How tools of a project are called: environment, prefix, interpreter, home."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from olrunbook.adapters.before import run_before
from olrunbook.adapters.context import Commit, Context
from olrunbook.adapters.pyinfra import deploy
from olrunbook.adapters.toolcall import tool_call
from olrunbook.errors import UsageError
from olrunbook.project.catalog import Project
from olrunbook.project.tools import Before, Tools, ToolSpec, fill_in
from olrunbook.redact import Redactor, new_key
from olrunbook.run import begin
from tests.images.projects import small_project
from tests.theirs import their_python

SHELL = {"VAULT_ADDR": "https://vault", "EMPTY": ""}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a package below `src`."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "src" / "smith").mkdir(parents=True)
    (root / "src" / "smith" / "__init__.py").write_text("WORDS = 'of the smith'\n")
    return small_project(root, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$VAULT_ADDR", "https://vault"),
        ("${VAULT_ADDR}/v1", "https://vault/v1"),
        ("${NOT_THERE:-none}", "none"),
        ("${EMPTY:-}", ""),
        ("a $$ sign", "a $ sign"),
        ("5 $ each", "5 $ each"),
    ],
)
def test_values_name_variables_of_the_shell(text, value) -> None:
    """Those that are set are filled in; a default is for those that are not."""
    assert fill_in(text, SHELL, "X") == value


@pytest.mark.parametrize("text", ["$NOT_THERE", "${NOT_THERE}", "$EMPTY"])
def test_a_variable_that_is_not_set_is_named(text) -> None:
    """It is wrong usage (exit code 2), and the hint says how to make it optional."""
    with pytest.raises(UsageError, match=r"X needs (NOT_THERE|EMPTY)") as caught:
        fill_in(text, SHELL, "X")
    assert caught.value.exit_code == 2
    assert ":-default}" in caught.value.hint


def test_an_app_goes_over_the_defaults_field_by_field() -> None:
    """What it does not name stays; of the environment, each variable by itself."""
    default = Tools.model_validate(
        {"pulumi": {"prefix": ["uv", "run"], "environment": {"A": "1", "B": "1"}}}
    )
    own = Tools.model_validate({"pulumi": {"environment": {"B": "2"}, "home": [".v"]}})
    found = own.over(default).pulumi
    assert found.prefix == ["uv", "run"]
    assert found.environment == {"A": "1", "B": "2"}
    assert found.home == [".v"]
    assert own.over(default).packer == ToolSpec()


@pytest.mark.parametrize(
    "wrong", [{"home": ["/etc/shadow"]}, {"home": ["../x"]}, {"folder": ".."}]
)
def test_folder_and_home_stay_inside(wrong) -> None:
    """A path that leads out of the project or the home is no catalog."""
    with pytest.raises(ValidationError, match="inside the"):
        ToolSpec.model_validate(wrong)


@pytest.mark.parametrize(
    "name", ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "AWS_REGION"]
)
def test_which_account_it_is_the_target_says(name) -> None:
    """No tool is led to another by its environment; other AWS_ variables are its."""
    with pytest.raises(ValidationError, match="the target says which account"):
        ToolSpec(environment={name: "$X"})
    assert ToolSpec(environment={"AWS_MAX_ATTEMPTS": "5"})


def test_a_stack_runs_in_its_own_folder() -> None:
    """A field that would do nothing is no catalog."""
    with pytest.raises(ValidationError, match="runs in the stack's own folder"):
        Tools.model_validate({"pulumi": {"folder": "src"}})


def test_paths_of_the_project_are_absolute_and_what_is_secret_is_masked(
    project, tmp_path, monkeypatch
) -> None:
    """A tool works elsewhere; PYTHONPATH still leads into the checkout."""
    monkeypatch.setenv("MINE", "a-very-secret-9")
    spec = ToolSpec(environment={"PYTHONPATH": "src:/usr/x", "GITHUB_TOKEN": "$MINE"})
    redactor = Redactor(new_key())
    call = tool_call(project, spec, {"PATH": "/bin"}, tmp_path / "home", redactor)
    assert call.env["PYTHONPATH"] == f"{project.root / 'src'}:/usr/x"
    assert call.env["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "a-very-secret-9" not in redactor.text("it is a-very-secret-9")


def test_what_the_target_sets_comes_first(project, tmp_path, monkeypatch) -> None:
    """A rehearsal is never led to the real Vault, and needs no variable for it."""
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    spec = ToolSpec(environment={"VAULT_ADDR": "$VAULT_ADDR", "PATH": "/more"})
    env = {"PATH": "/bin", "VAULT_ADDR": "http://loopback"}
    call = tool_call(project, spec, env, tmp_path / "home", Redactor(new_key()))
    assert call.env["VAULT_ADDR"] == "http://loopback"
    assert call.env["PATH"] == "/more:/bin"


def test_a_tool_gets_the_files_of_the_home_that_are_named(
    project, tmp_path, monkeypatch
) -> None:
    """Beside what every tool has; nothing else of the home, and one may be missing."""
    mine, common = tmp_path / "mine", tmp_path / "common"
    for folder, names in ((mine, (".vault-token", ".ssh")), (common, ("aws-config",))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
    monkeypatch.setenv("HOME", str(mine))
    spec = ToolSpec(home=[".vault-token", ".cache/uv"])
    env = {"PATH": "/bin", "HOME": str(common)}
    for _ in range(2):
        call = tool_call(project, spec, env, tmp_path / "own", Redactor(new_key()))
    home = Path(call.env["HOME"])
    assert sorted(path.name for path in home.iterdir()) == [
        ".vault-token",
        "aws-config",
    ]
    assert (home / ".vault-token").read_text() == ".vault-token"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("hvs.CAESIJabcdefgh\n", "hvs.CAESIJabcdefgh"),
        ("bm9ib2R5IGtub3dzIGl0==", "bm9ib2R5IGtub3dzIGl0=="),
        ("[user]\nemail = ann9@example.org\ntoken = qwertzuiop\n", "qwertzuiop"),
        ('{"user":"ann9@example.org","token":"qwertzuiop"}', "qwertzuiop"),
        ('{"auths": {"x.org": {"auth": "YW5uOnNlY3JldA=="}}}', "YW5uOnNlY3JldA=="),
        ('{"auth": "kerberos", "tokens": [{"a": 1}, "qwertzuiop"]}', "qwertzuiop"),
        ("a=b\n//npm.x.org/team/:_authToken=qwertzuiop\n", "qwertzuiop"),
        ("# the password production is asked for\ntoken = qwertzuiop", "qwertzuiop"),
        ("machine x.org login ann9@example.org password qwertzuiop\n", "qwertzuiop"),
    ],
)
def test_what_the_files_of_a_home_hold_is_masked(
    project, tmp_path, monkeypatch, text, secret
) -> None:
    """A token that is all of it, or whose name tells; what else is there is shown."""
    (tmp_path / ".token").write_text(text)
    (tmp_path / ".large").write_text("x1-" * 10000)
    monkeypatch.setenv("HOME", str(tmp_path))
    spec, redactor = ToolSpec(home=[".token", ".gone", ".large"]), Redactor(new_key())
    tool_call(project, spec, {"PATH": "/bin"}, tmp_path / "own", redactor)
    assert secret not in redactor.text(f"it is {secret} of ann9@example.org")
    # A line that has no name is learned as it is, too
    assert {*redactor.values, *text.splitlines()} == {secret, *text.splitlines()}


def test_a_prefix_begins_in_the_project_and_its_tool_elsewhere(
    project, tmp_path
) -> None:
    """`uv run` finds the project; the tool does not write into it."""
    spec = ToolSpec(prefix=["env", "WHERE=there"])
    env = {"PATH": "/usr/bin:/bin"}
    call = tool_call(project, spec, env, tmp_path / "own", Redactor(new_key()))
    words = call.argv(tmp_path, "sh", "-c", "echo $PWD $WHERE")
    begins = call.begins(tmp_path)
    said = subprocess.run(
        words, cwd=begins, env=call.env, capture_output=True, check=True
    )
    assert begins == project.root
    assert said.stdout.decode().split() == [str(tmp_path), "there"]
    assert call.typed("pulumi") == "env WHERE=there pulumi"


THEIRS = """
    import os
    import sys
    from pyinfra.operations import server
    from smith import WORDS
    try:
        import boto3
        sys.exit("it is not their Python")
    except ImportError:
        pass
    server.shell(name=f"Words {WORDS}", commands=["true"])
"""


@pytest.mark.parametrize("how", ["interpreter", "prefix"])
def test_a_deploy_runs_under_their_interpreter(project, tmp_path, how) -> None:
    """It imports the packages of its repository, and the checkout is not written."""
    python = their_python(tmp_path / "theirs", "pyinfra")
    words = {
        "interpreter": [str(python)],
        "prefix": ["env", f"PATH={python.parent}:/usr/bin:/bin"],
    }[how]
    spec = ToolSpec(prefix=words, environment={"PYTHONPATH": "src"})
    file = tmp_path / "copy" / "deploy.py"
    file.parent.mkdir()
    file.write_text("\n".join(line[4:] for line in THEIRS.splitlines()))
    before = sorted(project.root.rglob("*"))
    redactor = Redactor(new_key())
    env = {"PATH": "/usr/bin:/bin"}
    call = tool_call(project, spec, env, tmp_path / "home", redactor)
    log = tmp_path / "log"
    events = list(deploy("@local", file, call=call, log=log, redactor=redactor))
    assert events[-1].data["code"] == 0, log.read_text()
    assert any(event.data.get("name") == "Words of the smith" for event in events)
    assert sorted(project.root.rglob("*")) == before


@pytest.fixture
def ctx(project: Project, tmp_path: Path) -> Callable[[], Context]:
    """Return a run without a target, whose tools need none."""

    class Here(Context):
        """A run on this machine."""

        def tool(self, name, env=None):
            return super().tool(name, {"PATH": "/usr/bin:/bin"})

    return Here(
        project=project,
        place=None,
        app_name="small",
        app=project.catalog.app("small"),
        stage="",
        run_id="run",
        commit=Commit(""),
        logs=tmp_path,
        work=tmp_path / "work",
        redactor=Redactor(new_key()),
    )


def test_nothing_begins_where_the_shell_lacks_a_variable(project, monkeypatch) -> None:
    """It is told before anything runs: exit code 2, and no run is left behind."""
    with project.catalog_file.open("a") as file:
        file.write('[tools.packer.environment]\nX = "$NOT_SET_ANYWHERE"\n')
    monkeypatch.setenv("OLRUNBOOK_PROJECT", str(project.root))
    with pytest.raises(UsageError, match="X needs NOT_SET_ANYWHERE"):
        begin("image_build", app="small")
    assert not project.outputs.exists()


GIVEN = "Kx92-much-longer-than-that"


def test_what_a_command_before_says_is_secret(ctx) -> None:
    """Its output is learned, not shown; plain words of it stay readable."""
    said = f"CONSUL_ENCRYPT={GIVEN}\nstage: production\n"
    before = Before(run=["printf", said], holds="CONSUL_ENCRYPT=")
    assert run_before(ctx, "packer", before) == ""
    assert GIVEN not in ctx.redactor.text(f"it is {GIVEN}")
    assert ctx.redactor.text("in production") == "in production"


@pytest.mark.parametrize(
    ("run", "wrong"),
    [
        (["true"], "ended with 0, but its output does not hold NAME="),
        (["echo", "NAME="], "ended with 0, but its output has nothing after NAME="),
        (["echo", 'NAME=""'], "ended with 0, but its output has nothing after NAME="),
        *(
            (["printf", said], "ended with 0, but its output has nothing after NAME=")
            for said in ("NAME=\\nNEXT=1", "# NAME=x\\nNAME=", "MY_NAME=x\\nNAME=\\n")
        ),
        (["echo", "MY_NAME=x"], "ended with 0, but its output does not hold NAME="),
        (["sh", "-c", "echo NAME=secret; exit 3"], "ended with code 3"),
        (
            ["no-such-program"],
            "could not be started: no-such-program: No such file or directory",
        ),
    ],
)
def test_a_command_before_that_fails_is_told_without_its_output(
    ctx, run, wrong
) -> None:
    """Without its output; an empty secret is a failure, too."""
    assert run_before(ctx, "packer", Before(run=run, holds="NAME=")) == wrong


def test_workers_need_neither_us_nor_pydantic(tmp_path) -> None:
    """They start by path under a Python that has their tool alone."""
    python = their_python(tmp_path / "theirs", "pulumi")
    start = Path(sys.modules["olrunbook"].__file__).parent / "workers" / "start.py"
    code = json.dumps(str(start))
    script = f"""
import runpy, sys
sys.argv = ["start.py", "olrunbook.workers.pulumi.work"]
runpy.run_path({code}, run_name="__main__")
bad = {{"pydantic", "boto3"}} & set(sys.modules)
sys.exit(f"imported {{bad}}" if bad else 0)
"""
    done = subprocess.run(
        [python, "-P", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
