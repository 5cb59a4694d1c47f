"""The HTTP server of the AWS API: moto's applications behind a filter, on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from olrunbook.rehearsal.api.keys import Keys
from olrunbook.rehearsal.api.request_filter import RequestFilter


class _QuietHandler(MotoRequestHandler):
    """One request; the log is for what goes wrong."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class Server:
    """Serves the API in a thread of its own.

    The socket listens already: it is this cloud's mutex.
    """

    def __init__(
        self,
        listening: socket.socket,
        keys: Keys,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._listening = listening
        host, port = listening.getsockname()[:2]
        moto = DomainDispatcherApplication(create_backend_app)
        admitted = RequestFilter(moto, f"{host}:{port}", keys, status)
        self._server: BaseWSGIServer = make_server(
            host,
            port,
            admitted,
            threaded=True,
            request_handler=_QuietHandler,
            fd=listening.fileno(),
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            daemon=True,
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def end(self) -> None:
        """Stop serving and close the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._listening.close()
        self._thread.join(5)
