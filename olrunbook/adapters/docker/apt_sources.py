"""Find the Debian mirror this machine's apt uses, so that no host need be named."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from email import message_from_string
from pathlib import Path
from typing import NamedTuple

APT = Path("/etc/apt")
_RELEASE = re.compile(
    r"(stable|testing|unstable|oldstable|oldoldstable|sid|buster|bullseye|bookworm|trixie"
    r"|forky|duke)(-updates|-security)?"
)
_LINE = re.compile(
    r"^[ \t]*deb[ \t]+(?:\[([^\]\n]*)\][ \t]+)?(\S+)[ \t]+(\S+)((?:[ \t]+[^#\s]+)+)",
    re.MULTILINE,
)
_PROXY = re.compile(
    r'^(Acquire::(?:http|https)::[\w:.-]*Proxy[\w:.-]*) "(.+)";$', re.IGNORECASE
)


class Source(NamedTuple):
    """One line of apt's sources: a place, a suite, its components."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def of_debian(self) -> bool:
        """Whether this is Debian's own archive and not a third party's."""
        if not _RELEASE.fullmatch(self.suite) or "main" not in self.components:
            return False
        if self.signed_by:
            return "debian-archive" in self.signed_by
        # Without a key named, apt trusts Debian's; a third party's must be named.
        return self.uri.rstrip("/").rsplit("/", 1)[-1].startswith("debian")


def debian_sources(suite: str, folder: Path = APT) -> list[str]:
    """Return lines for sources.list of a release, from this machine's Debian mirror.

    Returns:
        Nothing where this machine has no Debian mirror: mmdebstrap then takes its own
        default.

    """
    wanted: dict[str, None] = {}
    for source in _read(folder):
        if source.of_debian and (found := _RELEASE.fullmatch(source.suite)):
            wanted[f"deb {source.uri} {suite}{found[2] or ''} main"] = None
    # A security archive alone is no distribution.
    whole = any(line.endswith(f" {suite} main") for line in wanted)
    return list(wanted) if whole else []


def proxy_options() -> list[str]:
    """Return apt's proxy settings of this machine, as options for another apt."""
    if not shutil.which("apt-config"):
        return []
    done = subprocess.run(
        ["apt-config", "dump"], capture_output=True, text=True, check=False
    )
    found = (_PROXY.match(line) for line in done.stdout.splitlines())
    return [f'{match.group(1)} "{match.group(2)}"' for match in found if match]


def _read(folder: Path) -> list[Source]:
    lists = folder / "sources.list.d"
    files = [folder / "sources.list"]
    if lists.is_dir():
        files += sorted(lists.iterdir())
    found: list[Source] = []
    for path in files:
        if path.suffix in (".list", ".sources") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            found += parse_sources(text, deb822=path.suffix == ".sources")
    return found


def parse_sources(text: str, *, deb822: bool) -> list[Source]:
    """Return the binary sources of one file of apt's, in either of its two forms."""
    if deb822:
        stanzas = re.split(r"\n[ \t]*\n", text)
        return [source for stanza in stanzas for source in _stanza(stanza)]
    found = []
    for options, uri, suite, components in _LINE.findall(text):
        key = re.search(r"signed-by=(\S+)", options, re.IGNORECASE)
        signed_by = key[1] if key else ""
        found.append(Source(uri, suite, tuple(components.split()), signed_by))
    return found


def _stanza(text: str) -> Iterable[Source]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    fields = message_from_string("\n".join(lines))  # the form of an email's head
    if "deb" not in fields.get("types", "").split():
        return
    if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
        return
    components = tuple(fields.get("components", "").split())
    for uri in fields.get("uris", "").split():
        for suite in fields.get("suites", "").split():
            yield Source(uri, suite, components, fields.get("signed-by", ""))
