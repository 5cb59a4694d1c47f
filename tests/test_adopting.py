"""docs/adopting.md can be followed word for word."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from olrunbook.project.catalog import load_catalog

PAGE = Path(__file__).resolve().parents[1] / "docs" / "adopting.md"


def blocks() -> list[str]:
    """Return the indented blocks of the page."""
    found = re.findall(r"(?m)(?:^(?: {4}.*|)\n)+", PAGE.read_text())
    return [textwrap.dedent(text).strip() for text in found if text.strip()]


def test_the_catalog_of_the_page_is_one(tmp_path) -> None:
    """All three apps are read as they stand there, and what they inherit."""
    (text,) = (block for block in blocks() if block.startswith("schema = 1"))
    (more,) = (block for block in blocks() if block.startswith("[apps.consul-data]"))
    more = more.partition("\n\nolrunbook")[0]
    (tmp_path / "catalog.toml").write_text(f"{text}\n\n{more}\n")
    catalog = load_catalog(tmp_path / "catalog.toml")
    assert set(catalog.apps) == {"concourse", "consul", "consul-data", "vault"}
    tools = catalog.apps["vault"].tools.over(catalog.tools)
    assert tools.packer.before[0].holds == "CONSUL_ENCRYPT="
    assert tools.pulumi.prefix[:2] == ["uv", "run"]
    for app in catalog.apps.values():
        app.image.require_place(app.image.deploy.split("/")[-2])
