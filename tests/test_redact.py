"""Masking: what is known never shows, in whatever clothes it comes."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.redact import MIN_LENGTH, Redactor, new_key

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
    told = Redactor(new_key(), on_learn=heard.append)
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
