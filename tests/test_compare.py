"""Two runs side by side: every meant difference found, no noise called one."""

from __future__ import annotations

import copy
import json
import random
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from olrunbook.archive.compare import compare
from olrunbook.archive.noise import same
from olrunbook.cli import cli
from olrunbook.errors import UsageError
from olrunbook.record.files import new_run_id, stamp
from olrunbook.record.model import RunRecord

CELLS = ["# parameters\nstage = 'CI'", "run.preflight()", "run.up()\nrun.conclude()"]


def made(seed: int) -> dict:
    """Return a record as it is made anew each time: all noise, one meaning."""
    chance = random.Random(seed)  # noqa: S311
    at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=chance.randrange(9**7))

    def code(length: int, letters: str = "0123456789abcdef") -> str:
        return "".join(chance.choices(letters, k=length))

    instances = [
        {
            "id": f"i-{code(17)}",
            "image": "ami-0df7e95b351bd8408",
            "lifecycle": "InService",
            "launched_at": at.isoformat(),
        }
        for _ in range(2)
    ]
    instances.append({**instances[0], "id": f"i-{code(17)}", "lifecycle": "Pending"})
    chance.shuffle(instances)
    folder = f"/tmp/{code(8, string.ascii_lowercase + string.digits)}/work"  # noqa: S108
    took = chance.uniform(1, 50)
    result = {
        "counts": {"update": 3, "same": 14},
        "groups": [{"node_type": "server", "name": "tika", "instances": instances}],
        "by_id": {instance["id"]: "healthy" for instance in instances},
        "notes": [f"refreshed by {new_run_id()} in {took:.1f} s, {at:%H:%M:%S} UTC"],
        "by_hand": f"cd {folder} && pulumi up --yes",
        "url": f"https://127.0.0.1:{chance.randrange(32768, 60999)}",
        "version": chance.randrange(99),
        "outage_s": took,
    }
    result = dict(chance.sample(list(result.items()), len(result)))
    step = {"name": "up", "status": "done", "started_at": at, "seconds": took}
    return {
        "run_id": new_run_id(),
        "notebook": "deploy",
        "app": "tika",
        "stage": "CI",
        "cloud_id": code(8),
        "parameters": {"stage": "CI", "sha": "7e12345"},
        "images": {"server": "ami-0df7e95b351bd8408"},
        "commit": "a1b2c3d",
        "versions": {"packer": "1.15.4"},
        "operator": {
            "host": {"value": f"ip-10-0-0-{chance.randrange(255)}", "source": "x"}
        },
        "started_at": at,
        "ended_at": at + timedelta(seconds=took),
        "status": "succeeded",
        "exit_code": 0,
        "headline": f"3 updated, 14 same after {took:.0f} s",
        "steps": [{**step, "headline": "3 updated", "result": result}],
    }


def written(folder: Path, facts: dict, cells: list[str] | None = None):
    """Return a record and its directory with a notebook."""
    folder.mkdir(parents=True, exist_ok=True)
    injected = {
        "source": f"folder = {str(folder)!r}",
        "metadata": {"tags": ["injected-parameters"]},
    }
    body = [
        {"cell_type": "code", "source": text, "metadata": {}} for text in cells or CELLS
    ]
    body.insert(1, injected)
    (folder / "notebook.ipynb").write_text(json.dumps({"cells": body}))
    return RunRecord.model_validate(facts), folder


def test_clocks_ids_and_order_are_no_difference(tmp_path) -> None:
    """The same done fifty times anew is the same; times stand side by side."""
    first = written(tmp_path / "a", made(0))
    for seed in range(1, 51):
        found = compare(first, written(tmp_path / "b", made(seed)))
        assert found.same, found
    assert [step.name for step in found.times] == ["up", "the whole run"]
    assert found.times[0].delta == pytest.approx(
        made(50)["steps"][0]["seconds"] - made(0)["steps"][0]["seconds"]
    )


CHANGES = {
    "run.stage": lambda r: r.update(stage="QA"),
    "parameters.sha": lambda r: r["parameters"].update(sha="7e12346"),
    "parameters.more": lambda r: r["parameters"].update(more=None),
    "images.server": lambda r: r["images"].update(server="ami-0a17000000000000"),
    "versions.packer": lambda r: r["versions"].update(packer="1.15.5"),
    "commit.commit": lambda r: r.update(commit="a1b2c3e"),
    "commit.dirty": lambda r: r.update(dirty=["catalog.toml"]),
    "status.status": lambda r: r.update(status="failed"),
    "status.cause": lambda r: r.update(cause="it broke"),
    "status.step up": lambda r: r["steps"][0].update(status="failed"),
    "status.step serves": lambda r: r["steps"].append(
        {"name": "serves", "status": "done"}
    ),
    "results.up.counts.update": lambda r: result(r)["counts"].update(update=4),
    "results.up.groups.server.instances": lambda r: result(r)["groups"][0][
        "instances"
    ].pop(),
    "results.up.groups.server.name": lambda r: result(r)["groups"][0].update(
        name="edx"
    ),
    "results.up.by_hand": lambda r: result(r).update(by_hand="rm"),
    "results.run.headline": lambda r: r.update(headline="4 updated, 14 same"),
}


def result(record: dict) -> dict:
    """Return the result of a record's first step."""
    return record["steps"][0]["result"]


@pytest.mark.parametrize("wanted", CHANGES)
def test_every_meant_difference_is_found_and_named(tmp_path, wanted) -> None:
    """One change among all the noise is the one difference that is named."""
    changed = copy.deepcopy(made(2))
    CHANGES[wanted](changed)
    found = compare(written(tmp_path / "a", made(1)), written(tmp_path / "b", changed))
    assert not found.same
    named = {f"{d.section}.{d.name}" for d in found.differences}
    assert wanted in named
    assert len(named) == 1


def test_an_image_inside_a_list_is_a_difference(tmp_path) -> None:
    """Only what the lists do not share is named, instance for instance."""
    changed = copy.deepcopy(made(2))
    result(changed)["groups"][0]["instances"][0]["image"] = "ami-0a17000000000000"
    found = compare(written(tmp_path / "a", made(1)), written(tmp_path / "b", changed))
    (one,) = found.differences
    assert [item["image"] for item in one.first] == ["ami-0df7e95b351bd8408"]
    assert [item["image"] for item in one.second] == ["ami-0a17000000000000"]


def test_the_source_is_compared_cell_by_cell(tmp_path) -> None:
    """An edited line, an added and a removed cell; injected parameters are none."""
    edited = [CELLS[0], "run.preflight(strict=True)", CELLS[2]]
    found = compare(
        written(tmp_path / "a", made(1)), written(tmp_path / "b", made(2), edited)
    )
    assert not found.differences
    (cell,) = found.source
    assert cell.lines[1:] == ["-run.preflight()", "+run.preflight(strict=True)"]
    more = [*CELLS, "print('more')"]
    for one, two, sign in ((CELLS, more, "+"), (more, CELLS, "-")):
        found = compare(
            written(tmp_path / "a", made(1), one), written(tmp_path / "b", made(2), two)
        )
        assert [cell.lines[1:] for cell in found.source] == [[f"{sign}print('more')"]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ami-0df7e95b351bd8408", "ami-0a17e95b351bd8408"),
        ("sha256 77ab" + "0" * 60, "sha256 77ac" + "0" * 60),
        ("images/tika-template/x", "images/tika-recovery/x"),
        ("1 of 2 healthy", "2 of 2 healthy"),
        ("10.0.0.1", "10.0.0.2"),
        (True, False),
        ([1, 2], [1, 2, 2]),
        ({"a": None}, {"a": "x"}),
    ],
)
def test_look_alikes_of_noise_stay_differences(first, second) -> None:
    """What was deployed, counted or addressed is told apart."""
    assert not same(first, second)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.randoms(use_true_random=False))
def test_any_value_is_the_same_as_itself_in_another_order(value, chance) -> None:
    """Shuffled lists and dicts are the same, whatever is in them."""

    def shuffled(node):
        if isinstance(node, list):
            return chance.sample([shuffled(item) for item in node], len(node))
        if isinstance(node, dict):
            pairs = [(key, shuffled(item)) for key, item in node.items()]
            return dict(chance.sample(pairs, len(pairs)))
        return node

    assert same(value, shuffled(value))


@pytest.fixture
def archived(project, tmp_path, monkeypatch):
    """Return a function that puts a record into the project's archive."""
    monkeypatch.setenv("OLRUNBOOK_CACHE", str(tmp_path / "cache"))

    def put(facts: dict, cells: list[str] | None = None) -> str:
        name = f"{stamp(facts['started_at'])}_deploy_{facts['run_id']}"
        folder = project.outputs / "rehearsal" / "tika" / "CI" / name
        record, _ = written(folder, facts, cells)
        (folder / "run.json").write_text(record.model_dump_json(by_alias=True))
        return facts["run_id"]

    return put


def call(*words: str) -> tuple[int, str]:
    """Return a command's code, as `main` exits with it, and what it said."""
    codes = []
    with pytest.MonkeyPatch.context() as patch:
        runner = CliRunner()
        patch.setattr("sys.exit", codes.append)
        found = runner.invoke(cli, words, standalone_mode=False)
    if found.exception:
        raise found.exception
    return found.return_value, found.stdout


def test_the_command_says_so_in_words_and_by_its_code(archived) -> None:
    """0 and `the same except for times`; 1 with names, values and source lines."""
    one, two = archived(made(1)), archived(made(2))
    code, said = call("compare", one, two)
    assert code == 0
    assert said.startswith("The same except for times.\n")
    changed = made(3)
    changed["parameters"]["sha"] = "fffffff"
    three = archived(changed, [*CELLS[:2], "run.conclude()"])
    code, said = call("compare", one, three)
    assert code == 1
    assert said.startswith("Different: parameters (1), source (1 cells).")
    for text in ("    - 7e12345", "    + fffffff", "  -run.up()", "  the whole run"):
        assert text in said, text
    code, said = call("compare", one, three, "--json")
    assert code == 1
    found = json.loads(said)
    assert found["same"] is False
    assert found["differences"][0]["name"] == "sha"


def test_a_run_without_a_record_cannot_be_compared(archived, project) -> None:
    """Exit 2, as diff does for trouble, with what can be done."""
    one = archived(made(1))
    facts = made(2)
    name = f"{stamp(facts['started_at'])}_deploy_{facts['run_id']}"
    (project.outputs / "rehearsal" / "tika" / "CI" / name).mkdir()
    with pytest.raises(UsageError, match="has no record") as caught:
        call("compare", one, facts["run_id"])
    assert caught.value.exit_code == 2
