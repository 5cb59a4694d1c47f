"""The catalog: data that is checked whole, and where it is found."""

from __future__ import annotations

import codecs
from datetime import timedelta

import pytest
from click.testing import CliRunner

from olrunbook.cli import cli, main, release
from olrunbook.errors import UsageError
from olrunbook.project.catalog import find_project, load_catalog
from olrunbook.project.gates import duration, lasting
from olrunbook.project.params import check, declared, read_notebook


def test_the_shipped_catalog_fits_its_schema(project) -> None:
    """The catalog this kit ships with is read, and its paths exist."""
    app = project.catalog.app("tika")
    assert app.stack is not None
    assert app.stack.stack_name("CI") == "applications.tika.CI"
    assert project.path(app.image.template).is_file()
    assert project.path(app.stack.path).is_dir()


def test_a_catalog_that_is_no_utf_8_is_named(project) -> None:
    """It is wrong usage, and the error has its path; a byte order mark is no error."""
    path = project.catalog_file
    text = path.read_bytes()
    path.write_bytes(b"x = \xff\n")
    with pytest.raises(UsageError, match="not TOML") as caught:
        find_project(project.root)
    assert str(path) in str(caught.value)
    path.write_bytes(codecs.BOM_UTF8 + text)
    assert load_catalog(path) == project.catalog


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[apps.tika.image]", "[apps.tika.imgae]", "apps.tika.imgae: Extra inputs"),
        ("image_config = {", "image_confg = {", "stack.image_confg: Extra inputs"),
        ("image_config = { server =", "#", "stack.image_config is missing"),
    ],
)
def test_a_name_that_is_misspelt_is_named(project, old, new, says) -> None:
    """Not what is missing for it."""
    text = project.catalog_file.read_text()
    assert old in text
    project.catalog_file.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        find_project(project.root)
    assert says in str(caught.value)


def test_an_account_is_shown_and_named_where_the_rehearsal_is_not_up(
    project, capsys
) -> None:
    """Whose account, and as whom; who forgot `--target` sees that there is another."""
    text = '[targets.prod]\ntitle = "ours"\nkind = "aws"\naccount = "123456789012"\n'
    text += 'region = "us-east-1"\nprofile = "ops"\n'
    project.catalog_file.write_text(project.catalog_file.read_text() + text)
    with pytest.raises(SystemExit):
        main(["catalog"])
    said = capsys.readouterr().out
    assert "account 123456789012, in us-east-1, profile ops\n" in said
    with pytest.raises(SystemExit) as ended:
        main(["run", "rollout", "-p", "app", "tika", "-p", "stage", "CI"])
    assert ended.value.code == 4
    assert "rehearsal is not up (other targets: prod), so" in capsys.readouterr().err


def test_an_unknown_app_is_suggested(project) -> None:
    """A typo in an app's name gets the nearest one."""
    with pytest.raises(UsageError, match="tika") as caught:
        project.catalog.app("tikka")
    assert "tika" in caught.value.hint
    assert caught.value.exit_code == 2


def test_the_order_of_stages_is_known(project) -> None:
    """Each stage knows the one before it; the first has none."""
    catalog = project.catalog
    assert [catalog.before(s, "tika") for s in catalog.stages.order] == [
        None,
        "CI",
        "QA",
    ]


OWN_STAGES = """
[apps.other]
title = "other"
node_types = ["web"]
stages = ["Sandbox", "Production"]
image = { template = "images/tika/tika.pkr.hcl", only = "x", deploy = "x", name = "x" }
"""


def test_an_app_may_have_stages_of_its_own(project, make_notebook) -> None:
    """Its order is its own; a parameter of type Stage knows whose stage it is."""
    path = project.catalog_file
    path.write_text(path.read_text() + OWN_STAGES)
    catalog = load_catalog(path)
    assert catalog.stages_of("other") == ["Sandbox", "Production"]
    assert catalog.stages_of("tika") == ["CI", "QA", "Production"]
    assert catalog.before("Production", "other") == "Sandbox"
    with pytest.raises(UsageError, match="Sandbox"):
        catalog.stage("CI", "other")
    cell = "# parameters\napp: App = 'tika'\nstage: Stage = 'CI'"
    found = declared(read_notebook(make_notebook(cell)), catalog)
    assert found["stage"].choices == ("CI", "QA", "Production", "Sandbox")
    good = {"app": "other", "stage": "Sandbox"}
    assert check(good, found, "nb") == good
    for wrong in (
        {"stage": "Sandbox"},
        {"app": "other"},
        {"app": "other", "stage": "QA"},
    ):
        with pytest.raises(UsageError, match="is not in"):
            check(wrong, found, "nb")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.replace("schema = 1", "schema = 2"), "schema"),
        (lambda t: t.replace("node_types =", "node_typos ="), "node_typ"),
        (
            lambda t: t.replace('{ server = "tika:image_id" }', '{ web = "x" }'),
            "image_config",
        ),
        (
            lambda t: t.replace('"tika-server-tika-{stage_lower}"', "[]"),
            "names no group of node type server",
        ),
        (
            lambda t: t.replace('"tika-server-tika-{stage_lower}"', '["a", "a"]'),
            "names a twice",
        ),
        (
            lambda t: t.replace('node_type = "web" ', 'node_type = "x" '),
            "probe.node_type is x",
        ),
        (lambda t: t + "\n[broken", "TOML"),
        (
            lambda t: t.replace('"QA", "Production"', '"QA", "CI"'),
            r"stages\.order: names CI twice",
        ),
        (
            lambda t: t.replace('["server"]', '["server", "server"]'),
            r"apps\.tika\.node_types: names server twice",
        ),
        (
            lambda t: t.replace('["server"]', '["server"]\nstages = ["A", "A"]'),
            r"apps\.tika\.stages: names A twice",
        ),
        (lambda t: t.replace('"Apache Tika server"', '" "'), r"apps\.tika\.title: "),
        (lambda t: t.replace('"stacks/tika"', '""'), r"apps\.tika\.stack\.path: "),
        (
            lambda t: t.replace('["server"]', '["server"]\nsizes = [3, 1]'),
            r"apps\.tika: sizes \[3, 1\]: the least is above",
        ),
        (
            lambda t: t.replace('["server"]', '["server"]\nsizes = [0, 0]'),
            r"apps\.tika\.sizes\.1: .* greater than 0",
        ),
    ],
)
def test_a_wrong_catalog_is_refused_with_the_place(project, change, says) -> None:
    """A catalog with an unknown key, a contradiction or bad TOML names where."""
    path = project.catalog_file
    path.write_text(change(path.read_text()))
    with pytest.raises(UsageError, match=says) as caught:
        load_catalog(path)
    assert "Value error" not in str(caught.value)  # pydantic's words


def test_a_groups_minimum_may_be_0(project) -> None:
    """It bounds the minimum too; that a group wants an instance, a rule sees to."""
    text = project.catalog_file.read_text()
    sized = text.replace('["server"]', '["server"]\nsizes = [0, 1]')
    project.catalog_file.write_text(sized)
    assert load_catalog(project.catalog_file).app("tika").sizes == (0, 1)


def test_a_typo_is_told_before_a_release_says_that_it_begins(project) -> None:
    """A target that is not there, a reason that belongs to nothing: exit code 2."""
    for words, says in (
        (["release", "tika", "--target", "rehersal"], "Did you mean rehearsal?"),
        (["rollback", "tika", "CI", "--target", "prod"], "choose from: rehearsal"),
        (["rollback", "tika", "CI", "--reason", "x"], "or --by-hand-done"),
    ):
        done = CliRunner().invoke(cli, words)
        error = done.exception
        assert isinstance(error, UsageError)
        assert says in f"{error} {error.hint}"
        assert done.output == ""


@pytest.mark.parametrize(
    "path", ["images/tika/tika.pkr.hcl", "images/tika/deploy.py", "stacks/tika"]
)
def test_a_release_of_what_is_not_there_is_refused_at_once(
    project, monkeypatch, path
) -> None:
    """A path of the catalog that exists nowhere is wrong usage; nothing is started."""
    monkeypatch.setattr(release, "run_release", lambda *_, **__: pytest.fail("began"))
    text = project.catalog_file.read_text()
    project.catalog_file.write_text(text.replace(f'"{path}"', '"nowhere"'))
    done = CliRunner().invoke(cli, ["release", "tika"])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("nowhere is neither in ")


def test_a_node_type_may_have_several_groups(project) -> None:
    """A list of tags beside one tag; each is filled in, in the catalog's order."""
    path = project.catalog_file
    text = path.read_text().replace(
        'groups = { server = "tika-server-tika-{stage_lower}" }',
        'groups = { server = ["a-{stage_lower}", "b-{stage}"] }',
    )
    path.write_text(text)
    stack = load_catalog(path).app("tika").stack
    assert stack is not None
    assert stack.group_tags("QA") == [("server", "a-qa"), ("server", "b-QA")]


def test_the_nearest_catalog_upwards_is_used(project, monkeypatch) -> None:
    """A subfolder belongs to the project above it."""
    deep = project.root / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert find_project().root == project.root


def test_a_foreign_folder_gets_what_was_shipped(tmp_path, monkeypatch) -> None:
    """Without a catalog of its own a folder works with the shipped one."""
    monkeypatch.chdir(tmp_path)
    found = find_project()
    assert found.root == tmp_path
    assert "tika" in found.catalog.apps


def test_a_named_folder_without_catalog_is_an_error(tmp_path) -> None:
    """--project with a wrong folder is told, not guessed."""
    with pytest.raises(UsageError, match=r"catalog\.toml"):
        find_project(tmp_path)


def with_target(project, text: str):
    """Return the project with these lines below `[targets.rehearsal]`."""
    path = project.catalog_file
    head = "[targets.rehearsal]\n"
    path.write_text(path.read_text().replace(head, head + text))
    return find_project(project.root)


def test_a_gate_has_one_person_and_seven_days_unless_it_says_more(project) -> None:
    """A stage has a gate where the catalog names it; the shipped one names none."""
    assert project.catalog.gate("rehearsal", "Production") is None
    (project.root / "signers").write_text("")
    text = 'signers = "signers"\ngates.QA = {}\n'
    text += 'gates.Production = { people = 2, signature = true, lasts = "12h" }\n'
    catalog = with_target(project, text).catalog
    gate, other = (catalog.gate("rehearsal", stage) for stage in ("QA", "Production"))
    assert (gate.people, gate.lasts.days, gate.protected) == (1, 7, False)
    assert str(other) == "2 people, signed, an approval lasts 12 hours"
    assert catalog.gate("rehearsal", "CI") is catalog.gate("aws", "QA") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gates.Prod = {}", "toml: targets.rehearsal.gates.Prod: there are the stages"),
        ("gates.QA = { people = 0 }", "greater than or equal to 1"),
        ("gates.QA = { rollback_people = 2 }", "rollback_people 2 > people 1"),
        ("gates.QA = { people = 2 }", "people = 2 needs signature = true"),
        ("gates.QA = { signature = true }", "name the file of `signers`"),
        ('gates.QA = { lasts = "soon" }', "is no duration"),
        ("fresh = nan", "nan is no duration: give days"),
        ("gates.QA = { lasts = 0 }", "is not above 0"),
        ("gates.QA = { reason = 1 }", "Extra inputs"),
        ('signers = "../them"', "must be a path inside the project"),
        ('signers = "nobody"', "no file nobody"),
    ],
)
def test_a_gate_that_protects_nothing_is_an_error(project, text, says) -> None:
    """Unknown stages, nobody who may sign, odd durations: said on load, exit 2."""
    with pytest.raises(UsageError, match=says):
        with_target(project, text + "\n")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (1, "1 day"),
        (0.5, "12 hours"),
        ("2 weeks", "14 days"),
        ("90 minutes", "90 minutes"),
    ],
)
def test_a_duration_is_read_and_said(value, says) -> None:
    """Days as a number, anything as a text; it is said in the largest whole unit."""
    assert duration(lasting(value)) == says


def test_what_a_rollback_needs_by_hand_is_nothing_where_it_is_blank(project) -> None:
    """And what is not blank stays, without blanks around it."""
    text = project.catalog_file.read_text()
    for given, wanted in (("", ""), (" \\t", ""), (" migrate down ", "migrate down")):
        line = f'[apps.tika]\nrollback = "{given}"'
        project.catalog_file.write_text(text.replace("[apps.tika]", line, 1))
        assert load_catalog(project.catalog_file).app("tika").rollback == wanted


def test_a_rollbacks_gate_asks_for_fewer_people_and_still_for_proof(project) -> None:
    """One by default."""
    (project.root / "signers").touch()
    two = "people = 2, signature = true"
    text = f'signers = "signers"\nfresh = 14\ngates.QA = {{ {two} }}\n'
    text += f"gates.Production = {{ {two}, rollback_people = 2 }}\n"
    head = "[targets.rehearsal]\n"
    whole = project.catalog_file.read_text().replace(head, head + text)
    project.catalog_file.write_text(whole)
    catalog = find_project().catalog
    assert catalog.targets["rehearsal"].fresh == timedelta(days=14)
    people = {}
    for stage in ("QA", "Production"):
        gate = catalog.gate("rehearsal", stage)
        back = catalog.gate("rehearsal", stage, rollback=True)
        people[stage] = (gate.people, back.people)
        assert back.signature
    assert people == {"QA": (2, 1), "Production": (2, 2)}
    assert catalog.gate("rehearsal", "CI", rollback=True) is None
