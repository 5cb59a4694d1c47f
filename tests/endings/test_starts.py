"""Runs that do not begin."""

from __future__ import annotations

import pytest

from tests.endings.support import CONCLUDE, Desk, Ended

ending = pytest.mark.ending


def broken_kernel() -> Ended:
    """Let another module stand where the kernel's should."""
    with Desk() as desk:
        shadow = desk.folder / "shadow"
        shadow.mkdir()
        (shadow / "ipykernel_launcher.py").write_text("raise ImportError('broken')\n")
        child = desk.start("sign()", CONCLUDE, PYTHONPATH=str(shadow))
        return desk.look(child)


@ending("the kernel cannot start", broken_kernel)
def test_a_kernel_that_cannot_start(ended: Ended) -> None:
    """Its last words are the cause, no cell ran: exit code 5."""
    assert ended.how == ("kernel-died", 5)
    assert "ImportError: broken" in ended.cause
    assert set(ended.cells) == {"not-run"}


def not_a_notebook(text: str) -> Ended:
    """Run a file that is no notebook."""
    with Desk() as desk:
        desk.notebook().write_text(text)
        return desk.look(desk.start())


@ending("the notebook is not JSON", lambda: not_a_notebook("{"))
def test_a_notebook_that_is_no_json(ended: Ended) -> None:
    """Nothing ran, nothing was written: exit code 2, the file is named."""
    assert ended.how == ("", 2)
    assert "image_test.ipynb" in ended.said


@ending("the notebook has no cells", lambda: not_a_notebook('{"nbformat": 4}'))
def test_a_notebook_without_cells(ended: Ended) -> None:
    """Nothing ran, nothing was written: exit code 2, the file is named."""
    assert ended.how == ("", 2)
    assert "image_test.ipynb" in ended.said
