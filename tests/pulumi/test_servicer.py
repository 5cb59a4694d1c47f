"""The provider protocol: names, previews, half-made resources, refusals."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, status_pb2

from olrunbook.rehearsal.providers.handler import Caller
from olrunbook.rehearsal.providers.servicer import Package, Provider
from olrunbook.rehearsal.providers.values import UNKNOWN, Props
from olrunbook.rehearsal.providers.wire import load, struct
from tests.pulumi.thing import URN, AbortedError, FakeContext, Thing


@pytest.fixture
def thing() -> Thing:
    """Return a fresh handler."""
    return Thing()


@pytest.fixture
def provider(thing: Thing) -> Provider:
    """Return a configured provider of one resource type."""
    found = Provider(
        Package(
            "test",
            "1.0.0",
            {"test:index/thing:Thing": thing},
            {"test:index/echo:echo": lambda call, args: {**args, "id": "me"}},
            lambda config: Caller(lambda: None, default_tags=config.get("tags") or {}),
        )
    )
    request = provider_pb2.ConfigureRequest(args=struct({"tags": {"by": "test"}}))
    found.Configure(request, FakeContext())
    return found


def check(provider: Provider, new: Props, old: Props | None = None) -> Any:
    """Call Check."""
    request = provider_pb2.CheckRequest(
        urn=URN, olds=struct(old or {}), news=struct(new), randomSeed=b"seed"
    )
    return provider.Check(request, FakeContext())


def diff(
    provider: Provider, old: Props, new: Props, ignore: list[str] | None = None
) -> Any:
    """Call Diff."""
    request = provider_pb2.DiffRequest(
        urn=URN,
        olds=struct(old),
        old_inputs=struct(old),
        news=struct(new),
        ignoreChanges=ignore or [],
    )
    return provider.Diff(request, FakeContext())


def test_a_name_is_made_once_and_kept(provider: Provider) -> None:
    """The same seed makes the same name, and the old inputs' name wins."""
    first = load(check(provider, {"size": 1}).inputs)
    again = load(check(provider, {"size": 1}).inputs)
    later = load(
        check(provider, {"size": 2}, {**first, "name": "older-1234567"}).inputs
    )

    assert first["name"].startswith("my-thing-")
    assert len(first["name"]) == len("my-thing-") + 7
    assert again == first
    assert later["name"] == "older-1234567"


def test_a_prefix_takes_the_logical_names_place(provider: Provider) -> None:
    """And a name that was given is left alone."""
    made = load(check(provider, {"namePrefix": "pre-"}).inputs)["name"]

    assert made.startswith("pre-")
    assert len(made) == len("pre-") + 7
    assert load(check(provider, {"name": "mine"}).inputs) == {"name": "mine"}


def test_long_names_are_cut_to_what_the_service_takes(provider: Provider) -> None:
    """The digits are never cut."""
    made = load(check(provider, {"namePrefix": "p" * 50}).inputs)["name"]

    assert len(made) == 20


def test_an_input_the_stand_in_cannot_do_is_refused(provider: Provider) -> None:
    """It must not pretend."""
    (failure,) = check(provider, {"warmPool": {"size": 1}}).failures

    assert failure.property == "warmPool"
    assert "stand-in lacks" in failure.reason


def test_a_diff_names_paths_and_what_replaces(provider: Provider) -> None:
    """A fixed name means delete before replace; a made-up one does not."""
    old = {"name": "a", "zone": "x", "size": 1}
    fixed = diff(provider, old, {**old, "zone": "y"})
    made = diff(
        provider,
        {**old, "__defaults": ["name"]},
        {**old, "zone": "y", "__defaults": ["name"]},
    )

    assert fixed.replaces == ["zone"]
    assert fixed.deleteBeforeReplace
    assert not made.deleteBeforeReplace
    kinds = provider_pb2.PropertyDiff.Kind
    assert fixed.detailedDiff["zone"].kind == kinds.Value("UPDATE_REPLACE")


def test_ignored_changes_are_no_changes(provider: Provider) -> None:
    """`ignoreChanges` names properties."""
    found = diff(provider, {"size": 1}, {"size": 2}, ["size"])

    assert found.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_preview_of_a_creation_makes_nothing(
    provider: Provider, thing: Thing
) -> None:
    """Computed outputs are unknown."""
    request = provider_pb2.CreateRequest(
        urn=URN, properties=struct({"name": "a"}), preview=True
    )
    found = load(provider.Create(request, FakeContext()).properties)

    assert found["arn"] == UNKNOWN
    assert thing.kept == {}


def test_a_preview_of_an_update_knows_what_stays(provider: Provider) -> None:
    """Only what the change moves is unknown."""
    state = {"name": "a", "size": 1, "arn": "arn:a"}
    both = [
        load(
            provider.Update(
                provider_pb2.UpdateRequest(
                    urn=URN,
                    id="a",
                    olds=struct(state),
                    old_inputs=struct({"name": "a", "size": 1}),
                    news=struct(new),
                    preview=True,
                ),
                FakeContext(),
            ).properties
        )
        for new in (
            {"name": "a", "size": 2},
            {"name": "a", "size": 1, "tags": {"k": "v"}},
        )
    ]

    assert both[0]["arn"] == UNKNOWN
    assert both[1]["arn"] == "arn:a"


def test_default_tags_are_laid_under_a_resources_own(provider: Provider) -> None:
    """As the provider's `defaultTags`."""
    request = provider_pb2.CreateRequest(
        urn=URN, properties=struct({"name": "a", "tags": {"k": "v"}})
    )
    found = load(provider.Create(request, FakeContext()).properties)

    assert found["tagsAll"] == {"by": "test", "k": "v"}
    assert found["tags"] == {"k": "v"}


def test_a_creation_that_fails_late_leaves_the_resource_in_the_state(
    provider: Provider, thing: Thing
) -> None:
    """The engine is told the id: what exists is in somebody's state."""
    context = FakeContext()
    request = provider_pb2.CreateRequest(
        urn=URN, properties=struct({"name": "a", "size": 13})
    )
    with pytest.raises(AbortedError, match="13 is too much"):
        provider.Create(request, context)

    status = status_pb2.Status.FromString(context.trailing["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    assert detail.id == "a"
    assert load(detail.inputs) == {"name": "a", "size": 13}
    assert "a" in thing.kept


def test_reading_what_is_gone_returns_no_id(provider: Provider) -> None:
    """So that the engine forgets it."""
    request = provider_pb2.ReadRequest(urn=URN, id="nobody", properties=struct({}))

    assert provider.Read(request, FakeContext()).id == ""


def test_reading_shows_drift_in_the_inputs(provider: Provider, thing: Thing) -> None:
    """What somebody changed by hand is an input that differs from the program's."""
    thing.kept["a"] = {"name": "a", "size": 7}
    request = provider_pb2.ReadRequest(
        urn=URN,
        id="a",
        properties=struct({"name": "a", "size": 1}),
        inputs=struct({"name": "a", "size": 1}),
    )

    assert load(provider.Read(request, FakeContext()).inputs)["size"] == 7


def test_a_function_may_return_an_id(provider: Provider) -> None:
    """The id of a resource travels apart; that of a lookup does not."""
    request = provider_pb2.InvokeRequest(
        tok="test:index/echo:echo", args=struct({"a": 1})
    )
    answer = provider.Invoke(request, FakeContext())

    assert load(getattr(answer, "return")) == {"a": 1, "id": "me"}


def test_an_unknown_type_names_what_there_is(provider: Provider) -> None:
    """The message helps whoever adds a resource to a stack."""
    context = FakeContext()
    request = provider_pb2.CheckRequest(urn=URN.replace("thing:Thing", "other:Other"))
    with pytest.raises(AbortedError, match="it has test:index/thing:Thing"):
        provider.Check(request, context)

    assert context.code == grpc.StatusCode.UNIMPLEMENTED


def test_cancel_sets_a_flag_and_stops_nothing(provider: Provider, thing: Thing) -> None:
    """A call in flight goes on; waits see the flag."""
    provider.Cancel(None, FakeContext())

    assert provider.call is not None
    assert provider.call.stopping.is_set()
    request = provider_pb2.CreateRequest(urn=URN, properties=struct({"name": "a"}))
    assert provider.Create(request, FakeContext()).id == "a"
