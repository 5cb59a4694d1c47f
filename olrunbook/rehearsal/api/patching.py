"""Replace a method of moto's with ours, in this process only; raise AWS's errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError


def fault(words: str, code: str) -> EC2ClientError:
    """Return an EC2 error with AWS's code and words."""
    return EC2ClientError(code, words)


def override(
    owner: type, name: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put the decorated function in the place of a method.

    The function is called as `function(original, self, …)`, where `original` is what
    stood there before (None where there was nothing: an action that moto lacks).

    Args:
        owner: The class.
        name: The method's name; empty: the function's.

    """

    def bind(function: Callable[..., Any]) -> Callable[..., Any]:
        method = name or function.__name__
        original = getattr(owner, method, None)

        @functools.wraps(function)
        def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
            return function(original, self, *args, **kwargs)

        setattr(owner, method, replaced)
        return function

    return bind
