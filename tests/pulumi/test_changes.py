"""Engine events as rows: what changes, old and new, and what is never shown."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.automation import EngineEvent

from olrunbook.workers.pulumi.changes import (
    SECRET,
    SIGNATURE,
    facts,
    property_changes,
    sealed_fingerprint,
    shown,
    steps,
    value_at,
)
from olrunbook.workers.pulumi.rows import Rows

GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
URN = "urn:pulumi:CI::p::{}::thing"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("a", ["a"]),
        ("a.b[0].c", ["a", "b", 0, "c"]),
        ('tags["ol:app.name"]', ["tags", "ol:app.name"]),
        ('["x y"].z', ["x y", "z"]),
        (r'a["say \"hi\""]', ["a", 'say "hi"']),
    ],
)
def test_property_paths_are_read(path: str, wanted: list[str | int]) -> None:
    """Dots, indexes and quoted keys."""
    assert steps(path) == wanted


def test_what_is_not_there_is_nothing() -> None:
    """A path into a missing list, a text, or past an end."""
    tree = {"a": [1], "b": "text"}

    assert value_at(tree, "a[0]") == 1
    assert [value_at(tree, path) for path in ("a[7]", "b.c", "z[0].y")] == [None] * 3


def test_a_group_tag_is_named_by_its_key() -> None:
    """Whatever index the engine gives it, and however the list was sorted."""
    old = [{"key": "b", "value": "1"}, {"key": "a", "value": "0"}]
    new = [{"key": "a", "value": "0"}, {"key": "b", "value": "2"}]
    details = {
        f"tags[{n}].value": {"diffKind": "update", "inputDiff": True} for n in (0, 1)
    }

    assert property_changes(
        {
            "old": {"inputs": {"tags": old}},
            "new": {"inputs": {"tags": new}},
            "detailedDiff": details,
        }
    ) == [{"path": "tags.b", "kind": "update", "old": "1", "new": "2"}]


def test_a_tag_that_comes_goes_or_is_no_longer_propagated() -> None:
    """Each is a change of its own."""
    old = [
        {"key": "a", "value": "0", "propagateAtLaunch": True},
        {"key": "b", "value": "1", "propagateAtLaunch": True},
    ]
    new = [
        {"key": "a", "value": "0", "propagateAtLaunch": False},
        {"key": "c", "value": "2", "propagateAtLaunch": True},
    ]
    found = property_changes(
        {
            "old": {"inputs": {"tags": old}},
            "new": {"inputs": {"tags": new}},
            "detailedDiff": {"tags": {"diffKind": "update", "inputDiff": True}},
        }
    )

    assert [(c["path"], c["kind"]) for c in found] == [
        ("tags.a", "update"),
        ("tags.b", "delete"),
        ("tags.c", "add"),
    ]


def test_an_output_difference_is_old_output_against_new_input() -> None:
    """As the engine marks it."""
    (change,) = property_changes(
        {
            "old": {"inputs": {"size": 1}, "outputs": {"size": 7}},
            "new": {"inputs": {"size": 2}},
            "detailedDiff": {"size": {"diffKind": "update", "inputDiff": False}},
        }
    )

    assert (change["old"], change["new"]) == ("7", "2")


def test_secrets_and_long_values_are_short() -> None:
    """A hidden value reads as such; a long one is cut."""
    assert shown({SIGNATURE: "1b47", "ciphertext": "x"}) == SECRET
    assert shown(SECRET) == SECRET
    assert shown({"b": 1, "a": [True]}) == '{"a": [true], "b": 1}'
    assert len(shown("x" * 1000)) == 400
    assert shown("x" * 1000) != shown("x" * 999 + "y")


def fingerprint(inputs: dict[str, Any]) -> str:
    """Return the fingerprint of a resource without secrets and made-up names."""
    return sealed_fingerprint("aa", inputs, {}, {})


def test_a_fingerprint_leaves_out_what_nobody_wrote() -> None:
    """A made-up name is another one each time; everything else counts."""
    one = {"name": "a-1234567", "size": 1, "__defaults": ["name"], "sub": {"a": 1}}
    same = {**one, "name": "a-7654321", "sub": {"a": 1, "__defaults": []}}

    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint({**one, "size": 2})
    assert fingerprint(one) != fingerprint({**one, "sub": {"a": 2}})


def sealed(rows: Rows, key: str = "aa", given: str = "word") -> dict[str, str]:
    """Return the fingerprints under a key, by resource type."""
    rows.seal_inputs(key, {(TEMPLATE, "thing", "userdata"): given})
    return {row["type"]: row["inputs"] for row in rows.changed()}


def preview(rows: Rows, name: str, *, size: int = 1) -> None:
    """Give a preview that makes a template, and a group that names it."""
    made = {"name": name, "userData": SECRET, "__defaults": ["name"]}
    for kind, new in ((TEMPLATE, made), (GROUP, {"template": name, "size": size})):
        step = metadata("create", kind, new=new)
        take(rows, {"resourcePreEvent": {"metadata": step}})


def test_a_fingerprint_of_a_preview_is_the_same_in_the_next_run() -> None:
    """Names that are made up do not count, where they are used neither."""
    one, two, other = (Rows(lambda *_, **__: None) for _ in range(3))
    preview(one, "thing-0a1b2c3")
    preview(two, "thing-3c2b1a0")
    preview(other, "thing-3c2b1a0", size=2)
    assert one.made_up() == {"thing-0a1b2c3": URN.format(TEMPLATE)}
    assert sealed(one) == sealed(two)
    assert sealed(one)[GROUP] != sealed(other)[GROUP]


def test_a_fingerprint_of_a_preview_is_over_secrets_under_a_key(rows: Rows) -> None:
    """Another secret is another fingerprint; without the key none can be tried."""
    preview(rows, "thing-0a1b2c3")
    first = sealed(rows)
    assert first == sealed(rows)
    assert first[TEMPLATE] != sealed(rows, given="other")[TEMPLATE]
    assert first[TEMPLATE] != sealed(rows, key="bb")[TEMPLATE]
    hidden = {"a": {SIGNATURE: "1b47", "ciphertext": "x"}}
    again = {"a": {SIGNATURE: "1b47", "ciphertext": "y"}}
    assert fingerprint(hidden) == fingerprint(again)


def test_what_a_step_must_know_of_a_group() -> None:
    """Sizes, preferences, tags by key, and the template's version."""
    found = facts(
        GROUP,
        {
            "minSize": 1,
            "desiredCapacity": 1,
            "launchTemplate": {"version": "$Latest"},
            "instanceRefresh": {"triggers": ["tag"]},
            "tags": [{"key": "ami_id", "value": "ami-1"}],
        },
    )

    assert found["tags"] == {"ami_id": "ami-1"}
    assert (found["version"], found["minSize"]) == ("$Latest", 1)
    assert facts("aws:iam/role:Role", {"name": "x"}) == {}


def metadata(op: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return a step's metadata as the engine writes it."""
    state = {
        "type": kind,
        "urn": URN.format(kind),
        "id": "",
        "parent": "",
        "provider": "",
    }
    sides = {
        side: {**state, "inputs": more.pop(side, {}), "outputs": {}}
        for side in ("old", "new")
    }
    return {
        "op": op,
        "urn": URN.format(kind),
        "type": kind,
        "provider": "",
        **sides,
        **more,
    }


def take(rows: Rows, *events: dict[str, Any]) -> None:
    """Give events to rows."""
    for number, event in enumerate(events):
        rows.on_event(
            EngineEvent.from_json({"sequence": number, "timestamp": 0, **event})
        )


@pytest.fixture
def told() -> list[tuple[str, str, dict[str, Any]]]:
    """Return what the rows said."""
    return []


@pytest.fixture
def rows(told: list[tuple[str, str, dict[str, Any]]]) -> Rows:
    """Return fresh rows."""
    return Rows(lambda kind, text, **data: told.append((kind, text, data)))


def test_an_update_is_one_row_from_start_to_end(
    rows: Rows, told: list[tuple[str, str, dict[str, Any]]]
) -> None:
    """It runs, it is done, and it says what changed."""
    step = metadata(
        "update",
        TEMPLATE,
        old={"imageId": "ami-1"},
        new={"imageId": "ami-2"},
        detailedDiff={"imageId": {"diffKind": "update", "inputDiff": True}},
    )
    take(rows, {"resourcePreEvent": {"metadata": step}})
    assert rows.unfinished() == ["update thing"]
    take(rows, {"resOutputsEvent": {"metadata": step}})

    assert rows.unfinished() == []
    (row,) = rows.changed()
    change = {"path": "imageId", "kind": "update", "old": "ami-1", "new": "ami-2"}
    assert row["changes"] == [change]
    assert [data["state"] for _, _, data in told] == ["running", "done"]
    assert told[0][1] == f"update {TEMPLATE} thing [imageId]"
    assert next(iter(rows.facts.values()))["image"] == "ami-2"


def test_the_steps_of_a_replacement_are_one_row(rows: Rows) -> None:
    """A person sees one `replace`, with what caused it."""
    detail = {
        "detailedDiff": {"vpcId": {"diffKind": "update-replace", "inputDiff": True}}
    }
    kind = "aws:ec2/securityGroup:SecurityGroup"
    for op in ("create-replacement", "replace", "delete-replaced"):
        step = metadata(op, kind, old={"vpcId": "a"}, new={"vpcId": "b"}, **detail)
        take(rows, {"resourcePreEvent": {"metadata": step}})
        take(rows, {"resOutputsEvent": {"metadata": step}})

    (row,) = rows.changed()
    assert (row["op"], row["gap"]) == ("replace", False)
    assert row["changes"][0]["path"] == "vpcId"


@pytest.mark.parametrize(
    ("ops", "gap"),
    [
        (("delete-replaced", "replace", "create-replacement"), True),
        (("create-replacement", "replace", "delete-replaced"), False),
        (("same", "delete-replaced"), False),  # left by an update that was cut off
    ],
)
def test_a_replacement_says_what_is_deleted_first(
    rows: Rows, ops: tuple[str, ...], *, gap: bool
) -> None:
    """Nothing is there between the old one and the new one then."""
    for op in ops:
        step = metadata(op, TEMPLATE, old={"imageId": "a"}, new={"imageId": "b"})
        if op == "delete-replaced":
            del step["new"]
        take(rows, {"resourcePreEvent": {"metadata": step}})
    (row,) = rows.changed()
    assert (row["op"], row["gap"]) == ("replace", gap)
    # What is to be is known, whenever the old one is deleted.
    assert rows.facts[row["urn"]]["image"] == rows.given(row["urn"], "imageId") == "b"


def test_user_data_is_never_shown(
    rows: Rows, told: list[tuple[str, str, dict[str, Any]]]
) -> None:
    """Also where nobody marked it as a secret."""
    step = metadata(
        "update",
        TEMPLATE,
        old={"userData": "b2xkIHNlY3JldA=="},
        new={"userData": "bmV3IHNlY3JldA=="},
        detailedDiff={"userData": {"diffKind": "update", "inputDiff": True}},
    )
    take(rows, {"resourcePreEvent": {"metadata": step}})

    assert "c2VjcmV0" not in repr(rows.changed()) + repr(told)
    (change,) = rows.changed()[0]["changes"]
    assert (change["old"], change["new"]) == (SECRET, SECRET)


def test_what_is_the_same_is_no_change(rows: Rows) -> None:
    """Neither are refreshed rows and the providers nobody asked for."""
    take(
        rows,
        {"resourcePreEvent": {"metadata": metadata("refresh", GROUP)}},
        {"resourcePreEvent": {"metadata": metadata("same", TEMPLATE)}},
        {"resOutputsEvent": {"metadata": metadata("same", TEMPLATE)}},
    )
    provider = metadata("create", "pulumi:providers:aws")
    provider["urn"] = "urn:pulumi:CI::p::pulumi:providers:aws::default_7_51_1"
    take(rows, {"resourcePreEvent": {"metadata": provider}})

    assert rows.changed() == []
    assert rows.unfinished() == []


def test_errors_are_said_without_colours_and_tracebacks(
    rows: Rows, told: list[tuple[str, str, dict[str, Any]]]
) -> None:
    """The log has the traceback; debug lines are nobody's business."""
    message = "<{%reset%}>creating: Throttling\nTraceback (most recent call last):\n  x"
    for severity in ("debug", "error"):
        take(
            rows,
            {
                "diagnosticEvent": {
                    "urn": URN.format(GROUP),
                    "message": message,
                    "severity": severity,
                    "color": "never",
                }
            },
        )

    assert rows.errors == ["thing: creating: Throttling"]
    assert [kind for kind, _, _ in told] == ["error"]


def test_counts_come_from_the_summary(rows: Rows) -> None:
    """And nothing else is believed."""
    take(
        rows,
        {
            "summaryEvent": {
                "maybeCorrupt": False,
                "durationSeconds": 1,
                "resourceChanges": {"same": 14, "update": 3},
                "PolicyPacks": {},
            }
        },
    )

    assert rows.counts == {"same": 14, "update": 3}


def test_an_event_that_is_not_understood_is_said(
    rows: Rows, told: list[tuple[str, str, dict[str, Any]]]
) -> None:
    """The SDK would swallow the error."""
    rows.on_event(object())

    assert told[0][0] == "warning"
