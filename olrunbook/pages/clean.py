"""Foreign HTML, made harmless: what is not on a list is not written.

The text is taken apart and written anew from known elements, known attributes and
escaped text, so it does not matter how a browser would have read what came in. Nothing
that runs, loads, moves over other parts of the page or looks like them gets through.
The page's content security policy is the second guard, not the first.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from html import escape, unescape

# Classes of the page itself; an output may not dress as the page's own head.
PRIVATE = "olr-"
COMMON = 400  # characters of attributes that may well come again
DEEPEST = 60  # what is nested deeper loses its elements, not its text


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOID = frozenset({"br", "col", "hr", "img", "wbr"})
_ELEMENTS = _VOID | _words(
    """
    a abbr b bdi bdo blockquote caption center cite code colgroup dd del details dfn
    div dl dt em figcaption figure font h1 h2 h3 h4 h5 h6 i ins kbd li mark ol p pre
    q rp rt ruby s samp section small span strike strong sub summary sup table tbody
    td tfoot th thead time tr tt u ul var
    """
)
# Their content is no text for a reader.
_WHOLE = _words(
    """
    applet audio canvas embed frameset head iframe math noembed noframes noscript
    object script select style svg template textarea title video xmp
    """
)
_ATTRIBUTES = frozenset({"aria-hidden", "aria-label", "class", "dir", "lang", "title"})
_MORE = {
    "a": frozenset({"href"}),
    "col": frozenset({"span"}),
    "colgroup": frozenset({"span"}),
    "details": frozenset({"open"}),
    "img": frozenset({"alt", "height", "src", "width"}),
    "ol": frozenset({"start", "type"}),
    "td": frozenset({"align", "colspan", "rowspan", "valign"}),
    "th": frozenset({"align", "colspan", "rowspan", "scope", "valign"}),
    "time": frozenset({"datetime"}),
}
_STYLES = _words(
    """
    background background-color border border-bottom border-bottom-color
    border-bottom-style border-bottom-width border-collapse border-color border-left
    border-left-color border-left-style border-left-width border-radius border-right
    border-right-color border-right-style border-right-width border-spacing
    border-style border-top border-top-color border-top-style border-top-width
    border-width break-inside caption-side color font font-family font-size
    font-style font-variant font-weight height letter-spacing line-height
    list-style-type margin margin-bottom margin-left margin-right margin-top
    max-width min-width opacity overflow-wrap padding padding-bottom padding-left
    padding-right padding-top page-break-inside tab-size text-align text-decoration
    text-indent text-transform vertical-align white-space width word-break
    """
)
# No function but a colour's, no negative number: nothing loads, nothing moves away.
_VALUE = re.compile(
    r"""(?:\b(?:rgba?|hsla?)\([\d\s.,%/a-z]*+\)|-(?=[a-z])|(?<=\w)-|[\w\s\#%.,/"'+])*+""",
    re.IGNORECASE | re.VERBOSE,
)
_BARE = frozenset({"none", "inherit", "transparent", "initial", "unset"})

# A comment, a declaration, a tag. Each alternative either matches or gives up at the
# next `<` outside quotes: the time grows with the length alone, whatever comes in.
_TOKEN = re.compile(
    r"""<(?:!--.*?(?:-->|\Z)
        |[!?][^>]*(?:>|\Z)
        |(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]*+)
         (?P<rest>(?:[^<>"']|"[^"]*"|'[^']*')*+)>)""",
    re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(
    r"""([^\s"'<>/=]++)(?:\s*+=\s*+("[^"]*"|'[^']*'|[^\s"'>]++))?""", re.DOTALL
)
_IMAGE = re.compile(
    r"data:image/(?:png|jpeg|gif|webp|svg\+xml)(?:;[\w=-]+)*;base64,[A-Za-z0-9+/=\s]*+",
    re.IGNORECASE,
)
# What a browser leaves out before it looks for the scheme.
_IGNORED = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_SCHEME = re.compile(r"[^/?#]*?:")


def safe_link(address: str) -> str:
    """Return an address a reader may follow by a click; empty where it is none.

    That is http, https, mailto, a part of this page, or a path beside it.
    """
    bare = _IGNORED.sub("", address)
    scheme = _SCHEME.match(bare)
    if scheme and scheme[0].lower() not in ("http:", "https:", "mailto:"):
        return ""
    # `//host` and `\\host` take the page's own scheme, which may be file.
    return "" if bare.replace("\\", "/").startswith("//") else bare


def clean_html(text: str) -> tuple[str, Counter[str]]:
    """Return HTML with nothing in it that acts, and what was left out.

    Args:
        text: HTML of any origin, whole or cut off.

    Returns:
        HTML whose elements are all closed, and how often an element that could act was
        left out, by its name. Style sheets are left out and not counted: nearly every
        table brings one, and the page has its own.

    """
    out: list[str] = []
    opened: list[str] = []
    removed: Counter[str] = Counter()
    at = 0
    missing: set[str] = set()  # elements that are never closed from here on
    while found := _TOKEN.search(text, at):
        out.append(_text(text[at : found.start()]))
        at = found.end()
        name = (found["name"] or "").lower()
        if not name:
            continue
        if name in _WHOLE and not found["end"]:
            if name != "style":
                removed[name] += 1
            at = _after(text, name, at, missing)
        elif name not in _ELEMENTS:
            if not found["end"] and name in ("base", "form", "link", "meta"):
                removed[name] += 1
        elif found["end"]:
            _close(name, out, opened)
        else:
            _open(name, found["rest"], out, opened)
    out.append(_text(text[at:]))
    out += [f"</{name}>" for name in reversed(opened)]
    return "".join(out), removed


def _text(piece: str) -> str:
    return escape(unescape(piece), quote=False) if piece else ""


def _after(text: str, name: str, at: int, missing: set[str]) -> int:
    """Return where an element that is left out ends; its start where it never does."""
    closing = re.compile(rf"</{name}[^>]*+(?:>|\Z)", re.IGNORECASE)
    if name not in missing and (end := closing.search(text, at)):
        return end.end()
    missing.add(name)
    return len(text) if name in ("script", "style") else at


def _close(name: str, out: list[str], opened: list[str]) -> None:
    if name in opened:
        while (inner := opened.pop()) != name:
            out.append(f"</{inner}>")
        out.append(f"</{name}>")


def _open(name: str, rest: str, out: list[str], opened: list[str]) -> None:
    if name == "a":
        _close("a", out, opened)
    if name not in _VOID and len(opened) >= DEEPEST:
        return
    out.append((_tag if len(rest) > COMMON else _common_tag)(name, rest))
    if name not in _VOID:
        opened.append(name)


def _tag(name: str, rest: str) -> str:
    """Return an element's start as it may be written."""
    found: dict[str, str] = {}
    for key, value in _ATTRIBUTE.findall(rest):
        bare = value[1:-1] if value[:1] in ("'", '"') else value
        found.setdefault(key.lower(), unescape(bare))
    source = found.get("src", "")
    if name == "img" and not _IMAGE.fullmatch(source.strip()):  # not in the page itself
        what = found.get("alt") or "image"
        words = f"[{what}: not kept in this record: {source[:200]}]"
        return escape(words, quote=False)
    kept = [
        f' {key}="{escape(value)}"'
        for key, raw in found.items()
        if (value := _attribute(name, key, raw)) is not None
    ]
    if name == "a" and "href" in found:
        kept.append(' rel="noopener noreferrer"')
    return f"<{name}{''.join(kept)}>"


# A table says the same of each of its fields.
_common_tag = lru_cache(maxsize=2048)(_tag)


def _attribute(name: str, key: str, value: str) -> str | None:
    """Return the value of an attribute as it may be written, or None."""
    if key == "style":
        return _style(value) or None
    if key not in _ATTRIBUTES and key not in _MORE.get(name, ()):
        return None
    if key == "href":
        return safe_link(value) or None
    if key == "class":
        kept = [word for word in value.split() if not word.startswith(PRIVATE)]
        return " ".join(kept) or None
    return value


def _style(value: str) -> str:
    """Return the declarations that only change how their own element looks."""
    kept: dict[str, str] = {}
    for declaration in value.split(";"):
        key, _, wanted = declaration.partition(":")
        key, wanted = key.strip().lower(), wanted.strip()
        if key in _STYLES and wanted and _VALUE.fullmatch(wanted):
            kept[key] = wanted
    filled = kept.get("background-color") or kept.get("background") or "none"
    if filled.lower() not in _BARE and "color" not in kept:
        # The page may be dark; who chose a ground alone expected dark letters.
        kept["color"] = "#1f2328"
    return ";".join(f"{key}:{wanted}" for key, wanted in kept.items())
