"""Plain values to and from Pulumi's wire format, and errors as it reads them."""

from __future__ import annotations

from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import (  # type: ignore[import-untyped]
    any_pb2,
    json_format,
    struct_pb2,
)
from pulumi.runtime.proto import provider_pb2, status_pb2

from olrunbook.rehearsal.providers.values import UNKNOWN, Props, whole


def load(struct: struct_pb2.Struct) -> Props:
    """Return a protobuf struct as plain values."""
    values: Props = whole(json_format.MessageToDict(struct))
    return values


def struct(values: Props) -> struct_pb2.Struct:
    """Return plain values as a protobuf struct."""
    plain = {key: value for key, value in values.items() if value is not None}
    return json_format.ParseDict(plain, struct_pb2.Struct())


def dump(values: Props) -> struct_pb2.Struct:
    """Return a resource's properties as a protobuf struct; its id travels beside it."""
    return struct({key: value for key, value in values.items() if key != "id"})


def has_unknown(value: Any) -> bool:
    """Whether a tree holds a value that is known only after the update."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(has_unknown, value))
    return bool(value == UNKNOWN)


def say(error: Exception) -> str:
    """Return one line about an error, as a provider words it."""
    if getattr(error, "response", None):
        return str(error)  # botocore's own text names the call and the code
    return f"{type(error).__name__}: {error}"


def half_made(ident: str, inputs: struct_pb2.Struct, error: Exception) -> bytes:
    """Return the details of a creation that failed after the resource was there.

    The engine keeps such a resource in its state, so that it is in somebody's.
    """
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=ident, properties=inputs, inputs=inputs, reasons=[say(error)]
        )
    )
    status = status_pb2.Status(
        code=grpc.StatusCode.UNKNOWN.value[0], message=say(error), details=[detail]
    )
    return bytes(status.SerializeToString())
