"""Names that say that their value is secret, and values that cannot be one."""

from __future__ import annotations

import re
from functools import cache

from olrunbook.redact.forms import MIN_LENGTH

TELLING = (
    r"(?:pass_?(?:word|wd|phrase|code)|(?<![a-z])pass(?![a-z])|pwd|secret"
    r"|contrase(?:ñ|n)a|token|credential"
    r"|(?:api|auth|service|account|db|database|priv|private|client|access|shared"
    r"|encryption|signing|master|storage)[_-]?key"
    r"|(?:db|database|key)_?pass)"
)
# What follows the keyword in names of things about a secret, not of the secret.
_ABOUT = (
    (
        r"[_-]?(?:key[_-]?)?(?:names?|arns?|files?|paths?|urls?|uris?|ids?|types?|version\w*"
        r"|hash\w*|digest|sha\d*|length|len|count|age|polic\w+|fields?|ttl|expir\w*|stdin"
        r"|env|variables?|vars?|ref\w*|help|prompt|hint|managers?|stores?|providers?"
        r"|engine|mount|size|format|regex|pattern|fingerprint|endpoint|rotation\w*"
        r"|description|labels?|template|iz\w*|ary|at|is|was|for|in|of)s?$"
    ),
    re.IGNORECASE,
)
_NOTHING = (
    r"""
    true|false|none|null|nil|undefined|redacted|hidden|optional|required|unset|empty
    |\[.*\]|<.*>|\{\{.*|\$\{.*|\$\(.*|\$[A-Za-z_]\w*|%\(?\w.*|\*+.*|(.)\1*|\.\.\.
    |(?:os|process|env|environ|var|local|data|self|config|settings|secrets)\.[\w.\[(].*
    |[A-Za-z_][\w.]*[(\[].*                        # a call or a look-up
    |\[?masked.*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_EVIDENCE = (
    r"""
    [a-z]{1,14}-[0-9a-f]{8}(?:[0-9a-f]{9})?        # ami-, i-, sg-, subnet-, vpc-, lt-
    |(?:sha(?:1|256|512|384))[:-].*|(?:SHA256|MD5):.*
    |arn:[\w-]*:.*|urn:.*
    |[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}
    |[a-z][a-z0-9+.-]*://[^\s@]*                   # an address without user
    |v\d+:[\w+/=:]+                                # Pulumi's ciphertext
    |v?\d+(?:\.\d+)+[\w.+-]*|\d{4}-\d\d-\d\d.*     # versions, times
    |[~.]*/[a-z0-9._-]+(?:/[\w.-]+)*               # paths
    |[a-z0-9_.-]{1,30}(?:/[a-z0-9_.-]{1,30})+
    """,
    re.VERBOSE,
)
_DOTTED = (r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", 0)
_SIGN = (r"[0-9!@#$%^&*+=~?]", 0)


@cache
def compiled(text: str, flags: int) -> re.Pattern[str]:
    """Compile an expression when it is first needed: a tool starts at once."""
    return re.compile(text, flags)


def telling(name: str) -> bool:
    """Tell whether a variable, key or option of this name holds a secret."""
    found = list(compiled(TELLING, re.IGNORECASE).finditer(name))
    # The last one counts.
    return bool(found) and not compiled(*_ABOUT).match(name, found[-1].end())


def plausible(value: str, *, quoted: bool) -> bool:
    """Tell whether a value beside a telling name may be the secret itself.

    One that is not quoted may be a word of a sentence or of a program.
    """
    value = value.strip()
    if len(value) < MIN_LENGTH or "\ue000" in value:  # what was masked before
        return False
    if compiled(*_NOTHING).fullmatch(value) or compiled(*_EVIDENCE).fullmatch(value):
        return False
    if quoted:
        return True
    return bool(compiled(*_SIGN).search(value)) and not (
        compiled(*_DOTTED).fullmatch(value) or value.replace(".", "").isdigit()
    )
