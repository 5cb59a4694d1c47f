"""Masking: what is known never shows, in whatever encoding it comes."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
from urllib.parse import quote

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.redact import Redactor, StreamMask, new_key, secrets_of_environment
from olrunbook.redact.forms import MIN_LENGTH

SECRET = 'pa"ss\\word+42/ü'
SECRETS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=MIN_LENGTH
)


@pytest.mark.parametrize(
    "dress",
    [
        str,
        lambda s: quote(s, safe=""),
        json.dumps,
        repr,
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
        lambda s: json.dumps({"a": json.dumps({"b": s})}),
    ],
)
def test_a_secret_is_masked_in_every_dress(dress, redactor) -> None:
    """A value is masked plain, quoted, as JSON, Python, base64 and JSON in JSON."""
    redactor.learn(SECRET)
    shown = redactor.text(f"before {dress(SECRET)} after")
    assert redactor.mask(SECRET) in shown
    assert dress(SECRET) not in shown
    assert SECRET not in shown


@pytest.mark.parametrize("lead", [b"", b"x", b"xy", b"xyz"])
def test_a_secret_inside_a_longer_base64_text_is_masked(lead, redactor) -> None:
    """User data is base64 as a whole: the value is found at all three offsets."""
    secret = "tok-3f9a77bc01"
    redactor.learn(secret)
    shown = redactor.text(base64.b64encode(lead + secret.encode() + b"\nrest").decode())
    decoded = base64.b64decode(shown.split("[masked:")[0] + "==", validate=False)
    assert "[masked:" in shown
    assert secret.encode()[:8] not in decoded


def test_a_mask_reads_the_same_everywhere() -> None:
    """Two processes with the run's key give one value one mask; another run another."""
    key = new_key()
    assert Redactor(key).mask("secret-value") == Redactor(key).mask("secret-value")
    assert Redactor(new_key()).mask("secret-value") != Redactor(key).mask(
        "secret-value"
    )


def test_a_private_key_is_masked_unknown(redactor) -> None:
    """A private key is masked whatever its value is; what stands around it stays."""
    body = "\n".join(["MIIEpAIBAAKCAQEA7bq"] * 3)
    armour = "RSA PRIVATE " + "KEY"
    text = f"a\n-----BEGIN {armour}-----\n{body}\n-----END {armour}-----\nb"
    shown = redactor.text(text)
    assert "MIIEp" not in shown
    assert shown.startswith("a\n-----BEGIN")
    assert shown.endswith("\nb")
    assert redactor.text(shown) == shown


def test_short_values_are_not_learned(redactor) -> None:
    """A value too short would mask ordinary words."""
    assert not redactor.learn("abc")
    assert redactor.text("abc") == "abc"


def test_look_alikes_stay(redactor) -> None:
    """AMI ids, commits, digests and ARNs are evidence and stay readable."""
    redactor.learn("secret-value")
    texts = [
        "ami-0df7e95b351bd8408",
        "1f3870be274f6c49b3e31a0c6728957f1f3870be",
        "sha256:" + "ab" * 32,
        "arn:aws:iam::123456789012:role/deployer",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    ]
    assert [redactor.text(text) for text in texts] == texts


def test_what_is_learned_is_told(redactor) -> None:
    """A value learned in one process is handed on, once."""
    heard: list[str] = []
    told = Redactor(new_key())
    told.on_learn = heard.append
    told.learn("secret-value")
    told.learn("secret-value")
    assert heard == ["secret-value"]


@given(SECRETS, st.text(), st.text())
def test_no_text_shows_a_secret(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, the value is gone, and masking is counted."""
    redactor = Redactor(new_key())
    if not redactor.learn(secret):
        return
    shown = redactor.text(before + secret + after)
    assert secret not in shown or secret in redactor.mask(secret)
    assert redactor.masked >= 1


def test_trees_are_masked_in_keys_and_values(redactor) -> None:
    """Dictionaries, lists and their keys are masked; other values stay as they are."""
    redactor.learn("secret-value")
    shown = redactor.tree({"secret-value": ["x secret-value", 7, None, {"a": True}]})
    assert "secret-value" not in json.dumps(shown)
    assert next(iter(shown.values()))[1:] == [7, None, {"a": True}]


def plain(text: str) -> bool:
    """Tell whether a text has nothing in it that a redactor takes for a secret."""
    return Redactor(new_key()).text(text) == text


WORDS = st.text(st.sampled_from("abcXY 019\n\\\"'=:/.-_&%<>"), max_size=80)
VALUES = st.text(st.sampled_from("abcXYZ019!$&'\"<>/%\\-_."), min_size=8, max_size=40)


@given(WORDS, VALUES, WORDS)
def test_masking_twice_is_masking_once(before, value, after) -> None:
    """What was masked is never masked again, and nothing new is found in it."""
    redactor = Redactor(new_key(), [value])
    once = redactor.text(f"{before}{value}{after}")
    count = redactor.masked
    assert redactor.text(once) == once
    assert redactor.masked == count


@given(WORDS, VALUES, st.integers(min_value=0), WORDS)
def test_a_stream_cut_anywhere_shows_no_secret(before, value, cut, after) -> None:
    """However a stream is cut and flushed, what it gives holds no known secret."""
    redactor = Redactor(new_key(), [value.strip()])
    if len(value.strip()) < MIN_LENGTH:
        return
    text = f"{before} {value}{after}"
    at = cut % len(text)
    stream = StreamMask(redactor)
    shown = stream.feed(text[:at]) + stream.flush() + stream.feed(text[at:])
    shown += stream.close()
    assert value.strip() not in re.sub(r"\[masked:[0-9a-f]{8}\]", "\0", shown)
    assert "[masked:" in shown


@given(st.text())
def test_a_text_without_secrets_is_untouched_by_known_ones(text) -> None:
    """A known value changes only texts that hold it."""
    redactor = Redactor(new_key(), ["q7-Vault-4711-value"])
    if plain(text):
        assert redactor.text(text) == text


@pytest.mark.parametrize("at", range(1, 34))
def test_an_unfinished_line_never_shows_the_beginning_of_a_secret(at, redactor) -> None:
    """A flush in the middle of a value holds back what was there of it."""
    value = "s3cret value, with-blanks"
    redactor.learn(value)
    text = f"it is {value} ok"
    stream = StreamMask(redactor)
    shown = stream.feed(text[:at]) + stream.flush()
    assert "s3cret" not in shown
    shown += stream.feed(text[at:] + "\n")
    assert shown == f"it is {redactor.mask(value)} ok\n"


def test_a_value_behind_a_prompt_that_was_shown_is_masked(redactor) -> None:
    """What a flush has shown still explains what comes after it."""
    stream = StreamMask(redactor)
    shown = stream.feed("password: ") + stream.flush()
    assert shown == "password: "
    assert stream.feed("hunter2-hunter2\n").startswith("[masked:")


def test_a_secret_that_the_end_cuts_off_is_masked(redactor) -> None:
    """A killed writer leaves half a value: that half is masked too."""
    redactor.learn("s3cret value, with-blanks")
    stream = StreamMask(redactor)
    shown = stream.feed("it is s3cret value, wi") + stream.close()
    assert shown.startswith("it is [masked:")
    assert "s3cret" not in shown


def key_lines(kind: str) -> list[str]:
    """Return a private key's lines, made up."""
    body = [f"{n}{'QkFTRTY0' * 7}x{n}yz" for n in range(5)]
    word = "PRIVATE " + "KEY"
    return [f"-----BEGIN {kind}{word}-----", *body, f"-----END {kind}{word}-----"]


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize(
    "dress",
    [
        "\n".join,
        "\\n".join,
        "\\\\n".join,
        json.dumps,
        repr,
        lambda lines: "\n".join(lines[:-1]),
        lambda lines: json.dumps({"a": "\n".join(lines)}),
    ],
)
def test_a_private_key_is_masked_in_every_dress(kind, dress, redactor) -> None:
    """On many lines or one, in literals and JSON, cut off: no line of it is left."""
    shown = redactor.text(f"before {dress(key_lines(kind))}")
    assert "QkFTRTY0" not in shown
    assert shown.startswith("before ")


def test_a_private_key_that_comes_line_by_line_is_masked(redactor) -> None:
    """A tool writes a key in lines, a flush between them; what follows is shown."""
    stream = StreamMask(redactor)
    shown = ""
    for line in [*key_lines("RSA "), "after it"]:
        shown += stream.feed(line + "\n") + stream.flush()
    assert "QkFTRTY0" not in shown
    assert shown.endswith("-----\nafter it\n")


def test_a_private_key_in_a_list_of_lines_is_masked(redactor) -> None:
    """Notebooks keep texts as lists of lines."""
    shown = redactor.tree({"text": [f"{line}\n" for line in key_lines("RSA ")]})
    assert "QkFTRTY0" not in json.dumps(shown)


@pytest.mark.parametrize(
    "head", ["#!/bin/sh\n", "#cloud-config\n", 'Content-Type: multipart/mixed; x="y"\n']
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("wrap", [base64.b64encode, base64.encodebytes])
def test_user_data_is_masked_inside_its_encodings(head, pack, wrap, redactor) -> None:
    """User data is masked whole, in base64, gzip, MIME's wrapped lines."""
    text = head + "echo one two three four five six seven eight nine ten\n" * 5
    blob = wrap(pack(text.encode())).decode().strip()
    shown = redactor.text(f"user_data = {blob} end")
    assert re.fullmatch(r"user_data = \[masked:\w{8}\] end", shown)


def test_a_secret_two_encodings_deep_is_masked(redactor) -> None:
    """A file of a cloud-config is base64 inside base64."""
    inner = base64.b64encode(b"DB_PASSWORD=Kq8-hunter-99x\n").decode()
    outer = base64.b64encode(f"note this: {inner}\n".encode()).decode()
    assert re.fullmatch(r"\[masked:\w{8}\]", redactor.text(outer))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('password = "{}"', 'password = "{}"'),
        ("DB_PASSWORD={}", "DB_PASSWORD={}"),
        ("export API_TOKEN='{}'", "export API_TOKEN='{}'"),
        ('{{"client_secret": "{}"}}', '{{"client_secret": "{}"}}'),
        ('"{{\\"client_secret\\": \\"{}\\"}}"', '"{{\\"client_secret\\": \\"{}\\"}}"'),
        ("token: str = '{}'", "token: str = '{}'"),
        ("tool --token {} --x", "tool --token {} --x"),
        ("['tool', '--token', '{}']", "['tool', '--token', '{}']"),
        ("https://me:{}@db.example.org/x", "https://me:{}@db.example.org/x"),
        ("Authorization: Bearer {}", "Authorization: Bearer {}"),
        ("<password>{}</password>", "<password>{}</password>"),
        ("SecretStr('{}')", "SecretStr('{}')"),
        (
            "&quot;password&quot;: &quot;{}&quot;",
            "&quot;password&quot;: &quot;{}&quot;",
        ),
    ],
)
def test_a_value_beside_a_telling_name_is_masked_alone(text, shown, redactor) -> None:
    """The mask is that of the value; the name and the signs around it stay."""
    value = "Kq8hunter99xW4zz"
    masked = redactor.text(text.format(value))
    assert masked == shown.format(redactor.mask(value))
    assert redactor.text(f"later: {value}") == f"later: {redactor.mask(value)}"


def test_keys_of_a_tree_tell(redactor) -> None:
    """Parameters and settings are masked by their names, also as name and value."""
    tree = {
        "db_password": "Kq8hunter",
        "env": [{"name": "X_TOKEN", "value": "abcdefg"}],
    }
    text = json.dumps(redactor.tree(tree))
    assert "Kq8hunter" not in text
    assert "abcdefg" not in text


def test_a_file_name_has_no_secret_and_no_sign(redactor) -> None:
    """A name for a file is masked and can be used anywhere; it is stable."""
    redactor.learn("secret/value")
    name = redactor.name("log of secret/value: 1.log")
    assert re.fullmatch(r"log-of-masked-[0-9a-f]{8}-1\.log", name)
    assert redactor.name(name) == name


def test_secrets_of_an_environment_are_found_by_name() -> None:
    """Values of telling names count, and passwords in addresses; settings do not."""
    environ = {
        "VAULT_TOKEN": "abc-123-def",
        "AWS_SECRET_ACCESS_KEY": "wJalr-made-up",
        "DATABASE_URL": "postgres://me:p%40ss-word@db/x",
        "https_proxy": "me:of-the-proxy@proxy:3128",  # it needs no scheme
        "NO_PROXY": "127.0.0.1,localhost",
        "MINE": "told-by-name",
        "GPG_KEY": "A035C8C19219BA821ECEA86B64E628F8D684696D",
        "SSH_AUTH_SOCK": "/run/user/1000/agent",
        "PWD": "/home/me",
        "TOKEN_FILE": "/run/secrets/token",
        "USE_TOKEN": "true",
        "PASSWORD": "short",
        "OLRUNBOOK_MASK_KEY": "00" * 32,
        "PATH": "/usr/bin",
    }
    assert set(secrets_of_environment(environ, ["MINE"])) == {
        "abc-123-def",
        "wJalr-made-up",
        "p%40ss-word",
        "p@ss-word",
        "of-the-proxy",
        "told-by-name",
    }


def test_what_detect_secrets_recognises_is_known() -> None:
    """Its expressions are written out in `patterns`: a new one must be looked at."""
    left_out = {"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector"}
    names = {kind.__name__ for kind in get_mapping_from_secret_type_to_class().values()}
    assert names - left_out == {
        "AWSKeyDetector",
        "ArtifactoryDetector",
        "AzureStorageKeyDetector",
        "BasicAuthDetector",
        "CloudantDetector",
        "DiscordBotTokenDetector",
        "GitHubTokenDetector",
        "GitLabTokenDetector",
        "IbmCloudIamDetector",
        "IbmCosHmacDetector",
        "JwtTokenDetector",
        "KeywordDetector",
        "MailchimpDetector",
        "NpmDetector",
        "OpenAIDetector",
        "PrivateKeyDetector",
        "PypiTokenDetector",
        "SendGridDetector",
        "SlackDetector",
        "SoftlayerDetector",
        "SquareOAuthDetector",
        "StripeDetector",
        "TelegramBotTokenDetector",
        "TwilioKeyDetector",
    }


def test_importing_it_costs_a_tool_nothing() -> None:
    """A supervisor imports the mask: the standard library, no detect-secrets."""
    program = "import sys, olrunbook.redact; print('detect_secrets' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"


def test_two_blobs_one_below_the_other_are_both_looked_into(redactor) -> None:
    """Without padding two lines look like one wrapped blob; each is tried alone."""
    text = b"#cloud-config\nnote: " + b"x" * 13
    assert len(text) % 3 == 0
    lines = [base64.b64encode(x).decode() for x in (text, gzip.compress(text))]
    shown = redactor.text("\n".join(lines))
    assert shown == "\n".join([redactor.mask(text.decode())] * 2)
