"""The copy of a stack, its settings, and what of them belongs to a cloud."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from olrunbook.adapters.context import Commit, Context
from olrunbook.adapters.pulumi import settings
from olrunbook.errors import RefusedError, UsageError
from olrunbook.project.catalog import find_project
from olrunbook.redact import Redactor, new_key
from olrunbook.redact.sealed import seal, unseal
from olrunbook.steps.deploy import update
from olrunbook.steps.preflight import preflight
from olrunbook.targets import Target

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {"server": "ami-0df7e95b351bd8408"}


@pytest.fixture
def run(tmp_path: Path) -> Context:
    """Return a run of tika in CI against a target that is not there."""
    project = find_project(ROOT)
    target = Target(
        name="rehearsal",
        cloud_id="cloud-1",
        account="123456789012",
        region="us-east-1",
        endpoint="http://127.64.0.1:5000",
        access_key=SecretStr("AKIAEXAMPLE"),
        secret_key=SecretStr("a-secret-key-of-nobody"),
        identity_arn="arn:aws:iam::123456789012:user/rehearsal",
        env={"VAULT_ADDR": "http://127.64.0.1:8200/"},
        home=tmp_path / "home",
        state=tmp_path / "state",
        schema="olrunbook/target/1",
    )
    return Context(
        project=project,
        place=target,
        app_name="tika",
        app=project.catalog.app("tika"),
        stage="CI",
        run_id="run-1",
        commit=Commit("0" * 40),
        logs=tmp_path / "logs",
        work=tmp_path / "work",
        redactor=Redactor(new_key()),
    )


def config_of(prepared: settings.Prepared) -> dict[str, Any]:
    """Return the settings in the copy."""
    return dict(yaml.safe_load(prepared.settings.read_text())["config"])


def test_the_copy_has_the_stack_and_its_components(run: Context) -> None:
    """So that the program finds them as it does in the checkout."""
    prepared = settings.prepare(run, IMAGES)

    assert (prepared.folder / "__main__.py").is_file()
    assert (prepared.folder.parent / "components" / "auto_scaling.py").is_file()
    assert prepared.folder.is_relative_to(run.work)
    assert prepared.root.stat().st_mode & 0o777 == 0o700
    assert prepared.settings.stat().st_mode & 0o777 == 0o600


def test_the_image_is_pinned_and_the_addresses_are_the_targets(run: Context) -> None:
    """One Vault for each stage, by name; where the target says none, the file's own."""
    config = config_of(settings.prepare(run, IMAGES))

    assert config["tika:image_id"] == IMAGES["server"]
    assert config["vault:address"] == "http://127.64.0.1:8200/ci"
    assert config["consul:address"] == "https://consul-apps-ci.odl.mit.edu"
    assert "tika:image_id" not in config_of(settings.prepare(run, {}))


def test_a_missing_secret_is_made_up_and_known_to_the_redactor(run: Context) -> None:
    """In a rehearsal only; it is never in the copy in clear."""
    prepared = settings.prepare(run, IMAGES)
    (value,) = prepared.new_secrets.values()

    assert list(prepared.new_secrets) == ["tika:access_token"]
    assert value in run.redactor.values
    assert value not in prepared.settings.read_text()
    assert value not in repr(prepared)


def test_any_other_target_makes_no_secret_up(run: Context) -> None:
    """The refusal says how to set it."""
    assert run.place
    place = run.place.model_copy(update={"name": "production", "kind": "aws"})
    with pytest.raises(RefusedError, match="lacks the secret settings") as raised:
        settings.prepare(dataclasses.replace(run, place=place), IMAGES)

    assert "pulumi config set --secret tika:access_token" in raised.value.hint


@pytest.mark.parametrize("text", ["012345678901", "1234567e8", "0o17", "1.10", ""])
def test_what_pulumi_would_read_as_a_number_stays_in_quotes(
    tmp_path: Path, text: str
) -> None:
    """It reads more texts so than we do; a number stays one."""
    settings.write_yaml(tmp_path / "it", {"text": text, "number": 3})
    assert (tmp_path / "it").read_text() == f'number: 3\ntext: "{text}"\n'


def test_what_belongs_to_the_cloud_is_kept_and_laid_over_the_next_copy(
    run: Context,
) -> None:
    """The key and the encrypted secrets; nothing of the checkout, no pin."""
    first = settings.prepare(run, IMAGES)
    written = yaml.safe_load(first.settings.read_text())
    written["encryptedkey"] = "KEY"
    written["config"]["tika:access_token"] = {"secure": "v1:x"}
    settings.write_yaml(first.settings, written)

    settings.keep_settings(first)

    kept = yaml.safe_load(first.kept.read_text())
    assert kept == {
        "config": {"tika:access_token": {"secure": "v1:x"}},
        "encryptedkey": "KEY",
        "secretsprovider": "awskms://alias/infrastructure-secrets-ci",
    }
    assert first.kept.stat().st_mode & 0o777 == 0o600
    second = settings.prepare(run, {})
    assert second.new_secrets == {}
    assert config_of(second)["tika:access_token"] == {"secure": "v1:x"}


ACCOUNTS = """\
secretsprovider: awskms://alias/infrastructure-secrets-ci
encryptedkey: KEY-OF-AN-ACCOUNT
config:
  tika:image: plain
  tika:other: {secure: v1:sealed}
  tika:access_token: {secure: v1:of-the-account}
  tika:list: [{name: one, key: {secure: v1:inner}}]
"""


@pytest.fixture
def adopted(run: Context, tmp_path: Path) -> Context:
    """Return a run whose settings hold secrets of an account."""
    folder = tmp_path / "stacks" / "tika"
    folder.mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: ol-infrastructure-tika-server\n")
    (folder / "Pulumi.applications.tika.CI.yaml").write_text(ACCOUNTS)
    (tmp_path / "catalog.toml").write_text((ROOT / "catalog.toml").read_text())
    return dataclasses.replace(run, project=find_project(tmp_path))


def test_a_rehearsal_makes_up_the_secrets_of_an_account(adopted: Context) -> None:
    """It has no key for them; a secret inside of a setting becomes a word."""
    prepared = settings.prepare(adopted, {})

    assert set(prepared.new_secrets) == {"tika:access_token", "tika:other"}
    assert "KEY-OF-AN-ACCOUNT" not in prepared.settings.read_text()
    config = config_of(prepared)
    assert config["tika:image"] == "plain"
    assert config["tika:list"] == [{"name": "one", "key": settings.MADE_UP}]
    assert not {"tika:access_token", "tika:other"} & set(config)


def test_on_an_account_what_the_checkout_says_counts(adopted: Context) -> None:
    """What was kept of an earlier run is old."""
    assert adopted.place
    place = adopted.place.model_copy(update={"kind": "aws"})
    ctx = dataclasses.replace(adopted, place=place)
    kept = settings.prepare(ctx, {}).kept
    kept.parent.mkdir(parents=True)
    old = {"tika:access_token": {"secure": "v1:old"}}
    settings.write_yaml(kept, {"encryptedkey": "OLD", "config": old})

    written = yaml.safe_load(settings.prepare(ctx, {}).settings.read_text())
    assert written["encryptedkey"] == "KEY-OF-AN-ACCOUNT"
    assert written["config"]["tika:access_token"] == {"secure": "v1:of-the-account"}


@pytest.mark.parametrize(
    ("project", "stack", "wrong"),
    [
        ("{}", "{aws:region: us-east-1, aws:maxRetries: 9}", ""),
        ("{}", "{aws:region: eu-west-1}", "aws:region is eu-west-1, wanted us-east-1"),
        ("{aws:region: eu-west-1}", "{aws:region: us-east-1}", ""),
        ("{aws:region: eu-west-1}", "{}", "aws:region is eu-west-1"),
        ("{aws:region: {value: eu-west-1}}", "{}", "aws:region is eu-west-1"),
        ("{tika:x: {type: string, default: y}}", "{}", ""),
        ("{}", "{aws:assumeRole: {roleArn: 'arn:aws:iam::123456789012:role/x'}}", ""),
        (
            "{}",
            "{aws:assumeRole: {roleArn: 'arn:aws:iam::999999999999:role/x'}}",
            "aws:assumeRole is of account 999999999999, wanted 123456789012",
        ),
        (
            "{}",
            """{aws:assumeRoles: '[{"roleArn":"arn:aws:iam::999999999999:role/x"}]'}""",
            "aws:assumeRoles is of account 999999999999",
        ),
        (
            "{}",
            "{aws:assumeRole: {roleArn: {secure: v1:x}}}",
            "aws:assumeRole hides its account: write roleArn without encryption",
        ),
        ("{}", "{aws:assumeRoles: [{secure: v1:x}]}", "aws:assumeRoles hides its"),
        ("{}", "{aws:assumeRole: {secure: v1:x}}", "aws:assumeRole hides its"),
        (
            "{}",
            """{aws:assumeRole: {externalId: {secure: v1:x},
            roleArn: 'arn:aws:iam::123456789012:role/x'}}""",
            "",
        ),
        ("{}", "{aws:allowedAccountIds: ['123456789012', '9']}", ""),
        ("{}", "{aws:allowedAccountIds: [012345670123]}", "in quotes where it begins"),
        ("{}", "{aws:allowedAccountIds: ['9']}", "wanted 123456789012"),
        ("{}", "{aws:profile: mine}", "aws:profile cannot be used here"),
        ("{}", "{aws:secretKey: {secure: v1:x}}", "aws:secretKey cannot be used"),
    ],
)
def test_settings_that_lead_to_another_account_are_refused(
    adopted: Context, project: str, stack: str, wrong: str
) -> None:
    """Before anything is asked; a rehearsal answers whatever they say."""
    folder = adopted.project.root / "stacks" / "tika"
    with (folder / "Pulumi.yaml").open("a") as file:
        file.write(f"config: {project}\n")
    made = f"secretsprovider: passphrase\nconfig: {stack}\n"
    (folder / "Pulumi.applications.tika.CI.yaml").write_text(made)
    stack_spec = settings.stack_spec(adopted).model_copy(update={"secrets": []})
    app = adopted.app.model_copy(update={"stack": stack_spec})
    place = adopted.target.model_copy(update={"kind": "aws"})
    ctx = dataclasses.replace(adopted, place=place, app=app)

    assert settings.prepare(dataclasses.replace(ctx, place=adopted.place), {})
    if not wrong:
        assert settings.prepare(ctx, {})
        return
    with pytest.raises(RefusedError, match=wrong) as caught:
        settings.prepare(ctx, {})
    assert "catalog.toml" in caught.value.hint
    (folder / "__main__.py").touch()
    [row] = preflight(ctx, need=["stack"]).rows
    assert row.status == "failed"
    assert wrong in row.found


def test_another_cloud_has_settings_of_its_own(run: Context) -> None:
    """A key of a cloud that is gone would decrypt nothing."""
    assert run.place
    place = run.place.model_copy(update={"cloud_id": "cloud-2"})
    other = dataclasses.replace(run, place=place)

    assert settings.prepare(run, {}).kept != settings.prepare(other, {}).kept


def test_a_preview_is_found_again_by_its_token(run: Context) -> None:
    """And one that is gone says: preview again."""
    prepared = settings.prepare(run, IMAGES)

    again = settings.reopen(run, prepared.token)
    assert (again.folder, again.plan) == (prepared.folder, prepared.plan)
    with pytest.raises(RefusedError, match="files are gone"):
        settings.reopen(run, "gone")


def test_a_project_of_another_name_is_an_error(run: Context, tmp_path: Path) -> None:
    """The state would be another stack's."""
    (tmp_path / "stacks" / "tika").mkdir(parents=True)
    (tmp_path / "stacks" / "tika" / "Pulumi.yaml").write_text("name: other\n")
    (tmp_path / "catalog.toml").write_text((ROOT / "catalog.toml").read_text())
    other = dataclasses.replace(run, project=find_project(tmp_path))

    with pytest.raises(UsageError, match="names project 'other'"):
        settings.prepare(other, IMAGES)


def test_rules_that_cannot_be_loaded_are_told_before_anything_is_asked(
    run: Context, tmp_path: Path
) -> None:
    """A preview takes long: neither the account nor Pulumi was asked."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "ours.py").write_text("def (")
    (tmp_path / "catalog.toml").write_text((ROOT / "catalog.toml").read_text())
    other = dataclasses.replace(run, project=find_project(tmp_path))

    with pytest.raises(UsageError, match=r"ours\.py cannot be loaded: SyntaxError"):
        update.preview(other, IMAGES)
    assert not other.work.exists()


def test_settings_that_are_no_mapping_are_an_error(tmp_path: Path) -> None:
    """With the file's name."""
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text("- a\n")
    with pytest.raises(UsageError, match=r"Pulumi\.x\.yaml is not a mapping"):
        settings.read_yaml(file)
    for text in (b"a: [", b"a: \xff\n"):
        file.write_bytes(text)
        with pytest.raises(UsageError, match=r"Pulumi\.x\.yaml is not YAML"):
            settings.read_yaml(file)


def test_a_sealed_value_opens_with_the_runs_key_only() -> None:
    """What a log keeps is noise."""
    key, secret = new_key(), "a secret — with an accent: é" * 20

    sealed = seal(key, secret)

    assert unseal(key, sealed) == secret
    assert seal(key, secret) != sealed
    assert "secret" not in sealed
    with pytest.raises(ValueError, match="cannot be opened"):
        unseal(new_key(), sealed)
    broken = sealed[:-6] + ("AAAAA=" if not sealed.endswith("AAAAA=") else "BBBBB=")
    with pytest.raises(ValueError, match=r"cannot be opened|padding|length|base64"):
        unseal(key, broken)
