"""Which access keys are served, whose they are, and until when."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from olrunbook.rehearsal.api.faults import Fault
from olrunbook.rehearsal.api.identity_name import new_key

_MISSING = Fault("MissingAuthenticationToken", "Request is missing a key.", 403)
_INVALID = Fault(
    "InvalidClientTokenId",
    "The security token included in the request is invalid.",
    403,
)
_WORDS = "The security token included in the request is expired"
_EXPIRED = Fault("ExpiredToken", _WORDS, 403)
# What some services say instead.
_EXPIRED_JSON = Fault("ExpiredTokenException", _WORDS)
_EXPIRED_OF = {
    "ec2": Fault("RequestExpired", "Request has expired."),
    "s3": Fault("ExpiredToken", "The provided token has expired."),
}


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary keys of a role."""

    arn: str  # what GetCallerIdentity answers
    user_id: str  # id of the role, and the session's name
    expires: datetime  # from then on they are refused (UTC)
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)  # goes with every request


class Keys:
    """The cloud's own key, which lasts, and those of the roles that were assumed."""

    def __init__(self, access_key: str, identity_arn: str, token_s: float) -> None:
        self._own, self.identity_arn = access_key, identity_arn
        # The longest that temporary keys live, in seconds; 0: as long as asked.
        self.token_s = token_s
        # Old ones, too: AWS tells `expired` from `never heard of`.
        self._sessions: dict[str, Session] = {}

    def issue(self, arn: str, user_id: str, asked_s: float) -> Session:
        """Return new temporary keys, served from now on, for `asked_s` at most."""
        lives = timedelta(seconds=min(asked_s, self.token_s or asked_s))
        expires = datetime.now(UTC) + lives
        token = f"FwoGZXIvYXdz{secrets.token_urlsafe(110)}"  # AWS's begin so
        made = Session(arn, user_id, expires, *new_key("ASIA"), token)
        self._sessions[made.access_key] = made
        return made

    def session(self, access_key: str) -> Session | None:
        """Return whose temporary key it is; None: it is none."""
        return self._sessions.get(access_key)

    def is_own(self, access_key: str) -> bool:
        """Whether it is the cloud's own key, which may do more than call AWS."""
        return hmac.compare_digest(access_key.encode(), self._own.encode())

    def refusal(
        self, access_key: str, token: str, service: str, *, json_target: bool
    ) -> Fault | None:
        """Return why a request is not served; None: it is.

        Args:
            access_key: The key id it is signed with; empty: it is not signed.
            token: The session token it carries; empty: none.
            service: The service by its signing name.
            json_target: Whether the service speaks JSON.

        """
        if not access_key:
            return _MISSING
        if self.is_own(access_key):
            return None
        session = self.session(access_key)
        if session is None:
            return _INVALID
        if not hmac.compare_digest(token.encode(), session.token.encode()):
            return _INVALID
        if datetime.now(UTC) < session.expires:
            return None
        return _EXPIRED_JSON if json_target else _EXPIRED_OF.get(service, _EXPIRED)
