"""Errors in the shapes AWS's SDKs read, for what moto lets out as an HTML page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from xml.sax.saxutils import escape

from moto.core.exceptions import ServiceException

# Services whose requests and errors are JSON even without an X-Amz-Target header.
_REST_JSON = {"lambda", "apigateway", "eks", "batch", "backup", "efs", "kafka", "xray"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One error answer."""

    code: str  # AWS's error code
    message: str  # its words
    status: int = 400  # HTTP status


class FaultError(Exception):
    """Raised where a call of moto's is answered with a fault of ours."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code}: {fault.message}")
        self.fault = fault


def fault_of(error: Exception, service: str, action: str) -> Fault:
    """Return the answer for an exception that moto did not turn into one."""
    if isinstance(error, FaultError):
        return error.fault
    named = action or "this action"
    if isinstance(error, NotImplementedError):
        if service == "s3":
            return Fault(
                "NotImplemented", f"The rehearsal cloud lacks it: {error}", 501
            )
        words = (
            f"The action {named} is not valid for this web service (rehearsal cloud)."
        )
        return Fault("InvalidAction", words)
    if isinstance(error, KeyError | StopIteration):
        # moto looks names up in its dictionaries: a name that is not there.
        return Fault(
            "ValidationError", f"{named}: {error.args[0] if error.args else error}"
        )
    if isinstance(error, ServiceException):
        return Fault(str(error.code), str(error.message))
    words = f"{named} failed in the rehearsal cloud: {type(error).__name__}: {error}"
    return Fault("InternalFailure", words, 500)


def respond(fault: Fault, service: str, *, json_target: bool) -> tuple[str, str, bytes]:
    """Return status line, content type and body of an error.

    With `json_target`, the request had an X-Amz-Target header.
    """
    status = f"{fault.status} {HTTPStatus(fault.status).phrase}"
    if json_target or service in _REST_JSON:
        code = (
            "UnknownOperationException" if fault.code == "InvalidAction" else fault.code
        )
        body = json.dumps({"__type": code, "message": fault.message})
        return status, "application/x-amz-json-1.1", body.encode()
    inner = (
        f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
    )
    request = "<RequestId>00000000-0000-0000-0000-000000000000</RequestId>"
    if service == "ec2":
        errors = f"<Errors><Error>{inner}</Error></Errors>"
        xml = (
            f"<Response>{errors}{request.replace('RequestId', 'RequestID')}</Response>"
        )
    elif service == "s3":
        xml = f"<Error>{inner}{request}</Error>"
    else:
        error = f"<Error><Type>Sender</Type>{inner}</Error>"
        xml = f"<ErrorResponse>{error}{request}</ErrorResponse>"
    return status, "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode()
