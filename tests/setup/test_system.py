"""System packages: what is missing is named and installed, once agreed."""

from __future__ import annotations

import io

import pytest

from setup import system
from setup.report import Report, SetupError
from tests.setup.support import Fakes, nobody


def need(fakes: Fakes, name: str) -> system.Need:
    """Return a need for a program of the same name."""
    return system.Need(name, "for a test", (fakes.folder / name).exists)


def test_nothing_missing_asks_nothing(fakes: Fakes, report: Report) -> None:
    """Neither apt nor sudo is touched when all is there."""
    fakes.add("thing")
    fakes.add("apt-get")
    system.install(report, [need(fakes, "thing")], nobody())
    assert fakes.calls == []


APT = """case "$*" in
  *install*) touch="$(dirname "$0")/thing"; echo '#!/bin/sh' >"$touch" ;;
esac"""


@pytest.mark.parametrize("root", [True, False])
def test_what_is_missing_is_installed(
    fakes: Fakes, report: Report, out: io.StringIO, *, root: bool
) -> None:
    """Listed with its use first, then installed: as root, or with sudo once agreed."""
    for name in ("env", "dirname"):
        (fakes.folder / name).symlink_to(f"/usr/bin/{name}")
    fakes.add("apt-get", APT)
    fakes.add("sudo", '[ "$1" = -n ] || exec "$@"')
    rights = nobody(0 if root else 1000, agreed=True)
    system.install(report, [need(fakes, "thing")], rights)
    lines = out.getvalue().splitlines()
    assert "thing (for a test)" in lines[0]
    assert lines[-1].split() == ["system", "packages", "done", "0", "s", "thing"]
    apt = [call for call in fakes.calls if call.startswith("apt-get")]
    assert apt[0].endswith("update")
    assert apt[1].endswith("--yes --no-install-recommends thing")
    assert any(call.startswith("sudo") for call in fakes.calls) is not root


def test_what_cannot_be_installed_is_named(fakes: Fakes, report: Report) -> None:
    """A package that does not bring its program is an error, not a success."""
    (fakes.folder / "env").symlink_to("/usr/bin/env")
    fakes.add("apt-get")
    with pytest.raises(SetupError, match="still not found: thing"):
        system.install(report, [need(fakes, "thing")], nobody(0))


def test_without_apt_the_list_is_the_answer(fakes: Fakes, report: Report) -> None:
    """On another distribution the reader learns what to install and what for."""
    with pytest.raises(SetupError, match=r"missing: thing \(for a test\)"):
        system.install(report, [need(fakes, "thing")], nobody(0))


def test_only_the_tests_need_a_browser() -> None:
    """A release does not install chromium, reading records installs nothing."""
    names = {
        kind: [one.package for one in system.needs(root=True, **kind_of)]
        for kind, kind_of in {
            "read": {"rehearsal": False, "browser": False},
            "release": {"rehearsal": True, "browser": False},
            "test": {"rehearsal": True, "browser": True},
        }.items()
    }
    assert len(names["read"]) == 1
    assert "mmdebstrap" in names["release"]
    assert set(names["test"]) - set(names["release"]) == {"chromium"}


def test_maven_is_not_wanted_where_mvn_is(fakes: Fakes) -> None:
    """A tool that is there by other means counts."""
    fakes.add("mvn")
    wanted = system.needs(rehearsal=True, browser=False, root=True)
    absent = [one.package for one in system.missing(wanted)]
    assert "maven" not in absent
    assert {"mmdebstrap", "docker.io", "openssh-client"} <= set(absent)
