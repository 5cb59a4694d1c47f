"""What looks like a secret: tokens of known services, values beside telling names.

The expressions are those of detect-secrets 1.5, written out here because importing it
costs 0.2 s in every supervisor; a test says when the library knows another kind. Left
out: its entropy detectors (they take commits and digests for secrets) and public
addresses (they are evidence).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from olrunbook.redact.names import TELLING, compiled, plausible, telling

Hit = tuple[int, int, bool]  # start, end, whether it is a secret wherever it stands

WINDOW = 1 << 14  # characters of a line that are looked at around a sign

# Tokens that tell by themselves. The sign is looked for first: it is cheap.
_TOKENS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("AKIA", "ASIA", "ABIA", "ACCA", "A3T"),
     r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}"),
    (("AKC",), r"(?<![\w+/])AKC[a-zA-Z0-9]{10,}(?![\w+/-])"),
    (("AP",), r"(?<![\w+/])AP[\dA-F](?=[a-zA-Z]*\d)[a-zA-Z0-9]{8,}(?![\w+/-])"),
    (("AccountKey=",), r"AccountKey=(?P<v>[a-zA-Z0-9+/=]{88})"),
    ((".",), r"[MNO][a-zA-Z\d_-]{23,25}\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9_]{36,255}"),
    (("github_pat_",), r"github_pat_[A-Za-z0-9_]{22,255}"),
    (("glpat-", "gldt-", "glft-", "glsoat-", "glrt-"),
     r"gl(?:pat|dt|ft|soat|rt)-[A-Za-z0-9_\-]{20,50}(?!\w)"),
    (("GR1348941",), r"GR1348941[A-Za-z0-9_\-]{20,50}(?!\w)"),
    (("glcbt-",), r"glcbt-(?:[0-9a-fA-F]{2}_)?[A-Za-z0-9_\-]{20,50}(?!\w)"),
    (("glimt-",), r"glimt-[A-Za-z0-9_\-]{25}(?!\w)"),
    (("glptt-",), r"glptt-[A-Za-z0-9_\-]{40}(?!\w)"),
    (("glagent-",), r"glagent-[A-Za-z0-9_\-]{50,1024}(?!\w)"),
    (("gloas-",), r"gloas-[A-Za-z0-9_\-]{64}(?!\w)"),
    (("eyJ",), r"eyJ[A-Za-z0-9_=-]{8,}\.[A-Za-z0-9_=-]{8,}(?:\.[A-Za-z0-9_.+/=-]*)?"),
    (("-us",), r"(?<![0-9a-z])[0-9a-z]{32}-us[0-9]{1,2}(?!\w)"),
    (("_authToken",), r"//\S+/:_authToken=\s*(?P<v>npm_[^\s\"']+|[A-Fa-f0-9-]{36})"),
    (("npm_",), r"npm_[A-Za-z0-9]{36}"),
    (("T3BlbkFJ",), r"sk-[A-Za-z0-9-_]*[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    (("sk-ant-", "sk-proj-"), r"sk-(?:ant|proj)-[A-Za-z0-9_-]{20,}"),
    (("pypi-Ag",), r"pypi-Ag(?:EIcHlwaS5vcmc|ENdGVzdC5weXBpLm9yZw)[A-Za-z0-9-_]{70,}"),
    (("SG.",), r"SG\.[a-zA-Z0-9_-]{22}\.[a-zA-Z0-9_-]{43}"),
    (("xox", "XOX"), r"(?i:xox[abposr]-(?:\d+-)+[a-z0-9]+)"),
    (("hooks.slack.com",),
     r"(?i:https://hooks\.slack\.com/services/T\w+/B\w+/\w+)"),
    (("api.softlayer.com",),
     r"(?i:https?://api\.softlayer\.com/soap/v3(?:\.1)?/(?P<v>[a-z0-9]{64}))"),
    (("sq0csp-",), r"sq0csp-[0-9A-Za-z\\\-_]{43}"),
    (("k_live_",), r"[rs]k_live_[0-9a-zA-Z]{24}"),
    ((":",), r"(?<!\d)\d{8,10}:[0-9A-Za-z_-]{35}(?![\w-])"),
    (("AC",), r"AC[a-z0-9]{32}"),
    (("SK",), r"SK[a-z0-9]{32}"),
    (("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    (("pul-",), r"pul-[0-9a-f]{40}"),
    (("AIza",), r"AIza[0-9A-Za-z_-]{35}"),
    (("dckr_pat_",), r"dckr_pat_[A-Za-z0-9_-]{20,}"),
    (("AGE-SECRET-KEY-",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
)  # fmt: skip

# Two kinds have no letters of their own, but a long run of them behind one of these.
_RARE = ".:"
_RUN = b"x" * 27

_NAME = rf"(?P<name>{TELLING}[\w-]{{0,40}})"
_QUOTE = r"(?:\\*(?:\"\"\"|'''|[\"'`])|&(?:quot|apos|\#34|\#39|\#x27);)"
_VALUE = (  # quoted, to the same quote or the end of the line; or one bare word
    rf"(?:[brfu]{{0,2}}@?(?P<q>{_QUOTE})"
    r"(?P<quoted>(?:(?!(?P=q))(?:\\[^\n]|[^\n\\]))+)(?:(?P=q)|(?=\n|$))"
    r"|(?P<bare>(?:[^\s\"'`,;<>()\[\]{}\\&]|&(?!\w+;)|\\(?![nrtu\"']))+))"
)
_KEYWORDS = (
    # a line of an env file: the value goes to its end, whatever is in it
    rf"^\s*(?:export\s+|set\s+|-e\s+)?[\w-]*?{_NAME}=(?P<bare>[^\s\"'][^\s]*)\s*$",
    # name = "value", name: value, "name" => 'value', name: str = "value"
    (
        rf"{_NAME}(?:\[\d*\])?(?:{_QUOTE}|\])*\s*"
        rf"(?::\s*[\w.|\[\] ]{{1,40}}=(?!=)|:=|=>|={{1,3}}|!==?|:)\s*{_VALUE}"
    ),
    # --name value, ["--name", "value"]
    rf"--[\w-]*?{_NAME}(?:{_QUOTE})?(?:,\s*|\s+)(?!-){_VALUE}",
    # <name>value</name>, two cells of a table
    rf"{_NAME}(?:>|</t[hd]>\s*<t[hd][^<>]*>)(?P<quoted>[^<>\n]+)</",
    # a call: SecretStr of a literal, Output.secret, secret.assign
    (
        rf"(?P<name>\b(?:secret(?:str|bytes|value)?|password|token)(?:\.assign)?)"
        rf"\(\s*[bru]?(?P<q>{_QUOTE})(?P<quoted>(?:(?!(?P=q))[^\n])+)(?P=q)"
    ),
    # the literal first, compared with the name
    (
        rf"(?P<q>{_QUOTE})(?P<quoted>(?:(?!(?P=q))[^\n])+)(?P=q)\s*[!=]{{2,3}}\s*"
        rf"[\w.]*?{_NAME}"
    ),
    # private_key "value";
    rf"{_NAME}\s+(?P<q>{_QUOTE})(?P<quoted>(?:(?!(?P=q))[^\n])+)(?P=q);",
)
_FLAGS = re.IGNORECASE | re.MULTILINE
_WEAK = ("aws", "cl", "sl")
# Two letters are everywhere: these signs need another beside them.
_BESIDE = {**dict.fromkeys(_WEAK, ("key", "pw", "pass", "token")), "://": ("@",)}
_KEYWORD_SIGNS = ("pass", "pwd", "secret", "token", "key", "credential", "contrase")

# Values that are secret by what stands around them; the sign is in lower case.
_AROUND: tuple[tuple[str, str], ...] = (
    ("://", r"://[^\s:/@\"'<>]*:(?P<v>[^\s/@\"'<>{}]+)@"),
    ("bearer", r"\bbearer(?: |%20)+(?P<v>[\w.~+/=-]{16,})"),
    ("basic ", r"\bbasic +(?P<v>[A-Za-z0-9+/]{12,}={0,2})(?![\w-])"),
    ("x-amz-signature", r"x-amz-signature=(?P<v>[0-9a-f]{64})"),
    ("chpasswd", r"(?:^|[\s\"'])[\w.-]+:(?P<v>[^\s\"'|]+)[\"']?\s*\|.*chpasswd"),
    (
        "aws",
        (
            r"aws.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?[\"']"
            r"(?P<v>(?![0-9a-f]{40})[0-9a-zA-Z/+]{40})[\"']"
        ),
    ),
    (
        "key",
        (
            r"(?<![a-z])key[\"']?\]? *(?:=|:|:=|=>|::) *[\"']?"
            r"(?P<v>(?![0-9a-f-]{44})[a-zA-Z0-9_\-]{44}(?![a-zA-Z0-9_\-]))"
        ),
    ),
    *(
        (
            sign,
            (
                rf"(?<!\w)\[?[\"']?(?:{sign}\w*?)[_-]?(?:api)?(?:key|pwd|pw|password|pass"
                rf"|token)[\"']?\]? *(?:=|:|:=|=>| +|::) *[\"']?(?P<v>{value})(?!\w)"
            ),
        )
        for sign, value in (
            ("cl", r"[0-9a-f]{64}|[a-z]{24}"),
            ("softlayer", r"[a-z0-9]{64}"),
            ("sl", r"[a-z0-9]{64}"),
        )
    ),
)


def find(text: str, mapped: bytes) -> Iterator[Hit]:
    """Yield what looks like a secret in a text, whose map is from `user_data.runs`.

    What was masked before is hidden from us by the caller.
    """
    rare = _before_runs(text, mapped)
    for signs, pattern in _TOKENS:
        for sign in signs:
            if sign in (rare if sign in _RARE else text):
                yield from _tokens(pattern, sign, text)
    low = text.lower()
    if len(low) != len(text):  # a few letters of the world change their length
        low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    named = [sign for sign in _KEYWORD_SIGNS if sign in low]
    for start, end in _windows(low, named):
        for pattern in _KEYWORDS:
            yield from _named(pattern, text, start, end)
    for sign, around in _AROUND:
        needed = _BESIDE.get(sign, ("",))
        if sign in low and any(word in low for word in needed):
            yield from _around(sign, around, text, low)


def _around(sign: str, pattern: str, text: str, low: str) -> Iterator[Hit]:
    """Yield the values that are secret by what stands around them."""
    for start, end in _windows(low, [sign]):
        for found in compiled(pattern, _FLAGS).finditer(text, start, end):
            if plausible(found["v"], quoted=True):
                yield *found.span("v"), sign not in _WEAK


def _before_runs(text: str, mapped: bytes) -> set[str]:
    """Return the characters that stand before long runs of letters."""
    found: set[str] = set()
    at = mapped.find(_RUN)
    while at >= 0:
        found.add(text[at - 1 : at])
        end = mapped.find(b" ", at)
        at = mapped.find(_RUN, end) if end > 0 else -1
    return found


def _tokens(pattern: str, sign: str, text: str) -> Iterator[Hit]:
    expression = compiled(pattern, re.MULTILINE)
    group = "v" if "v" in expression.groupindex else 0
    for start, end in _windows(text, [sign]):
        for found in expression.finditer(text, start, end):
            yield *found.span(group), True


def _named(pattern: str, text: str, start: int, end: int) -> Iterator[Hit]:
    """Yield the values beside telling names."""
    for found in compiled(pattern, _FLAGS).finditer(text, start, end):
        groups = found.groupdict()
        which = "quoted" if groups.get("quoted") is not None else "bare"
        value = found[which]
        if _in_name(text, found.start("name")) or not telling(found["name"]):
            continue
        if plausible(value, quoted=which == "quoted"):
            yield *found.span(which), strong(value)


def _in_name(text: str, at: int) -> bool:
    """Tell whether a place is inside an ARN or a URN: `…:secret:name` is a name."""
    word = max(text.rfind(sign, max(0, at - 200), at) for sign in " \n\t\"'=,")
    return text.startswith(("arn:", "urn:"), word + 1)


def strong(value: str) -> bool:
    """Tell whether a value is rare enough to be masked wherever it stands."""
    if len(value) < 8 or _SLUG.fullmatch(value):  # noqa: PLR2004
        return False
    kinds = (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())
    return sum(any(map(kind, value)) for kind in kinds) > 1 or len(value) > 15  # noqa: PLR2004


_SLUG = re.compile(r"[A-Za-z]+(?:[-_.:/ ][A-Za-z0-9]+)*")


def _windows(text: str, signs: list[str]) -> list[tuple[int, int]]:
    """Return the lines that hold a sign; of a very long line what is around it."""
    spans: list[tuple[int, int]] = []
    for sign in signs:
        at = text.find(sign)
        while at >= 0:
            start = max(text.rfind("\n", 0, at) + 1, at - WINDOW // 8)
            end = text.find("\n", at)
            end = min(len(text) if end < 0 else end, at + WINDOW)
            spans.append((start, end))
            at = text.find(
                sign, max(end - WINDOW // 2, at + 1) if end == at + WINDOW else end
            )
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
