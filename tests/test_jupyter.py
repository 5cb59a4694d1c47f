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
