"""How the kit itself talks to the daemon, beside the AWS API."""

from __future__ import annotations

KEY_HEADER = "X-Olrunbook-Key"  # carries the access key id
OWN_PREFIX = "/_rehearsal/"
TOKENS = "tokens"  # after it: how long temporary keys live
PACE_PREFIX = "/moto-api/"  # moto's own state manager: how fast things go
