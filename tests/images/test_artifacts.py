"""Artifacts: nothing unverified is ever used, and its source is known."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from olrunbook.artifacts.cache import ArtifactSpec, fetch, fetch_all, read_versions
from olrunbook.artifacts.downloads import download, from_maven
from olrunbook.artifacts.standin_archive import write_stand_in
from olrunbook.errors import ToolError, UsageError
from olrunbook.events import Event

JAR = b"a jar"
SHA = hashlib.sha256(JAR).hexdigest()
COPY = """
for arg; do case $arg in -DoutputDirectory=*) folder=${{arg#*=}};; esac; done
printf '%s' "{text}" > "$folder/tool-1.0.jar"
echo called >> "{log}"
"""


def jar(**more: object) -> ArtifactSpec:
    """Return a Maven artifact with its checksum."""
    values = {
        "name": "tool",
        "version": "1.0",
        "file": "tool-{version}.jar",
        "maven": "org.example:tool:{version}",
        "sha256": {"1.0": SHA},
    }
    return ArtifactSpec.model_validate({**values, **more})


@pytest.fixture
def maven(act: Callable[[str, str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes `mvn` copy a text; it returns the calls' log."""
    log = tmp_path / "mvn.log"

    def make(text: str) -> Path:
        act("mvn", COPY.format(text=text, log=log))
        return log

    return make


def test_a_jar_is_checked_kept_and_not_got_twice(cache, maven) -> None:
    """The first call gets and checks it; the second one uses the cache."""
    log = maven("a jar")
    first = fetch(jar())
    assert (first.sha256, first.source) == (SHA, "maven")
    assert first.path.read_bytes() == JAR
    assert fetch(jar()) == first
    assert log.read_text().count("called") == 1


def test_a_wrong_jar_is_not_used(cache, maven) -> None:
    """A file that is not what its checksum names ends in an error, and is not kept."""
    maven("another jar")
    with pytest.raises(ToolError, match="wanted " + SHA):
        fetch(jar())
    assert not list(cache.rglob("*.jar"))


def test_a_file_changed_in_the_cache_is_got_again(cache, maven) -> None:
    """What lies in the cache is checked each time it is used."""
    log = maven("a jar")
    path = fetch(jar()).path
    path.write_bytes(b"changed by somebody")
    assert fetch(jar()).path.read_bytes() == JAR
    assert log.read_text().count("called") == 2


def test_an_artifact_without_a_checksum_is_refused(cache) -> None:
    """A version nobody pinned cannot be checked, so it is not got."""
    with pytest.raises(UsageError, match=r"tool 2\.0 has no sha256") as caught:
        fetch(jar(version="2.0"))
    assert "TOOL_SHA256" in caught.value.hint


def test_an_artifact_that_cannot_be_had_names_each_try(cache, act) -> None:
    """The error says what every source answered."""
    act("mvn", "echo '[ERROR] no such artifact'; exit 1")
    with pytest.raises(ToolError, match="maven: no such artifact"):
        fetch(jar())


def test_a_stand_in_says_that_it_is_one(tmp_path) -> None:
    """Its binary and its licence say so, and the same version gives the same bytes."""
    write_stand_in("vault", "1.2.3", tmp_path / "a.zip")
    write_stand_in("vault", "1.2.3", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["vault", "LICENSE.txt"]
        assert b"not HashiCorp's vault" in archive.read("vault")
        assert archive.getinfo("vault").external_attr >> 16 & 0o111


def product(**more: object) -> ArtifactSpec:
    """Return a product of a vendor that cannot be reached."""
    values = {
        "name": "vault",
        "version": "1.2.3",
        "file": "vault_{version}.zip",
        "url": "https://vendor.invalid/vault_{version}.zip",
        "checksums": "https://vendor.invalid/SHA256SUMS",
        "stand_in": True,
    }
    return ArtifactSpec.model_validate({**values, **more})


def test_a_stand_in_takes_the_place_of_what_cannot_be_reached(cache) -> None:
    """Its source is `stand-in`, and what is told says why."""
    told: list[Event] = []
    found = fetch(product(), told.append)
    assert found.source == "stand-in"
    assert "is a stand-in, not the vendor's program" in told[-1].text
    assert "vendor:" in told[-1].text


def test_who_names_a_checksum_gets_no_stand_in(cache) -> None:
    """A pinned version is wanted as it is, or not at all."""
    with pytest.raises(ToolError, match="could not be fetched"):
        fetch(product(sha256={"1.2.3": SHA}))


def test_the_vendor_is_asked_again_after_an_hour(cache) -> None:
    """A stand-in is used for an hour without asking; then the vendor may be back."""
    told: list[Event] = []
    path = fetch(product()).path
    fetch(product(), told.append)
    assert not told
    past = time.time() - 3700
    os.utime(path.parent / "source.json", (past, past))
    fetch(product(), told.append)
    assert told


def test_only_https_is_asked(tmp_path) -> None:
    """Neither plain http nor a file is an address of a vendor."""
    for url in ("http://192.0.2.7/x", "file:///etc/passwd"):
        with pytest.raises(OSError, match="not https"):
            download(url, tmp_path / "x")


def test_without_maven_the_reader_is_told(tmp_path, monkeypatch) -> None:
    """A machine without mvn is no mystery."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install maven" in from_maven("a:b:1", tmp_path / "b-1.jar")


def test_versions_can_be_set_by_the_environment(tmp_path) -> None:
    """NAME_VERSION and NAME_SHA256 override the file."""
    path = tmp_path / "versions.toml"
    path.write_text('[my-tool]\nversion = "1"\nfile = "t-{version}"\n')
    env = {"MY_TOOL_VERSION": "2", "MY_TOOL_SHA256": "AB"}
    found = read_versions(path, env)["my-tool"]
    assert (found.version, found.sha256, found.filled(found.file)) == (
        "2",
        {"2": "ab"},
        "t-2",
    )


@pytest.mark.parametrize(
    "text", ["not toml", "[a]\nversion = 1", "[a]\nnope = 'x'", "a = 1", "a = '\xff'"]
)
def test_a_wrong_versions_file_is_named(tmp_path, text) -> None:
    """The error names the file."""
    path = tmp_path / "versions.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"versions\.toml"):
        read_versions(path)


def test_an_image_without_versions_needs_no_artifact(tmp_path) -> None:
    """A deploy folder need not have a versions.toml."""
    assert fetch_all(tmp_path / "versions.toml") == []
