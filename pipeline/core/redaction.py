"""Credentials taken out of text: user info and queries of URLs, passwords, keys and tokens.

Hosts, paths and file names in a message stay; where it is not clear whether something
is a credential or a part of a path, it is hidden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"
_SHORT = 4
"""Known credentials of fewer characters are hidden only where they stand as a word."""
_TOKEN = 16
"""A user of so many characters without a password is a token, and no name."""
_SUSPECT = re.compile(
    r"[@?#=]|%40|%3d|pass|pwd|secret|token|key|auth|cookie|bearer|basic|credential|signature|sig|sas"
    r"|user|role|AKIA|ASIA|eyJ|[a-z]:/[^\s]*:",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://+|\b(?:https?|s3|gs|ftp|postgres\w*|tcp|tls):/(?!/)"
)
_NEXT_URL = re.compile(r"[\s\"'`<>(\[{,;]\s*[A-Za-z][A-Za-z0-9+.-]*://")
_SPACE = re.compile(r"\s")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:@\[\]\"'<>]*)(:\d*)?[\"'`)\]}>,;:.]*")
_PLACEHOLDER = re.compile(r"(USER(:PASSWORD)?@)?HOST(:PORT)?[\"'`)\]}>,;:.]*")
_CLOSING = re.compile(r"[\"'`)\]}>,;:.]{1,2}$")
_QUOTED = r"b?'(?:[^'\\]|\\.|'')*'|b?\"(?:[^\"\\]|\\.)*\""
_LONG = (
    r"(?:[\w.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|account[_-]?key|private[_-]?key|secret[_-]?key|shared[_-]?access[_-]?(?:signature|key)"
    r"|signature|credentials?|userpwd|bearer))"
)
_WHOLE = r"(?:(?:[\w.-]*[_.-])?(?:pwd|pw|sig|sas|auth|apikey))"
_NAMED = re.compile(rf"(?i)(?<![\w.-])((?:{_LONG}|{_WHOLE})[\"']?\s*[:=]\s*)({_QUOTED}|\S[^\s;&]*)")
_USER = re.compile(rf"(?i)(?<![\w.-])((?:user|username|login|uid)=\s*)({_QUOTED}|\S[^\s;&]*)")
_NAMED_USER = re.compile(r"(?i)\b((?:user|role)(?: name)? )\"[^\"]*\"")
_HEADER = re.compile(
    r"(?i)(?<![\w-])((?:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]*(?:key|token|auth)[\w-]*)"
    rf"[\"']?\s*[:=]\s*)({_QUOTED}|[^\r\n]*)"
)
_PATTERNS = (
    # A query whose host stands elsewhere: "Max retries exceeded with url: /a?sig=..."
    (re.compile(r"\?(?=[\w.\-\[\]%:$]{1,80}=)\S*?(?=[\"'`)\]}>,;:.]{0,2}(?:\s|$))"), rf"?{MASK}"),
    (re.compile(r"(?i)(%3A%2F%2F)\S*%40"), rf"\1{MASK}%40"),
    (re.compile(r"(?i)(%3F)[\w.%-]*?%3D\S*"), rf"\1{MASK}"),
    (
        re.compile(r"(?<![\w/.:@%*-])((?:[\w.+-]*//)?)[\w.+%-]+:(?!/)\S*@(?=[\w\[])"),
        rf"\1{MASK}@",
    ),
    (_NAMED_USER, rf'\1"{MASK}"'),
    (re.compile(r"(?i)\b(bearer\s+)(?=\S*[\d._=/+-])[\w.~+/=-]{6,}"), rf"\1{MASK}"),
    (re.compile(r"\b(Basic\s+)(?=\S*[\d=])[A-Za-z0-9+/]{8,}={0,2}"), rf"\1{MASK}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"\beyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*)?"), MASK),
)
_SIGNING = re.compile(
    r"(?i)x-(?:amz|goog|ms|oss|cos)-.*|awsaccesskeyid|googleaccessid|signature|expires|policy"
    r"|key-pair-id|security-token|s[vterpk]|sig|sip|ss|srt|spr|skoid|sktid|skt|ske|sks|skv"
    r"|saoid|suoid|scid|.*(?:token|password|secret|api[_-]?key|apikey|auth|credential).*"
)


_AUTHORISING = re.compile(
    r"(?i)sig|.*(?:signature|token|password|passwd|secret|api[_-]?key|account_?key).*"
)


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Return a text without credentials: user info and every query value of its URLs among them.

    Connection strings, headers, key ids and variables that hold passwords are recognised by
    name. Doing it again changes nothing.

    Args:
        text: What is to be shown or kept.
        secrets: Values that are known to be secret, wherever and however encoded they stand.
    """
    for secret in _spelt(secrets):
        if len(secret) < _SHORT:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _: MASK, text)
        else:
            text = text.replace(secret, MASK)
    if _SUSPECT.search(text) is None:
        return text
    text = _redact_urls(text)
    for named in (_HEADER, _NAMED, _USER):
        text = named.sub(_masked, text)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def redact_values(value: Any, *, secrets: Iterable[str] = ()) -> Any:
    """Return plain values (as of JSON) with every text in them redacted, keys included."""
    known = tuple(secrets)
    if isinstance(value, str):
        return redact(value, secrets=known)
    if isinstance(value, Mapping):
        return {
            redact_values(key, secrets=known): redact_values(inner, secrets=known)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_values(inner, secrets=known) for inner in value]
    return value


def without_credentials(url: str) -> str:
    """Return a URL without user info, query and fragment; what is no URL as it is."""
    scheme = _SCHEME.match(url)
    if scheme is None or "://" not in scheme[0]:
        return url
    host, stop = _authority(url, scheme.end(), whole=True)
    return scheme[0].lower() + (url[host:stop] or "...")


def place_of(url: str) -> str:
    """Return the part of a URL that identifies it and does not change with its signature.

    User info, fragment, and the parts of a query that sign or authorise are left out; a path
    is returned as it is.
    """
    scheme = _SCHEME.match(url)
    if scheme is None or "://" not in scheme[0]:
        return url
    _, stop = _authority(url, scheme.end(), whole=True)
    query = url[stop:].partition("#")[0].removeprefix("?")
    kept = sorted(
        part for part in query.split("&") if part and not _SIGNING.fullmatch(part.split("=")[0])
    )
    return without_credentials(url) + ("?" + "&".join(kept) if kept else "")


def credentials_of(url: str) -> tuple[str, ...]:
    """Return user, password and query values of a URL, as they stand and decoded."""
    user, password, query = _credentials(url)
    return _decoded([user, password, *(value for _, value in query)])


def passwords_of(url: str) -> tuple[str, ...]:
    """Return what of a URL's credentials is no plain word of other texts either.

    That is the password, and what signs or authorises by its name; of a URL that has no
    password also a long user, which is a token.
    """
    user, password, query = _credentials(url)
    found = [password, *(value for name, value in query if _AUTHORISING.fullmatch(name))]
    return _decoded([*found, user if not password and len(user) >= _TOKEN else ""])


def _credentials(url: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Return user, password and query of a URL as they stand; empty where it is none."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return "", "", []
    host, stop = _authority(url, scheme.end(), whole=True)
    user, _, password = url[scheme.end() : max(scheme.end(), host - 1)].partition(":")
    parts = url[stop:].removeprefix("?").split("&")
    return user, password, [(name, value) for name, _, value in (p.partition("=") for p in parts)]


def _decoded(found: Iterable[str]) -> tuple[str, ...]:
    spelt = (text for one in found for text in (one, unquote(one), unquote_plus(one)))
    return tuple(dict.fromkeys(filter(None, spelt)))


def _spelt(secrets: Iterable[str]) -> list[str]:
    """Return every spelling in which secrets may stand in a text, the longest first."""
    found: set[str] = set()
    for secret in filter(None, secrets):
        plain = {secret, unquote(secret), unquote_plus(secret)}
        for one in plain:
            safe = one.encode("utf-8", "surrogateescape")
            found |= {one, quote(safe, safe=""), quote(safe), quote_plus(safe)}
            found |= {
                repr(one)[1:-1],
                json.dumps(one)[1:-1],
                json.dumps(one, ensure_ascii=False)[1:-1],
            }
    return sorted(found - {"", MASK}, key=lambda one: (-len(one), one))


def _masked(found: re.Match[str]) -> str:
    """Return a name with its value hidden; quotes stay."""
    quoted = found[2][-1:] if found[2][-1:] in "'\"" and len(found[2]) > 1 else ""
    quoted = quoted if found[2].lstrip("b")[:1] == quoted else ""
    return f"{found[1]}{quoted}{MASK}{quoted}"


def _redact_urls(text: str) -> str:
    parts, at = [], 0
    while (scheme := _SCHEME.search(text, at)) is not None:
        start = scheme.end()
        host, stop = _authority(text, start, whole=False)
        parts.append(text[at:start])
        if host > start:
            parts.append(MASK + ("@" if text[host - 1] == "@" else ""))
        parts.append(text[host:stop])
        at = stop
        if text[stop : stop + 1] in ("?", "#"):
            at = _query_end(text, stop)
            parts.append(text[stop] + MASK)
    return "".join([*parts, text[at:]])


def _authority(text: str, start: int, *, whole: bool) -> tuple[int, int]:
    """Return where a URL's host begins and where its path ends, after its scheme.

    Passwords are often not encoded as they should be: an ``@`` after something that looks like
    ``user:...`` ends the user info, be there slashes or spaces before it.

    Args:
        text: The text that holds the URL.
        start: Where its scheme ends.
        whole: Whether the text is the URL and nothing else.
    """
    limit, token = len(text), len(text)
    if not whole:
        if (following := _NEXT_URL.search(text, start)) is not None:
            limit = following.start()
        if (space := _SPACE.search(text, start)) is not None:
            token = min(space.start(), limit)
    token = min(token, limit)
    stop = _first(text, "?#", start, token)
    head_end = _first(text, "/", start, stop)
    head = text[start:head_end]
    if _PLACEHOLDER.fullmatch(head):
        return start, stop
    at = text.rfind("@", start, stop)
    if at >= 0:
        in_head = text.rfind("@", start, head_end)
        if ":" in head or in_head < 0:
            return (at + 1 if ":" in head else start), stop
        return in_head + 1, stop
    usual = _HOST.fullmatch(head) is not None
    if usual and (stop < token or ":" not in head.rstrip("\"'`)]}>,;:.")):
        return start, stop
    line = limit if whole or not usual else _first(text, "\r\n", start, limit)
    at = text.rfind("@", start, line)
    if at >= 0:
        host = at + 1
        end = limit if whole else min(limit, _first_space(text, host))
        return host, _first(text, "?#", host, end)
    return (start, stop) if usual else (token, token)


def _query_end(text: str, start: int) -> int:
    """Return where the query that begins at ``start`` ends; if ambiguous, the later end."""
    end = _first_space(text, start)
    if text[end - 1] == "=" or end == start + 1:
        # A value that begins with white space.
        word = re.compile(r"\s*\S*").match(text, end)
        return end if word is None else word.end()
    closing = _CLOSING.search(text, start + 2, end)
    return end if closing is None else closing.start()


def _first_space(text: str, start: int) -> int:
    found = _SPACE.search(text, start)
    return len(text) if found is None else found.start()


def _first(text: str, signs: str, start: int, end: int) -> int:
    """Return the first place of any of some characters, or the end."""
    return min((at for sign in signs if (at := text.find(sign, start, end)) >= 0), default=end)
