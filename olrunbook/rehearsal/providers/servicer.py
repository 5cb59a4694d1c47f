"""Pulumi's resource provider protocol over plain handlers."""

# ruff: noqa: N802, D102, ARG002  (the protocol names methods and arguments)

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from olrunbook.rehearsal.providers.handler import Caller, Function, Handler, is_gone
from olrunbook.rehearsal.providers.values import (
    UNKNOWN,
    Difference,
    Props,
    differences,
    top,
)
from olrunbook.rehearsal.providers.wire import (
    dump,
    half_made,
    has_unknown,
    load,
    say,
    struct,
)

DEFAULTS = "__defaults"  # the bridge's own mark for inputs nobody wrote


@dataclass(frozen=True, slots=True)
class Package:
    """One provider."""

    name: str  # `aws`, `vault` or `consul`
    version: str  # the one its SDK asks for
    resources: Mapping[str, Handler]  # by type token
    functions: Mapping[str, Function]  # by token
    connect: Callable[[Props], Caller]  # takes the provider's configuration


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The servicer. Secrets are unwrapped and marked again by the engine."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.call: Caller | None = None
        self._calls = threading.Lock()
        self._stopping = threading.Event()

    # -- the plugin itself ----------------------------------------------------------

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()  # accepts nothing special

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.package.version)

    def Cancel(self, request: Any, context: Any) -> Any:
        """Set a flag that waits look at.

        Stopping the server here would cut the calls in flight and leave resources that
        exist but are in nobody's state.
        """
        self._stopping.set()
        return empty_pb2.Empty()

    def GetSchema(self, request: Any, context: Any) -> Any:
        schema = {"name": self.package.name, "version": self.package.version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_NONE
            if request.olds == request.news
            else provider_pb2.DiffResponse.DIFF_SOME
        )

    def Configure(self, request: Any, context: Any) -> Any:
        wanted = load(request.args)
        if not has_unknown(wanted):
            with self._calls:
                self.call = self._guard(context, self.package.connect, wanted)
                self.call.stopping = self._stopping
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    # -- resources ------------------------------------------------------------------

    def Check(self, request: Any, context: Any) -> Any:
        handler = self._handler(request.urn, context)
        old, new = load(request.olds), load(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in handler.check(new)
        ]
        if handler.autoname and not new.get("name"):
            seed = request.randomSeed
            new["name"] = handler.autoname.name(request.urn, seed, old, new)
            new[DEFAULTS] = ["name"]
        return provider_pb2.CheckResponse(inputs=dump(new), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        handler = self._handler(request.urn, context)
        new, found = load(request.news), self._differences(handler, request)
        changed = sorted({top(path) for path in found})
        replaces = [name for name in changed if name in handler.replace]
        kinds = provider_pb2.PropertyDiff.Kind
        detailed = {
            path: provider_pb2.PropertyDiff(
                kind=kinds.Value(
                    kind.upper() + ("_REPLACE" if top(path) in replaces else "")
                ),
                inputDiff=True,
            )
            for path, kind in found.items()
        }
        # A name the program chose cannot be had twice at the same time.
        fixed_name = "name" in new and "name" not in new.get(DEFAULTS, [])
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME
            if changed
            else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces)
            and fixed_name
            and "name" not in replaces,
        )

    def Create(self, request: Any, context: Any) -> Any:
        handler = self._handler(request.urn, context)
        wanted = self._with_tags(handler, load(request.properties))
        if request.preview:
            unknown = {name: UNKNOWN for name in handler.computed if name not in wanted}
            return provider_pb2.CreateResponse(properties=dump({**wanted, **unknown}))
        call = self._caller(context)
        ident = self._guard(context, handler.create, call, wanted)
        state: Props | None = wanted
        try:
            handler.complete(call, ident, wanted)
            state = handler.read(call, ident, wanted)
        except Exception as error:  # noqa: BLE001  (it exists: the state must hold it)
            self._half_made(context, ident, request.properties, error)
        return provider_pb2.CreateResponse(id=ident, properties=dump(state or wanted))

    def Update(self, request: Any, context: Any) -> Any:
        handler = self._handler(request.urn, context)
        old, new = load(request.old_inputs), load(request.news)
        new = self._with_tags(handler, new)
        changed = {top(path) for path in self._differences(handler, request)}
        kept = {
            name: value
            for name, value in load(request.olds).items()
            if name in handler.computed
        }
        wanted = {**kept, **new}
        if request.preview:
            unknown = dict.fromkeys(handler.moving(changed), UNKNOWN)
            return provider_pb2.UpdateResponse(properties=dump({**wanted, **unknown}))
        call = self._caller(context)
        self._guard(context, handler.update, call, request.id, old, new, changed)
        after = self._guard(context, handler.read, call, request.id, wanted)
        return provider_pb2.UpdateResponse(properties=dump(after or wanted))

    def Read(self, request: Any, context: Any) -> Any:
        handler = self._handler(request.urn, context)
        state, inputs = load(request.properties), load(request.inputs)
        try:
            after = handler.read(self._caller(context), request.id, state)
        except Exception as error:  # noqa: BLE001
            if not is_gone(error):
                self._fail(context, error)
            after = None
        if after is None:
            return provider_pb2.ReadResponse()
        seen = {name: after.get(name, value) for name, value in inputs.items()}
        return provider_pb2.ReadResponse(
            id=request.id, properties=dump(after), inputs=dump(seen)
        )

    def Delete(self, request: Any, context: Any) -> Any:
        handler = self._handler(request.urn, context)
        try:
            handler.delete(self._caller(context), request.id, load(request.properties))
        except Exception as error:  # noqa: BLE001
            if not is_gone(error):
                self._fail(context, error)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        function = self.package.functions.get(request.tok)
        if function is None:
            msg = f"the rehearsal's stand-in has no function {request.tok}"
            context.abort(grpc.StatusCode.UNIMPLEMENTED, msg)
        assert function is not None
        found = self._guard(
            context, function, self._caller(context), load(request.args)
        )
        return provider_pb2.InvokeResponse(**{"return": struct(found)})

    # -- helpers --------------------------------------------------------------------

    def _handler(self, urn: str, context: Any) -> Handler:
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        handler = self.package.resources.get(token)
        if handler is None:
            have = ", ".join(sorted(self.package.resources))
            msg = f"the rehearsal's stand-in has no {token}; it has {have}"
            context.abort(grpc.StatusCode.UNIMPLEMENTED, msg)
        assert handler is not None
        return handler

    @staticmethod
    def _differences(handler: Handler, request: Any) -> dict[str, Difference]:
        """Return the input paths that a Diff or an Update changes, and how."""
        old, new = load(request.old_inputs), load(request.news)
        ignored = {top(path) for path in request.ignoreChanges}
        return {
            path: kind
            for name in sorted({*old, *new} - ignored)
            if not name.startswith("__")
            for path, kind in differences(
                old.get(name), new.get(name), name, unordered=name in handler.unordered
            )
        }

    def _caller(self, context: Any) -> Caller:
        if self.call is None:
            msg = f"provider {self.package.name} is not configured yet"
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, msg)
        assert self.call is not None
        return self.call

    def _with_tags(self, handler: Handler, wanted: Props) -> Props:
        if not handler.tagged:
            return wanted
        shared = self.call.default_tags if self.call else {}
        return {**wanted, "tagsAll": {**shared, **(wanted.get("tags") or {})}}

    def _guard(self, context: Any, action: Callable[..., Any], *values: Any) -> Any:
        try:
            return action(*values)
        except Exception as error:  # noqa: BLE001  (the engine wants every error by gRPC)
            self._fail(context, error)

    def _fail(self, context: Any, error: Exception) -> NoReturn:
        context.abort(grpc.StatusCode.UNKNOWN, say(error))
        raise error

    def _half_made(
        self, context: Any, ident: str, inputs: struct_pb2.Struct, error: Exception
    ) -> NoReturn:
        """Fail a creation whose resource exists: the engine keeps it in its state."""
        context.set_trailing_metadata(
            (("grpc-status-details-bin", half_made(ident, inputs, error)),)
        )
        self._fail(context, error)
