"""pyinfra's worker tells every operation, its state, and why one failed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from olrunbook.adapters.docker.command import environment
from olrunbook.adapters.pyinfra import deploy, event_of, from_its_own_words
from olrunbook.adapters.toolcall import ToolCall
from olrunbook.events import Event
from olrunbook.processes.tool import Line

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def run(tmp_path: Path, redactor, script: str, **more) -> list[Event]:
    """Run a deploy file on this machine and return its events."""
    folder = tmp_path / "deploy"
    folder.mkdir(exist_ok=True)
    (folder / "deploy.py").write_text(textwrap.dedent(script))
    log = tmp_path / "logs" / "pyinfra.log"
    file = folder / "deploy.py"
    call = ToolCall(environment())
    return list(
        deploy(
            "@local",
            file,
            call=call,
            log=log,
            redactor=redactor,
            **more,
        )
    )


def states(events: list[Event]) -> dict[str, str]:
    """Return each operation's last state."""
    return {e.data["name"]: e.data["state"] for e in events if e.kind == "operation"}


TWO = """
    from pyinfra.operations import files, server
    place = "{place}"
    files.put(name="Put a file", src="words.txt", dest=place)
    server.shell(name="Never the same", commands=["echo hello"])
"""


def test_operations_are_told_as_they_happen(tmp_path, redactor) -> None:
    """Changed the first time, no change the second; a shell command changes always."""
    place = tmp_path / "there"
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "words.txt").write_text("words")
    script = TWO.format(place=place)
    first = run(tmp_path, redactor, script)
    assert states(first) == {"Put a file": "changed", "Never the same": "changed"}
    assert place.read_text() == "words"
    again = run(tmp_path, redactor, script)
    assert states(again) == {"Put a file": "no change", "Never the same": "changed"}
    assert first[-1].kind == "end"
    assert first[-1].data["code"] == 0
    plan = next(event for event in first if event.data.get("operations"))
    assert plan.data["operations"] == ["Put a file", "Never the same"]


def test_a_failed_operation_carries_its_output(tmp_path, redactor) -> None:
    """What follows it is not reached; the output is masked like everything."""
    redactor.learn("s3cret-value")
    script = """
        from pyinfra.operations import server
        server.shell(name="Good", commands=["true"])
        server.shell(name="Bad", commands=["echo s3cret-value; nosuchprogram --help"])
        server.shell(name="After", commands=["true"])
    """
    events = run(tmp_path, redactor, script)
    assert states(events) == {"Good": "changed", "Bad": "failed"}
    bad = next(e for e in events if e.data.get("state") == "failed")
    assert any("nosuchprogram" in row for row in bad.data["output"])
    assert "s3cret-value" not in json.dumps([event.data for event in events])
    assert events[-1].data["code"] == 1


def test_an_error_in_the_deploy_file_names_its_line(tmp_path, redactor) -> None:
    """A deploy that cannot be read ends with the reason and where it is."""
    events = run(tmp_path, redactor, "x = 1\nraise ValueError('no such version')\n")
    errors = [event.text for event in events if event.kind == "error"]
    assert errors == ["ValueError: no such version (deploy.py, line 2)"]
    assert events[-1].data["code"] == 1


def test_the_deploys_folder_is_importable_and_stays_clean(tmp_path, redactor) -> None:
    """Modules beside the deploy file can be used; nothing is written there."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "beside.py").write_text("WORD = 'from beside'")
    script = """
        from beside import WORD
        from pyinfra.operations import server
        print("a deploy may print")
        server.shell(name=WORD, commands=["true"])
    """
    assert states(run(tmp_path, redactor, script)) == {"from beside": "changed"}
    left = sorted(path.name for path in (tmp_path / "deploy").iterdir())
    assert left == ["beside.py", "deploy.py"]


@pytest.mark.parametrize(
    ("text", "running", "found"),
    [
        ("--> Starting operation: A | B ", "", ("A | B", "running")),
        ("    [127.0.0.1] Success", "A", ("A", "changed")),
        ("    [127.0.0.1] No changes", "A", ("A", "no change")),
        ("    [127.0.0.1] Skipped", "A", ("A", "no change")),
        ("    [127.0.0.1] Error: executed 0 commands", "A", ("A", "failed")),
        ("    [127.0.0.1] Success", "", None),
        ("    [127.0.0.1] Connected", "A", None),
    ],
)
def test_pyinfras_own_words_are_understood(text, running, found) -> None:
    """Inside Packer its own command speaks."""
    assert from_its_own_words(text, running) == found


@pytest.mark.parametrize(
    "text", ["{not json", '{"event": "unheard of"}', "words", "{}"]
)
def test_other_lines_are_lines(text) -> None:
    """What the worker did not say as an event is passed on."""
    assert event_of(Line("stdout", text, NOW)).kind == "line"


OLDER = """
import sys
from pathlib import Path
from types import SimpleNamespace
from olrunbook.workers import pyinfra
sys.modules["pyinfra.api.output"] = None
pyinfra._all_to_standard_error()
pyinfra._load(SimpleNamespace(active_hosts={"@local"}), Path(sys.argv[1]))
"""


def test_a_pyinfra_of_last_year_is_spoken_to_as_well(tmp_path) -> None:
    """Before 3.8 its own words go where a deploy's go."""
    file = tmp_path / "deploy.py"
    file.write_text("print('the deploy is run')")
    argv = [sys.executable, "-c", OLDER, str(file)]
    said = subprocess.run(argv, capture_output=True, check=True, text=True)
    assert said.stdout == "the deploy is run\n"
