"""What the stand-in providers must and must not tell apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.rehearsal.providers.values import (
    UNKNOWN,
    api,
    differences,
    keep_form,
    normal,
    same,
    top,
    whole,
)

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(TREES)
def test_a_tree_does_not_differ_from_itself(tree: object) -> None:
    """No phantom difference, whatever the tree."""
    assert list(differences(tree, tree)) == []


@given(TREES)
def test_the_normal_form_is_its_own_normal_form(tree: object) -> None:
    """Normalising twice changes nothing."""
    assert normal(normal(tree)) == normal(tree)


@pytest.mark.parametrize(
    ("old", "new"),
    [(True, "true"), (300, "300"), (None, ""), (None, []), ({"a": None}, {})],
)
def test_what_an_api_does_not_tell_apart_is_the_same(old: object, new: object) -> None:
    """Spellings of one value are no change."""
    assert same(old, new)
    assert list(differences(old, new)) == []


def test_paths_are_in_pulumis_notation() -> None:
    """Nested values are named by dots and indexes, with what happened to them."""
    old = {"a": {"b": [{"c": 1}, {"c": 2}]}, "gone": 1}
    new = {"a": {"b": [{"c": 1}, {"c": 3}]}, "new": 1}

    assert list(differences(old, new)) == [
        ("a.b[1].c", "update"),
        ("gone", "delete"),
        ("new", "add"),
    ]


def test_a_set_has_no_order() -> None:
    """The same members in another order are no change."""
    assert list(differences(["a", "b"], ["b", "a"], "ids", unordered=True)) == []
    assert list(differences(["a", "b"], ["b", "a"], "ids")) != []


def test_tags_are_matched_by_their_keys() -> None:
    """A tag that is added before others changes nothing else."""
    old = [{"key": "b", "value": "1"}]
    new = [{"key": "a", "value": "0"}, {"key": "b", "value": "2"}]

    found = list(differences(old, new, "tags", unordered=True))

    assert found == [("tags[0]", "add"), ("tags[1].value", "update")]


def test_a_removed_tag_is_named_where_it_was() -> None:
    """Removal is a change too."""
    old = [{"key": "a", "value": "0"}, {"key": "b", "value": "1"}]

    assert list(differences(old, old[:1], "tags", unordered=True)) == [
        ("tags[1]", "delete")
    ]


def test_an_unknown_value_is_a_change() -> None:
    """What is known only after the update may differ."""
    assert list(differences("x", UNKNOWN, "arn")) == [("arn", "update")]


def test_the_recorded_form_is_kept_where_equal() -> None:
    """A refresh shows drift, never a change of spelling."""
    assert keep_form("300", 300) == "300"
    assert keep_form(["a", "b"], ["b", "a"], unordered=True) == ["a", "b"]
    assert keep_form("300", 301) == 301


def test_api_values_have_real_types_and_pascal_case() -> None:
    """Pulumi has texts for some booleans; AWS has none."""
    assert api({"ebs": {"encrypted": "true", "volumeSize": 25, "iops": None}}) == {
        "Ebs": {"Encrypted": True, "VolumeSize": 25}
    }


def test_whole_floats_are_ints_again() -> None:
    """Protobuf has only floats."""
    assert whole({"a": [1.0, 1.5, "1.0"]}) == {"a": [1, 1.5, "1.0"]}


@pytest.mark.parametrize("path", ["tags", "tags.a", "tags[0].value"])
def test_the_top_of_a_path_is_its_property(path: str) -> None:
    """Replacement and ignored changes are decided per property."""
    assert top(path) == "tags"
