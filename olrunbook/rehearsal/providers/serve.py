"""A provider's gRPC server, and a plugin process that runs it without the host."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from concurrent import futures
from functools import partial
from importlib import import_module
from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2_grpc

from olrunbook.rehearsal.providers import PACKAGES, plugin_version
from olrunbook.rehearsal.providers.servicer import Package, Provider

THREADS = 16
LARGEST_MESSAGE = 400 << 20  # as the engine's own limit
GRACE_S = 60.0  # for calls in flight when we are told to end


def package(name: str, environment: Mapping[str, str]) -> Package:
    """Return a provider's package; only its own modules are imported."""
    module = import_module(f"olrunbook.rehearsal.providers.{name}")
    connect = partial(module.connect, environment=environment)
    return Package(
        name, plugin_version(name), module.RESOURCES, module.FUNCTIONS, connect
    )


def serve(provider: Provider) -> tuple[Any, int]:
    """Start a provider's gRPC server on loopback; return it and its port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(THREADS),
        options=[("grpc.max_receive_message_length", LARGEST_MESSAGE)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    bound = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, bound


def main(args: list[str]) -> int:
    """Serve the provider named by the first argument; return the exit code."""
    if not args or args[0] not in PACKAGES:
        print(f"usage: python -m {__package__} {{{','.join(PACKAGES)}}}")  # noqa: T201
        return 2
    engine = os.getppid()
    server, port = serve(Provider(package(args[0], os.environ)))
    down = threading.Event()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: down.set())
    print(port, flush=True)  # noqa: T201  (the protocol: the engine reads it)
    # An engine that was killed leaves nobody to stop us.
    while os.getppid() == engine and not down.wait(1):
        pass
    server.stop(GRACE_S).wait()
    return 0
