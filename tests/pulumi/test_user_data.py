"""User data, decoded: by file and key, and never a secret."""

from __future__ import annotations

import base64
import gzip
import json
import string
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.redact import Redactor, new_key
from olrunbook.workers.pulumi.user_data import differences, files

TOKEN = "a-token-of-the-stage-42"


def b64(raw: str | bytes) -> str:
    """Return base64."""
    return base64.b64encode(raw.encode() if isinstance(raw, str) else raw).decode()


def config(*entries: dict[str, Any], **more: Any) -> str:
    """Return a cloud-config that writes files."""
    return "#cloud-config\n" + yaml.safe_dump({"write_files": list(entries), **more})


def env(text: str, **more: Any) -> dict[str, Any]:
    """Return a file of settings."""
    return {"path": "/etc/app.env", "content": text, **more}


def rows(old: str, new: str, *known: str, secret: bool = True) -> list[dict[str, str]]:
    """Return what differs."""
    redactor = Redactor(new_key(), known)
    return differences(files(old), files(new), redactor, secret=secret)


def short(old: str, new: str, *known: str) -> list[tuple[str, str, str, str]]:
    """Return what differs: file, key, old, new."""
    found = rows(old, new, *known)
    return [(r["file"], r["key"], r["old"], r["new"]) for r in found]


@pytest.mark.parametrize(
    "packed",
    [
        lambda text: text,
        b64,
        lambda text: b64(gzip.compress(text.encode())),
        lambda text: b64(b64(text)),
    ],
)
def test_a_cloud_config_is_opened_in_every_packing(packed: Any) -> None:
    """Plain, base64, gzip in base64."""
    text = config(env("A=1\nB=two\n"), runcmd=["systemctl restart app"])
    assert files(packed(text)) == {
        "/etc/app.env": {"A": "1", "B": "two"},
        "user data": {"runcmd[0]": "systemctl restart app"},
    }


@pytest.mark.parametrize("encoding", ["b64", "base64", "gz+b64", "gzip+base64"])
def test_the_content_of_a_written_file_is_decoded(encoding: str) -> None:
    """As cloud-init does by `encoding`."""
    raw = b"A=1\n"
    raw = gzip.compress(raw) if encoding.startswith("gz") else raw
    found = files(config(env(b64(raw), encoding=encoding, permissions=0o640)))
    assert found == {"/etc/app.env": {"A": "1", "(permissions)": "0640"}}


def test_a_file_of_json_is_read_by_its_keys() -> None:
    """Also what is inside."""
    text = json.dumps({"retry": ["a", "b"], "tls": {"on": True}})
    found = files(config({"path": "/etc/c.json", "content": text}))
    assert found == {
        "/etc/c.json": {"retry[0]": "a", "retry[1]": "b", "tls.on": "True"}
    }


def test_the_parts_of_a_mime_message_have_names() -> None:
    """A cloud-config is opened, a script is a text."""
    message = MIMEMultipart()
    message.attach(MIMEText(config(env("A=1")), "cloud-config"))
    script = MIMEText("#!/bin/sh\necho hello\n", "x-shellscript")
    script.add_header("Content-Disposition", "attachment", filename="boot.sh")
    message.attach(script)
    assert files(b64(message.as_string())) == {
        "/etc/app.env": {"A": "1"},
        "boot.sh": {"": "#!/bin/sh\necho hello\n"},
    }


def test_what_differs_is_said_by_file_and_key() -> None:
    """What is the same is not."""
    one = config(env("A=1\nB=2\nC=3"), {"path": "/gone", "content": "x"})
    two = config(env("A=1\nB=4\nD=5"))
    assert short(one, two) == [
        ("/etc/app.env", "B", "2", "4"),
        ("/etc/app.env", "C", "3", ""),
        ("/etc/app.env", "D", "", "5"),
        ("/gone", "", "x", ""),
    ]


def test_a_script_differs_by_lines() -> None:
    """Each with its number."""
    one, two = "#!/bin/sh\na\nb\nc\n", "#!/bin/sh\na\nB\nc\nd\n"
    assert short(one, two) == [
        ("user data", "line 3", "b", "B"),
        ("user data", "line 5", "", "d"),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (env(f"X={TOKEN}x"), env(f"X={TOKEN}")),  # old one known to nobody
        (env("X_PASSWORD=correcthorse"), env("X_PASSWORD=batterystaple")),
        (env("X=plainword", permissions="0600"), env("X=otherword")),
        (env(f"X={TOKEN}x"), env("Y=1")),
        (env("A=1"), env("A=zG81kdPq20xMbt3")),
        ({"path": "/k", "content": f"one\n{TOKEN}x\n"}, {"path": "/k", "content": "b"}),
    ],
)
def test_a_secret_is_a_mask_on_both_sides(old: Any, new: Any) -> None:
    """By what is known, by its name, by the file's mode, by its looks."""
    told = json.dumps(rows(config(old), config(new), TOKEN))
    assert "[masked:" in told
    for word in (
        TOKEN,
        "correcthorse",
        "batterystaple",
        "plainword",
        "otherword",
        "zG81",
    ):
        assert word not in told


def test_a_long_value_is_cut_and_never_inside_a_mask() -> None:
    """Half a mask would be another one in each run."""
    long = " ".join(f"word{'x' * at} {TOKEN}" for at in range(30))
    (row,) = rows(config(env("A=1")), config(env(f"A={long}")), TOKEN)
    assert row["new"].endswith("characters)")
    assert row["new"].count("[masked:") == row["new"].count("]")


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.binary() | st.text().map(str.encode), st.sampled_from(["", "z", "c", "m", "g"])
)
def test_no_bytes_make_it_fail(raw: bytes, how: str) -> None:
    """Broken gzip, broken YAML, half a MIME message: it is shown as it is."""
    text = raw.decode(errors="surrogateescape")
    if how in "zg":
        raw = gzip.compress(raw)[: -3 if how == "g" else None]
        text = b64(raw)
    text = {"c": "#cloud-config\n", "m": "MIME-Version: 1.0\n"}.get(how, "") + text
    found = files(text)
    assert differences(found, found, Redactor(new_key()), secret=True) == []
    differences({}, found, Redactor(new_key()), secret=True)


@given(TREES, TREES)
def test_no_cloud_config_makes_it_fail(one: Any, two: Any) -> None:
    """Also where the lists and keys that cloud-init knows hold something else."""
    text = "#cloud-config\n" + yaml.safe_dump({"write_files": one, "runcmd": two})
    assert files(b64(text)) is not None
    entry = {"path": one, "content": two, "encoding": one, "permissions": two}
    assert files(config(entry)) is not None


def test_a_yaml_that_names_itself_or_grows_ends() -> None:
    """Anchors make a tree endless, or a billion leaves."""
    assert files("#cloud-config\na: &a [*a]\n")
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    (found,) = files("#cloud-config\n" + "\n".join(lines)).values()
    assert 0 < len(found) <= 2000


@given(
    st.text(string.ascii_lowercase + string.digits, min_size=8, max_size=40),
    st.sampled_from(["", "b64", "gz+b64"]),
    st.sampled_from(["A={}", '{{"a": {{"b": "x {} y"}}}}', "one\n{}\ntwo {}\n"]),
    st.booleans(),
)
def test_a_known_secret_is_never_shown(
    value: str,
    encoding: str,
    form: str,
    added: bool,  # noqa: FBT001
) -> None:
    """In whatever file, format and encoding it stands."""
    raw = form.format(value, value).encode()
    packed = gzip.compress(raw) if encoding.startswith("gz") else raw
    content = b64(packed) if encoding else packed.decode()
    entry = {"path": "/f", "content": content, "encoding": encoding}
    new, old = config(entry, runcmd=[f"echo {value}"]), "" if added else config()
    assert value not in json.dumps(rows(b64(old), b64(new), value))
