"""docs/adopting.md and docs/accounts.md can be followed word for word."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

from click import Context, Group

from olrunbook.cli import cli
from olrunbook.project.catalog import Catalog, Project

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page: str) -> list[str]:
    """Return the indented blocks of a page."""
    found = re.findall(r"(?m)(?:^(?: {4}.*|)\n)+", (DOCS / page).read_text())
    return [textwrap.dedent(text).strip() for text in found if text.strip()]


def tables(page: str) -> list[str]:
    """Return the blocks of a page that are tables of a catalog; the whole one first."""
    return [text for text in blocks(page) if re.match(r"\[[a-z]+\.|schema = 1\n", text)]


def loaded(root: Path, *texts: str) -> Catalog:
    """Return the catalog of some texts, beside the file of signers that it names."""
    (root / "allowed_signers").write_text("ann@example.org ssh-ed25519 AAAA\n")
    (root / "catalog.toml").write_text("\n\n".join(texts))
    return Project(root, root / "catalog.toml").catalog


def test_the_catalog_of_the_page_is_one(tmp_path: Path) -> None:
    """All apps are read as they stand there, and what they inherit."""
    catalog = loaded(tmp_path, *tables("adopting.md"))
    assert set(catalog.apps) == {"concourse", "consul", "consul-data", "vault"}
    tools = catalog.apps["vault"].tools.over(catalog.tools)
    assert tools.packer.before[0].holds == "CONSUL_ENCRYPT="
    assert tools.pulumi.prefix[:2] == ["uv", "run"]
    for app in catalog.apps.values():
        app.image.require_place(app.image.deploy.split("/")[-2])


def test_the_pin_of_the_page_takes_the_place_of_the_look_up(tmp_path: Path) -> None:
    """The line is put where the page says, in the app that the page speaks of."""
    page = blocks("adopting.md")
    (pin,) = (text for text in page if text.startswith("image_config = "))
    text = tables("adopting.md")[0].replace("image_lookup = true", pin, 1)
    stack = loaded(tmp_path, text).apps["concourse"].stack
    assert stack is not None
    assert not stack.image_lookup
    assert set(stack.image_config) == {"web", "worker"}


def test_what_the_page_releases_has_a_stack(tmp_path: Path) -> None:
    """An app without one is refused; each name in a command is an app's."""
    apps = loaded(tmp_path, *tables("adopting.md")).apps
    text = "\n".join(blocks("adopting.md"))
    words = r"olrunbook (?:release|doctor|status|run \w+ --app) (\S+)"
    named = set(re.findall(words, text))
    assert named == {"concourse", "consul-data"}
    assert all(apps[name].stack for name in named)


def test_each_command_of_the_page_can_be_typed(tmp_path: Path, monkeypatch) -> None:
    """With its options, for the apps, stages and the account of its catalog."""
    loaded(tmp_path, *tables("adopting.md"))
    monkeypatch.setenv("OLRUNBOOK_PROJECT", str(tmp_path))
    page = "\n".join(blocks("adopting.md"))
    typed = re.findall(r"(?m)^(?:\$ )?olrunbook (.+)$", page)
    assert len(typed) > 8
    for line in typed:
        context, command = Context(cli, info_name="olrunbook"), cli
        words = shlex.split(line)
        while isinstance(command, Group):
            name, found, words = command.resolve_command(context, words)
            assert name, line
            assert found, line
            context = found.make_context(name, words, context)
            command, words = found, [*context._protected_args, *context.args]


def test_the_account_of_the_page_is_a_target(tmp_path: Path) -> None:
    """With its gate, and the file of those who may sign."""
    target = tables("accounts.md")
    catalog = loaded(tmp_path, tables("adopting.md")[0], *target)
    gate = catalog.targets["production"].gates["Production"]
    assert len(target) == 1
    assert (gate.people, gate.signature) == (2, True)
