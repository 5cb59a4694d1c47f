"""What starts with every run loads nothing that takes seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

GRAMMAR = "rfc3987_syntax.syntax_helpers"


def said(source: str) -> str:
    """Return what a new Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "start",
    [
        "from olrunbook import begin",
        "import olrunbook.run.outputs",
        "import olrunbook.record.jupyter, papermill.execute",
    ],
)
def test_no_start_compiles_the_grammar_of_iris(start) -> None:
    """Neither a kernel's `begin`, by hand too, nor the engine and papermill."""
    assert said(f"{start}\nimport sys; print({GRAMMAR!r} in sys.modules)") == "False"


def test_a_kernel_of_a_headless_run_loads_no_client() -> None:
    """The engine records the cells there; `begin` needs no nbclient."""
    source = "from olrunbook import begin\nimport sys; print('nbclient' in sys.modules)"
    assert said(source) == "False"


def test_papermill_loads_no_cloud_and_no_http_for_a_run() -> None:
    """A run's notebook is a file; who reads one from elsewhere later still can."""
    source = """
import sys
from olrunbook.record.jupyter import later
with later("papermill.s3", "requests"):
    from papermill import iorw
print([name for name in ("boto3", "requests", "arrow") if name in sys.modules])
print(iorw.requests.Session.__module__, iorw.S3().__class__.__module__)
import papermill.s3, requests
print(requests.Session is iorw.requests.Session)
"""
    assert said(source).splitlines() == [
        "[]",
        "requests.sessions papermill.s3",
        "True",
    ]


def test_uris_and_durations_are_still_checked() -> None:
    """Where somebody's schema has one."""
    source = """
import olrunbook.record.jupyter
import jsonschema
check = jsonschema.Draft202012Validator.FORMAT_CHECKER
print(check.conforms("https://a.example/", "uri"), check.conforms("no uri", "uri"))
print(check.conforms("P1D", "duration"), check.conforms("1 day", "duration"))
import isoduration
print(isoduration.parse_duration("P0003-06-04T12:30:05"))
"""
    assert said(source) == "True False\nTrue False\nP3Y6M4DT12H30M5S"


def test_iris_are_still_checked() -> None:
    """Where somebody's schema has one, and the grammar itself can be imported."""
    source = """
import olrunbook.record.jupyter
import jsonschema
check = jsonschema.Draft202012Validator.FORMAT_CHECKER
print(check.conforms("https://ä.example/", "iri"), check.conforms("no iri", "iri"))
from rfc3987_syntax import parse
print(parse.__module__)
"""
    assert said(source) == f"True False\n{GRAMMAR}"
