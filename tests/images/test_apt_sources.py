"""The Debian mirror is this machine's own, and no third party's."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from olrunbook.adapters.docker.apt_sources import Source, debian_sources, parse_sources

DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
 contrib

Types: deb
URIs: http://vendor.example/tools
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/vendor.gpg
"""


def etc(tmp_path: Path, **files: str) -> Path:
    """Return a folder like apt's configuration."""
    lists = tmp_path / "sources.list.d"
    lists.mkdir(parents=True)
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (lists / f"{stem}.{ending}").write_text(text)
    return tmp_path


def test_deb822_is_read_and_third_parties_are_left_out(tmp_path) -> None:
    """Suites keep their kind; a source signed by somebody else's key is not Debian."""
    folder = etc(tmp_path, debian_sources=DEB822)
    assert debian_sources("bookworm", folder) == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
        "deb http://mirror.example/debian-security bookworm-security main",
    ]


def test_another_release_of_the_machine_gives_the_wanted_one(tmp_path) -> None:
    """On a trixie machine the mirror is the same, the suite is the recipe's."""
    text = "deb [arch=amd64] http://mirror.example/debian trixie main # old form\n"
    folder = etc(tmp_path, a_list=text)
    assert debian_sources("bookworm", folder) == [
        "deb http://mirror.example/debian bookworm main"
    ]


def test_without_a_debian_mirror_nothing_is_named(tmp_path) -> None:
    """Another distribution's mirror is none; mmdebstrap then takes its default."""
    text = "deb http://mirror.example/ubuntu noble main\n"
    assert debian_sources("bookworm", etc(tmp_path, a_list=text)) == []


def test_a_security_archive_alone_is_no_distribution(tmp_path) -> None:
    """Without the main suite the lines would not make a system."""
    text = "deb http://mirror.example/debian-security bookworm-security main\n"
    assert debian_sources("bookworm", etc(tmp_path, a_list=text)) == []


def test_disabled_and_source_only_stanzas_are_left_out() -> None:
    """`Enabled: no` and `Types: deb-src` give nothing."""
    off = DEB822.replace("# a comment", "Enabled: no", 1)
    assert next(s.uri for s in parse_sources(off, deb822=True)).endswith("security")
    only = "Types: deb-src\nURIs: http://x/debian\nSuites: bookworm\nComponents: main\n"
    assert parse_sources(only, deb822=True) == []


def test_a_third_party_without_a_key_is_known_by_its_address() -> None:
    """Only an archive called debian is taken for Debian's."""
    assert Source("http://a/debian", "bookworm", ("main",)).of_debian
    assert not Source("http://a/tools", "bookworm", ("main",)).of_debian
    assert not Source("http://a/debian", "bookworm-pgdg", ("main",)).of_debian


@given(st.text(), st.booleans())
def test_no_text_breaks_the_reader(text, deb822) -> None:
    """Whatever lies in a sources file, it is read or passed over."""
    for source in parse_sources(text, deb822=deb822):
        assert source.uri
