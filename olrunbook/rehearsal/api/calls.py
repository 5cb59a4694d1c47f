"""Which API actions were called, by whom, since when: what IAM policies are made of.

An action is what the service itself calls it. Where a request names none (S3 and Route
53), the operation is found in botocore's models, the way moto finds it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from moto.core.request import Request
from moto.core.routing import get_service_router
from werkzeug.exceptions import NotFound

MOST = 20_000  # rows that are kept; those called longest ago are dropped
REST = frozenset({"route53", "s3"})
# What a caller says of itself in the setting AWS_SDK_UA_APP_ID, as every SDK sends it.
_CALLER = re.compile(r"(?:^|\s)app/(\S+)")


class Calls:
    """The calls since the start, each once for a caller and what it was made on."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[str, ...], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, environ: dict[str, Any], service: str, named: str) -> None:
        """Count a call.

        Args:
            environ: The request; its body is not read.
            service: Its signing name.
            named: The action that the request names; counts only where one is named.

        """
        if service == "rehearsal":
            return
        action = _operation(environ, service) if service in REST else named
        path = unquote(environ.get("PATH_INFO", "")).strip("/")
        found = _CALLER.search(environ.get("HTTP_USER_AGENT", ""))
        caller = found.group(1) if found else ""
        resource = f"arn:aws:s3:::{path}" if service == "s3" else ""
        key = (service, action, caller, resource)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            row = self._rows.setdefault(key, {"since": now, "count": 0})
            row |= {"count": row["count"] + 1, "last": now}
            self._rows.move_to_end(key)
            if len(self._rows) > MOST:
                self._rows.popitem(last=False)

    def rows(self) -> list[dict[str, Any]]:
        """Return the calls, those made last at the end."""
        names = ("service", "action", "caller", "resource")
        with self._lock:
            return [
                dict(zip(names, key, strict=True)) | row
                for key, row in self._rows.items()
            ]


def _operation(environ: dict[str, Any], service: str) -> str:
    """Return the operation of a REST request; empty: botocore knows none."""
    try:
        operation, _ = get_service_router(service).match(Request(environ))
    except NotFound:
        return ""
    return str(operation.name)
