"""100 secrets in every place of a run: none may be found in any byte of its record."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.parse import quote

import pytest

from olrunbook.archive.place import list_runs
from olrunbook.cli.lab import masking_hook
from olrunbook.engine.session import Session, run_notebook
from olrunbook.redact import Redactor, new_key

_SPEC = spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
planted = module_from_spec(_SPEC)
_SPEC.loader.exec_module(planted)

HEAD = """# parameters
from olrunbook import App
app: App = "tika"
db_password: str = "none-yet"
"""
SETUP = """
import base64, gzip, html, json, os, pathlib, subprocess, sys
from IPython.display import HTML, JSON, SVG, Latex, Markdown, display
from olrunbook.processes.tool import Command, Tool
from olrunbook.record.journal import Journal
from olrunbook.redact import Redactor
folder = pathlib.Path(os.environ["OLRUNBOOK_RUN_DIR"])
redactor = Redactor(os.environ["OLRUNBOOK_MASK_KEY"])
plant = json.loads(pathlib.Path("plant.json").read_text())
"""
# Each cell takes one secret of a kind as `s`; the name says where it shows.
PLACES = {
    "stdout": "print('it is', s)",
    "stderr": "print(s, file=sys.stderr)",
    "split": "m = len(s) // 2; sys.stdout.write('a ' + s[:m]); sys.stdout.flush()\n"
    "sys.stdout.write(s[m:] + '\\n')",
    "html": "display(HTML(f'<b title=\"x&amp;y\">{html.escape(s)}</b>'))",
    "json": "display(JSON({'a': [json.dumps({'b': s})]}))",
    "svg": 'display(SVG(f\'<svg xmlns="http://www.w3.org/2000/svg">'
    "<text>{s}</text></svg>'))",
    "markdown": "display(Markdown(f'**{s}**'))",
    "latex": "display(Latex(f'${s}$'))",
    "repr": "display({'a': (s,)})",
    "colours": "print('\\x1b[1m' + s[:9] + '\\x1b[31m' + s[9:] + '\\x1b[0m')",
    "traceback": "raise ValueError(s)",
    "cause": "try:\n    raise KeyError(s)\n"
    "except KeyError as e:\n    raise RuntimeError('no') from e",
    "journal": "Journal(folder, redactor).add('warning', text=f'saw {s}')",
    "file_name": "(folder / 'logs' / redactor.name(f'a-{s}.log')).write_text('x')",
    "tool": "t = Command('tool', [sys.executable, '-c', "
    "f'import sys; print({s!r}); print({s!r}, file=sys.stderr)'], "
    "pathlib.Path('.'), {}, folder / 'logs' / 'tool.log')\n"
    "with Tool(t, redactor) as tool:\n    [print(x.text) for x in tool.lines()]",
    "user_data": "u = '#cloud-config\\nx: ' + s\nprint(base64.b64encode(u.encode())"
    ".decode())\nprint(base64.b64encode(gzip.compress(u.encode())).decode())",
}


def scan(folder: Path) -> str:
    """Return all bytes of a folder, names and what is encoded in them too."""
    parts: list[str] = []
    for path in sorted(folder.rglob("*")):
        parts.append(path.name)
        if path.is_file():
            text = path.read_bytes().decode(errors="replace")
            parts += [text, html.unescape(text), re.sub(r"\x1b\[[\d;]*m", "", text)]
            parts += [text.replace("\\u001b[1m", "").replace("\\u001b[31m", "")]
            parts += [text.replace("\\n", "\n").replace('\\"', '"')]
            parts += [_opened(blob) for blob in re.findall(r"[\w+/=-]{24,}", text)]
    return "\n".join(parts)


def _opened(blob: str) -> str:
    try:
        raw = base64.b64decode(blob + "=" * (-len(blob) % 4))
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (ValueError, OSError, EOFError):
        return ""


def forms(value: str) -> set[str]:
    """Return what must not be found of a secret."""
    raw = value.encode()
    return {value, quote(value, safe=""), raw.hex(), base64.b64encode(raw).decode()}


@pytest.fixture
def plants() -> dict[str, dict[str, str]]:
    """Return a secret of every kind for every place: more than 100, all different."""
    found = {
        place: planted.secrets_by_kind(seed) for seed, place in enumerate(PLACES, 1)
    }
    assert len({v for kinds in found.values() for v in kinds.values()}) > 300
    return found


def test_no_planted_secret_is_in_any_byte_of_the_run(
    project, make_notebook, plants, monkeypatch
) -> None:
    """Secrets nobody was told of, in every place: none is in the record."""
    known = "Zx9-" + "unknown-kind-" + "4711q"
    monkeypatch.setenv("DEPLOY_TOKEN", known)
    (project.root / "plant.json").write_text(json.dumps(plants))
    cells, tags = [HEAD, SETUP], {}
    for place, source in PLACES.items():
        loop = f"for s in plant[{place!r}].values():\n"
        if place in ("traceback", "cause"):  # one cell a secret
            for kind in plants[place]:
                tags[len(cells)] = "raises-exception"
                cells.append(f"s = plant[{place!r}][{kind!r}]\n{source}")
        else:
            cells.append(loop + "".join(f"    {x}\n" for x in source.splitlines()))
    sources = planted.secrets_by_kind(900)
    cells += [f"x = {value!r}" for value in sources.values()]
    cells.append(f"look = {list(planted.LOOK_ALIKES)!r}\nprint('\\n'.join(look))")
    cells.append("print(os.environ['DEPLOY_TOKEN'], db_password)")
    path = make_notebook(*cells, tags=tags)
    body = json.loads(path.read_text())
    meta = planted.secrets_by_kind(901)
    body["metadata"]["mine"] = list(meta.values())
    body["cells"][2]["metadata"]["mine"] = {"note": meta["github"]}
    path.write_text(json.dumps(body))
    given = "Qw3rty-" + "given-" + "99"
    session = Session(project, path, {"db_password": given})
    record = run_notebook(session)
    assert record.cells_not_run == 0, record.cause
    folder = next(list_runs(project.outputs)).folder
    everything = scan(folder)
    own = {"parameter": given, "environment": known}
    every = {**plants, "metadata": meta, "source": sources, "own": own}
    wanted = {(p, kind): v for p, kinds in every.items() for kind, v in kinds.items()}
    left = [at for at, v in wanted.items() if any(x in everything for x in forms(v))]
    assert left == [], str(left)
    assert record.masked > len(wanted)
    saved = json.loads((folder / "notebook.ipynb").read_text())
    outputs = [c["outputs"] for c in saved["cells"] if "look =" in "".join(c["source"])]
    assert "".join(outputs[0][0]["text"]).splitlines() == list(planted.LOOK_ALIKES)


def test_what_jupyterlab_saves_holds_no_planted_secret(plants) -> None:
    """The server's hook finds the same, whatever place of the notebook it is in."""
    hook = masking_hook(Redactor(new_key()))
    cells = [
        {
            "cell_type": "code",
            "metadata": {"note": value},
            "source": f"x = {value!r}",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": [f"a {value}\n"]},
                {"output_type": "error", "traceback": [f"\x1b[31m{value}\x1b[0m"]},
                {"data": {"text/html": f"<i>{html.escape(value)}</i>"}},
            ],
        }
        for kinds in plants.values()
        for value in kinds.values()
    ]
    model = {"type": "notebook", "content": {"cells": cells, "metadata": {}}}
    hook(model=model, path="a.ipynb")
    text = json.dumps(model)
    assert [c for kinds in plants.values() for c in kinds.values() if c in text] == []


@pytest.mark.parametrize("text", planted.LOOK_ALIKES)
def test_a_look_alike_is_untouched(text, redactor) -> None:
    """Ids, digests, addresses, names and prose are evidence and stay."""
    assert redactor.text(text) == text
    assert redactor.masked == 0


@pytest.mark.parametrize("kind", planted.secrets_by_kind(0))
def test_each_kind_is_found_and_its_mask_is_that_of_the_value(kind, redactor) -> None:
    """Recognised by its looks or known before: one value has one mask."""
    value = planted.secrets_by_kind(5)[kind]
    shown = redactor.text(f"it is {value} there")
    told = Redactor(redactor._key.hex(), [value]).text(f"it is {value} there")
    assert value.split("=", 1)[-1] not in shown
    assert "[masked:" in shown
    if kind != "azure":  # the name before the sign is no part of the secret
        assert shown == told
