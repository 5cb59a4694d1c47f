"""The notebook of a run by hand, made from its journal alone."""

from __future__ import annotations

from typing import Any

import nbformat

from olrunbook.record.executed import notebook_of

AT = "2026-11-26T12:00:00.000+00:00"


def started(n: int, source: str, **more: Any) -> dict[str, Any]:
    """Return the journal's line of a cell that begins."""
    line = {"at": AT, "kind": "cell", "event": "started", "n": n, "source": source}
    return {**line, "execution_count": n, "cell_id": "", **more}


def put(n: int, *changes: dict[str, Any]) -> dict[str, Any]:
    """Return the journal's line of outputs."""
    line = {"at": AT, "kind": "cell", "event": "output", "n": n}
    return {**line, "outputs": list(changes)}


def ended(n: int, status: str = "done", **more: Any) -> dict[str, Any]:
    """Return the journal's line of a cell that ends."""
    line = {"at": AT, "kind": "cell", "event": "ended", "n": n, "status": status}
    return {**line, "seconds": 1.5, **more}


def stream(text: str) -> dict[str, Any]:
    """Return an output of a stream."""
    return {"output_type": "stream", "name": "stdout", "text": text}


def valid(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the code cells of the notebook, which is valid nbformat 4.5."""
    notebook = notebook_of(entries)
    nbformat.validate(notebook)  # type: ignore[no-untyped-call]
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    first, *rest = notebook["cells"]
    assert "in this order" in first["source"]
    return rest


def test_cells_stand_in_the_order_they_were_executed() -> None:
    """A repeated cell stands there twice, with a name of its own."""
    (first, second) = valid(
        {"at": AT, "kind": "run"},
        started(1, "a = 1", cell_id="set-a"),
        ended(1),
        started(2, "a = 2", cell_id="set-a", repeat_of=1, edited=True),
        ended(2, "failed", cause="ValueError: no"),
    )
    assert [first["id"], second["id"]] == ["set-a", "set-a-2"]
    assert [first["source"], second["source"]] == ["a = 1", "a = 2"]
    assert second["metadata"]["olrunbook"] == {
        "n": 2,
        "repeat_of": 1,
        "edited": True,
        "status": "failed",
        "cause": "ValueError: no",
        "seconds": 1.5,
        "started_at": AT,
    }


def test_outputs_grow_are_replaced_and_are_cleared() -> None:
    """Increments make the outputs that the reader saw last."""
    (cell,) = valid(
        started(1, "work()"),
        put(1, {"at": 0, "output": stream("gone\n")}),
        put(1, {"clear": True}, {"at": 0, "output": stream("one\n")}),
        put(1, {"at": 0, "append": "two\n"}, {"at": 1, "output": stream("three\n")}),
        put(1, {"at": 1, "output": stream("four\n")}),
        ended(1),
    )
    assert [out["text"] for out in cell["outputs"]] == ["one\ntwo\n", "four\n"]


def test_a_cell_without_an_end_was_interrupted() -> None:
    """What did not end is never called done; its outputs so far are kept."""
    (cell,) = valid(started(1, "loop()"), put(1, {"at": 0, "output": stream("1\n")}))
    ours = cell["metadata"]["olrunbook"]
    assert ours["status"] == "interrupted"
    assert "its end was not recorded" in ours["cause"]
    assert cell["outputs"][0]["text"] == "1\n"


def test_the_same_journal_makes_the_same_notebook() -> None:
    """Nothing but the journal goes into it, and the journal is not changed."""
    entries = [
        started(1, "x", cell_id="not a valid id!"),
        put(1, {"at": 0, "output": stream("1\n")}, {"at": 0, "append": "2\n"}),
    ]
    assert notebook_of(entries) == notebook_of(entries)
    assert valid(*entries)[0]["id"] == "executed-1"


def test_a_cell_before_begin_has_no_time() -> None:
    """Nobody saw when it began."""
    (cell,) = valid(started(1, "import x", before=True, note="before"), ended(1))
    assert "started_at" not in cell["metadata"]["olrunbook"]
    assert cell["metadata"]["olrunbook"]["note"] == "before"
