"""Which variables of an environment hold secrets, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

from olrunbook.redact.forms import MIN_LENGTH

KEY_VARIABLE = "OLRUNBOOK_MASK_KEY"

_NAME = re.compile(
    r"(?:^|_)(?:\w*TOKENS?|\w*SECRETS?|\w*PASSWORDS?|\w*PASSWD|PASS|\w*PASSPHRASE|PWD"
    r"|\w*CREDENTIALS?|\w*APIKEY|KEY|DSN|WEBHOOK|CONNECTION_STRING)(?:_\d+)?$",
    re.IGNORECASE,
)
_INSIDE = re.compile(
    r"(?:SECRET|PRIVATE|API|ACCESS|AUTH)_?(?:ACCESS_)?KEY", re.IGNORECASE
)
_BESIDE = re.compile(r"_(?:ID|FILE|PATH|NAME|ARN|TYPE|DIR|SOCK)$", re.IGNORECASE)
# Not secret in spite of their names: the fingerprint of Python's release key in its
# container images, and the key that is never learned because nothing may print it.
_PUBLIC = {"GPG_KEY", KEY_VARIABLE}
_USERINFO = re.compile(r"^[a-zA-Z][\w+.-]*://[^\s:/@]*:(?P<password>[^\s@]+)@")
_OF_PROXY = re.compile(r"^[^\s:/@]+:(?P<password>[^\s@]+)@")  # it needs no scheme
_PLAIN = re.compile(
    r"true|false|yes|no|none|null|on|off|enabled|disabled|default|[\d.,:]+",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?:~|\.{1,2})?/[a-z0-9._-]*(?:/[\w.@+-]*)*")


def secrets_of_environment(
    environ: Mapping[str, str], names: Iterable[str] = ()
) -> list[str]:
    """Return the values of the variables whose names say that they are secret.

    Those that the catalog names are secret, too, whatever they hold.
    """
    wanted = set(names)
    found: dict[str, None] = {}
    for name, value in environ.items():
        if name in _PUBLIC:
            continue
        proxy = name.lower().endswith("_proxy")
        if address := _USERINFO.match(value) or (proxy and _OF_PROXY.match(value)):
            found[address["password"]] = None
            found[unquote(address["password"])] = None
        by_name = _NAME.search(name) or _INSIDE.search(name)
        telling = by_name and not _BESIDE.search(name) and _secret(value)
        if name in wanted or telling:
            found[value] = None
    return [value for value in found if len(value.strip()) >= MIN_LENGTH]


def _secret(value: str) -> bool:
    """Tell whether a value may be secret: no switch, number, path, plain address."""
    value = value.strip()
    plain = _PLAIN.fullmatch(value) or _PATH.fullmatch(value)
    if plain or value.startswith("arn:"):
        return False
    if value.startswith("/") and len(value) < 256:  # noqa: PLR2004  (a long one is none)
        try:
            return not Path(value).exists()
        except OSError:
            return True
    return "://" not in value or "@" in value or "hooks." in value
