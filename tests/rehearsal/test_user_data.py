"""User data as cloud-init understands it, and the tar of a first boot."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.rehearsal.machines.first_boot import FOLDER, first_boot_tar
from olrunbook.rehearsal.machines.user_data import WrittenFile, parse_user_data

CONFIG = b"""#cloud-config
write_files:
- path: /etc/plain
  content: |
    hello
  permissions: '0640'
  owner: admin:admin
- {path: /etc/more, content: end, append: true}
- {path: /etc/coded, encoding: gz+b64, content: %s}
runcmd:
- [sh, -c, 'echo "a b"']
- systemctl restart x
packages: [curl]
""" % base64.b64encode(gzip.compress(b"\x00\x01"))


def files_of(tar: bytes) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of a tar's files below the first-boot folder."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {
            entry.name.removeprefix(f"{FOLDER}/"): (
                entry.mode,
                opened.extractfile(entry).read(),  # type: ignore[union-attr]
            )
            for entry in opened.getmembers()
            if entry.isfile()
        }


class TestUserData:
    """What user data asks for."""

    def test_cloud_config(self) -> None:
        """Files with mode, owner and encoding; commands; and what is not done."""
        wanted = parse_user_data(CONFIG)
        assert wanted.files == [
            WrittenFile("/etc/plain", b"hello\n", "0640", "admin:admin"),
            WrittenFile("/etc/more", b"end", append=True),
            WrittenFile("/etc/coded", b"\x00\x01"),
        ]
        assert wanted.scripts == [
            b"#!/bin/sh\nsh -c 'echo \"a b\"'\nsystemctl restart x\n"
        ]
        assert wanted.notes == ["cloud-config key ignored: packages"]

    def test_script(self) -> None:
        """A script is a script, also compressed."""
        script = b"#!/bin/bash\ntrue\n"
        assert parse_user_data(script).scripts == [script]
        assert parse_user_data(gzip.compress(script)).scripts == [script]

    def test_parts(self) -> None:
        """Each part of a MIME message is read for itself."""
        message = MIMEMultipart()
        message.attach(MIMEText("#!/bin/sh\none\n", "x-shellscript"))
        message.attach(MIMEText(CONFIG.decode(), "cloud-config"))
        wanted = parse_user_data(message.as_bytes())
        assert len(wanted.files) == 3
        assert wanted.scripts[0].startswith(b"#!/bin/sh\none")
        assert len(wanted.scripts) == 2

    @pytest.mark.parametrize(
        "raw",
        [
            b"\x1f\x8bnot gzip",
            b"#cloud-config\n: [",
            b"#cloud-config\nwrite_files: [{content: x}]",
            b"#cloud-config\nwrite_files: [{path: /x, encoding: b64, content: abc}]",
            b"something else",
        ],
        ids=["gzip", "yaml", "no-path", "base64", "unknown"],
    )
    def test_odd_data_is_noted(self, raw: bytes) -> None:
        """What cannot be understood becomes a note; the instance still boots."""
        assert parse_user_data(raw).notes
        assert first_boot_tar("i-1", b"", raw)

    @given(st.binary(max_size=200))
    def test_never_fails(self, raw: bytes) -> None:
        """No user data keeps an instance from booting."""
        parse_user_data(raw)
        parse_user_data(b"#cloud-config\n" + raw)

    def test_nothing(self) -> None:
        """No user data asks for nothing."""
        assert parse_user_data(b"") == parse_user_data(b"\n")


class TestTar:
    """What is laid into a container before it starts."""

    def test_holds_key_files_and_scripts(self) -> None:
        """Key and id are there; user data and scripts are for root alone."""
        found = files_of(first_boot_tar("i-42", b"ssh-ed25519 AAAA x\n", CONFIG))
        assert found["instance-id"] == (0o644, b"i-42")
        assert found["key.pub"][1].startswith(b"ssh-ed25519")
        assert found["user-data"] == (0o600, CONFIG)
        assert found["file0"] == (0o600, b"hello\n")
        assert found["scripts/00"][0] == 0o700
        assert b"chown admin:admin /etc/plain" in found["files.sh"][1]
        assert b">>/etc/more" in found["files.sh"][1]

    def test_overwrites_an_earlier_life(self) -> None:
        """Scripts of the instance an image was made from are not run again."""
        found = files_of(first_boot_tar("i-43", b"", b""))
        scripts = {
            name: body for name, (_, body) in found.items() if "scripts/" in name
        }
        assert set(scripts.values()) == {b"#!/bin/sh\n"}

    def test_quotes_paths(self) -> None:
        """A path cannot become a command."""
        raw = b"#cloud-config\nwrite_files: [{path: '/x; rm -rf /', content: a}]"
        found = files_of(first_boot_tar("i-44", b"", raw))
        assert b">'/x; rm -rf /'" in found["files.sh"][1]
