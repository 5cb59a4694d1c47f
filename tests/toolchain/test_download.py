"""A vendor's release is taken whole and checked, or the tool is built, or refused."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from olrunbook.artifacts import downloads
from olrunbook.errors import ToolError, UsageError
from olrunbook.events import Event
from olrunbook.toolchain import chain, download, find
from olrunbook.toolchain.__main__ import main
from olrunbook.toolchain.cache import Cache
from olrunbook.toolchain.model import ToolFound
from olrunbook.toolchain.pins import PINS, Pin
from tests.toolchain.support import PACKER, PLUGIN, PULUMI, program
from tests.toolchain.vendor import (
    SAYS,
    Answer,
    Vendor,
    archive_of,
    begin,
    redirect,
    script,
    tarred,
    zipped,
)

SUMS = f"/{PACKER.filled(PACKER.release.sums)}"


def had(pin: Pin, cache: Cache) -> tuple[ToolFound, list[str]]:
    """Return a tool as a command would have it, and what was told."""
    events: list[Event] = []
    found = chain.ensure([pin.name], events.append, cache=cache).tools[pin.name]
    return found, [event.text for event in events]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for an answer one second, not five."""
    monkeypatch.setattr(downloads, "ANSWER_S", 1.0)


@pytest.mark.parametrize("pin", PINS.values(), ids=list(PINS))
def test_a_release_is_downloaded_checked_and_kept(
    pin: Pin, cache: Cache, vendor: Vendor
) -> None:
    """It runs, comes from the vendor's host, and is not asked for again."""
    vendor.offer(pin)
    found, told = had(pin, cache)
    said = subprocess.run([found.path, "version"], check=True, capture_output=True)
    assert said.stdout.decode().strip() == SAYS[pin.name]
    host = vendor.url.removeprefix("http://")
    assert (found.how, found.host, found.version) == ("downloaded", host, pin.version)
    assert f"downloaded from {host}" in str(found)
    assert f"downloaded from {host}" in found.told
    assert f"downloading from {host}" in told[0]
    assert told[-1].startswith(f"{pin.title}: downloaded from {host} in ")
    manifest = json.loads((cache.folder(pin) / "manifest.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(script(pin)).hexdigest()
    archive = hashlib.sha256(archive_of(pin)).hexdigest()
    assert manifest["archive_sha256"] == archive
    asked = len(vendor.asked)
    assert had(pin, cache) == (found, [])
    assert len(vendor.asked) == asked
    kept = {path.name for path in cache.folder(pin).rglob("*") if path.is_file()}
    beside = {f"{found.path.name}_SHA256SUM"} if pin is PLUGIN else set()
    assert kept == {found.path.name, "manifest.json", "checked.json"} | beside


def test_packer_would_take_the_plugin(
    cache: Cache, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies where Packer looks, under its name, with its digest beside it."""
    vendor.offer(PLUGIN)
    found, _ = had(PLUGIN, cache)
    monkeypatch.setenv("PACKER_PLUGIN_PATH", str(found.plugins))
    assert [tool.path for tool in find.plugins()] == [found.path]


def test_a_download_that_was_changed_is_refused(cache: Cache, vendor: Vendor) -> None:
    """From then on the digest in the manifest counts, as for what was built."""
    vendor.offer(PULUMI)
    found, _ = had(PULUMI, cache)
    found.path.write_text("something else")
    with pytest.raises(ToolError, match="is not what was downloaded: sha256"):
        had(PULUMI, cache)


@pytest.mark.usefixtures("go")
def test_a_wrong_checksum_is_an_error(cache: Cache, vendor: Vendor) -> None:
    """Both digests are named, nothing is kept, and nothing is built in its place."""
    vendor.offer(PACKER, listed="a" * 64)
    with pytest.raises(ToolError) as caught:
        had(PACKER, cache)
    assert hashlib.sha256(archive_of(PACKER)).hexdigest() in str(caught.value)
    assert "a" * 64 in str(caught.value)
    assert "OLRUNBOOK_HASHICORP_URL=none" in caught.value.hint
    assert list(cache.tools.iterdir()) == []


def missing(handler: BaseHTTPRequestHandler) -> None:
    """Have no such file."""
    handler.send_error(404)


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    """Send less than was said."""
    begin(handler, 1000)
    handler.wfile.write(b"half")


def stalls(handler: BaseHTTPRequestHandler) -> None:
    """Begin to send, and send no more."""
    cut_off(handler)
    handler.server.over.wait(60)


def silent(handler: BaseHTTPRequestHandler) -> None:
    """Take the request and say nothing."""
    handler.server.over.wait(60)


def trickles(handler: BaseHTTPRequestHandler) -> None:
    """Say something all the time, and never come to the point."""
    handler.send_response(200)
    while not handler.server.over.wait(0.2):
        handler.send_header("X-Wait", "please")
        handler.flush_headers()


def no_http(handler: BaseHTTPRequestHandler) -> None:
    """Answer in no language of ours."""
    handler.wfile.write(b"hello\r\n\r\n")


def refused_for(why: str, cache: Cache, vendor: Vendor) -> None:
    """See that Packer is built, and that two lines say why it was not downloaded."""
    found, told = had(PACKER, cache)
    assert (found.how, found.host, found.path.read_text()) == ("built", "", "built\n")
    host = vendor.url.removeprefix("http://")
    lines = [line for line in told if f"; not downloaded: {host}: " in line]
    assert [line.split()[2] for line in lines] == ["building", "built"]
    assert why in lines[0]
    assert [path.name for path in cache.tools.iterdir()] == ["packer-1.15.4"]


@pytest.mark.usefixtures("go", "impatient")
@pytest.mark.parametrize("place", ["list", "archive"])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (missing, "HTTP 404: Not Found"),
        (cut_off, "cut off after 4 of 1000 bytes"),
        (stalls, "nothing more within 1 s, after 4 of 1000 bytes"),
        (silent, "no answer within 1 s"),
        (trickles, "no answer within 1 s"),
        (no_http, "hello"),
        (redirect("http://192.0.2.1/x"), "http://192.0.2.1/x, which is not https"),
        (redirect("file:///etc/passwd"), "not allowed"),
    ],
    ids=["404", "cut off", "stalls", "silent", "trickles", "no http", "away", "file"],
)
def test_what_cannot_be_had_is_built(
    answer: Answer, why: str, place: str, cache: Cache, vendor: Vendor
) -> None:
    """One line says why it was not downloaded, before the build and at its end."""
    archive = vendor.offer(PACKER)
    vendor.answers[SUMS if place == "list" else archive] = answer
    refused_for(why, cache, vendor)


@pytest.mark.usefixtures("go")
def test_a_disk_that_is_full_is_no_vendor_s_fault(cache: Cache, vendor: Vendor) -> None:
    """It is an error that says what to do; nothing is built on that disk."""
    vendor.offer(PACKER)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(ToolError, match=r"tools cannot be written: ") as caught:
            had(PACKER, cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "OLRUNBOOK_CACHE" in caught.value.hint
    assert list(cache.tools.iterdir()) == []


@pytest.mark.usefixtures("go")
def test_a_list_that_does_not_name_the_file_is_no_list(
    cache: Cache, vendor: Vendor
) -> None:
    """A page of somebody else's says nothing about the file."""
    vendor.offer(PACKER)
    vendor.answers[SUMS] = b"<html>Please log in \xff</html>"
    refused_for("not in the vendor's checksums", cache, vendor)


@pytest.mark.usefixtures("go")
def test_a_refused_connection_is_passed_over(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody listens the tool is built, at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv(PACKER.release.env, f"http://127.0.0.1:{port}")
    found, told = had(PACKER, cache)
    assert found.how == "built"
    assert "refused" in told[-1]


@pytest.mark.usefixtures("go", "impatient")
def test_a_host_that_did_not_answer_is_asked_once(
    cache: Cache, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    """Set-up has each tool in a process of its own: only the first one waits."""
    vendor.offer(PLUGIN)
    vendor.answers[SUMS] = silent
    for name in ("packer", "packer-plugin-amazon"):
        assert main(["ensure", "--events", "--keep-build", name]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    built = [message["text"] for message in said if message["state"] == "built"]
    assert len(built) == 2
    assert all("not downloaded" in text and "no answer" in text for text in built)
    assert vendor.asked == [SUMS]
    past = time.time() - download.SILENT_S
    for mark in cache.build.glob("silent-*"):
        os.utime(mark, (past, past))
    vendor.offer(PULUMI)
    assert had(PULUMI, cache)[0].how == "downloaded"  # by now it may answer again


@pytest.mark.usefixtures("go")
def test_a_host_that_has_not_this_one_is_asked_for_the_next(
    cache: Cache, vendor: Vendor
) -> None:
    """404 is an answer."""
    vendor.offer(PLUGIN)
    found = chain.ensure(["packer", "packer-plugin-amazon"], cache=cache).tools
    assert [tool.how for tool in found.values()] == ["built", "downloaded"]


def test_a_slow_transfer_that_goes_on_is_waited_for(
    cache: Cache, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take longer than an answer, and says where it is."""
    monkeypatch.setattr(downloads, "ANSWER_S", 2.0)
    monkeypatch.setattr(download, "NEWS_S", 0.3)
    data = archive_of(PACKER)
    size = len(data) // 5

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, len(data))
        for at in range(0, len(data), size):
            handler.wfile.write(data[at : at + size])
            handler.server.over.wait(0.5)

    vendor.answers[vendor.offer(PACKER)] = slowly
    found, told = had(PACKER, cache)
    assert found.how == "downloaded"
    assert any(line.endswith("of 0 MB") for line in told)


def test_a_redirect_is_followed_on_loopback(cache: Cache, vendor: Vendor) -> None:
    """GitHub sends who asks for a file of a release to another host."""
    path = vendor.offer(PULUMI)
    vendor.answers["/elsewhere"] = vendor.answers[path]
    vendor.answers[path] = redirect(f"http://localhost:{vendor.server_port}/elsewhere")
    found, _ = had(PULUMI, cache)
    assert found.how == "downloaded"
    assert "/elsewhere" in vendor.asked


@pytest.mark.usefixtures("go")
@pytest.mark.parametrize(
    ("pin", "archive", "why"),
    [
        (
            PACKER,
            zipped({"packer": b"x", "../packer": b"x"}),
            r"out of it: \.\./packer",
        ),
        (PACKER, zipped({"packer": b"x", "/bin/packer": b"x"}), "out of it: /bin"),
        (PULUMI, tarred({"pulumi/pulumi": b"", "pulumi/../../x": b""}), "out of it"),
        (PULUMI, tarred({}, {"pulumi/pulumi": "/bin/sh"}), "no program pulumi/pulumi"),
        (PACKER, zipped({"bin/packer": b"x"}), "has no program packer"),
        (PACKER, b"no archive", "cannot be unpacked"),
        (PULUMI, b"no archive", "cannot be unpacked"),
        (PULUMI, archive_of(PULUMI)[:99], "cannot be unpacked"),
    ],
    ids=["up", "root", "up tar", "link", "no member", "no zip", "no tar", "half a tar"],
)
def test_a_bad_archive_is_an_error(
    pin: Pin, archive: bytes, why: str, cache: Cache, vendor: Vendor
) -> None:
    """An archive its vendor vouches for, and that is none, is not used at all."""
    vendor.offer(pin, archive)
    with pytest.raises(ToolError, match=why) as caught:
        had(pin, cache)
    assert "Nothing of it was kept" in caught.value.hint
    assert list(cache.tools.iterdir()) == []


@pytest.mark.parametrize(
    "value", ["http://vendor.example", "vendor.example", "https://", "https://u:p@h/x"]
)
def test_a_base_that_is_not_asked_is_refused(
    value: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong address is a wrong call; nothing was changed."""
    monkeypatch.setenv("OLRUNBOOK_PULUMI_URL", value)
    with pytest.raises(UsageError, match="OLRUNBOOK_PULUMI_URL is not an https"):
        chain.ensure(cache=cache)
    assert not cache.root.exists()


def test_the_proxy_of_the_environment_is_asked(
    cache: Cache, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies are the user's settings, as for any program in Python."""
    vendor.offer(PACKER)
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", vendor.url)
    monkeypatch.setenv(PACKER.release.env, "http://127.0.0.1:9")
    found, _ = had(PACKER, cache)
    assert (found.how, found.host) == ("downloaded", "127.0.0.1:9")


@pytest.mark.usefixtures("go")
def test_the_command_says_where_each_tool_is_from(
    vendor: Vendor, tmp_path: Path
) -> None:
    """`olrunbook tools`: found on PATH, downloaded from whom, or built from source."""
    vendor.offer(PACKER)
    path = program(tmp_path / "bin" / "pulumi", "v3.259.0")
    argv = [Path(sys.executable).with_name("olrunbook"), "tools"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True)
    host = vendor.url.removeprefix("http://")
    lines = [" ".join(line.split()) for line in said.stdout.splitlines()]
    assert lines[0].startswith(f"packer 1.15.4 downloaded from {host} /")
    assert lines[1].startswith("packer-plugin-amazon 1.8.2 built from source /")
    assert lines[2] == f"pulumi 3.259.0 on the PATH {path}"
    argv += ["--json"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True)
    tools = json.loads(said.stdout)["tools"]
    origins = [(tool["how"], tool["version"], tool["host"]) for tool in tools.values()]
    assert origins == [
        ("downloaded", "1.15.4", host),
        ("built", "1.8.2", ""),
        ("path", "3.259.0", ""),
    ]


@pytest.mark.parametrize(
    ("uname", "packer", "pulumi"),
    [
        ("Linux x86_64", "linux_amd64", "linux-x64"),
        ("Linux aarch64", "linux_arm64", "linux-arm64"),
        ("Darwin x86_64", "darwin_amd64", "darwin-x64"),
        ("Darwin arm64", "darwin_arm64", "darwin-arm64"),
    ],
)
def test_addresses_are_those_the_vendors_name(
    uname: str, packer: str, pulumi: str
) -> None:
    """As the sources in `pins.toml` have them, on each machine."""
    hashicorp, plugin = "packer/1.15.4/packer_1.15.4_", "packer-plugin-amazon"
    filled = [pin.filled(pin.release.archive, uname) for pin in PINS.values()]
    assert filled == [
        f"{hashicorp}{packer}.zip",
        f"{plugin}/1.8.2/{plugin}_1.8.2_{packer}.zip",
        f"v3.259.0/pulumi-v3.259.0-{pulumi}.tar.gz",
    ]
    assert [pin.filled(pin.release.sums) for pin in PINS.values()] == [
        f"{hashicorp}SHA256SUMS",
        f"{plugin}/1.8.2/{plugin}_1.8.2_SHA256SUMS",
        "v3.259.0/pulumi-3.259.0-checksums.txt",
    ]
    assert PLUGIN.filled(PLUGIN.release.member, uname) == (
        f"{plugin}_v1.8.2_x5.0_{packer}"
    )
