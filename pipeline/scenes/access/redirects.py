"""Redirects of URLs: a server may redirect to hosts that only this machine reaches.

GDAL follows redirects by itself, to any host. So each hop is asked for once before, and one
that leads to another, private host is refused.
"""

from __future__ import annotations

import ipaddress
import socket
from base64 import b64encode
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pipeline.errors import SceneError
from pipeline.scenes.names import redacted

MOST = 10
TIMEOUT_S = 10
_FOLLOWED = frozenset({"http", "https"})
_SENT_ON = frozenset({301, 302, 303, 307, 308})


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: a redirect comes back as an error."""


def check_redirects(href: str) -> None:
    """Prove that a URL does not lead to another, private host; buckets do not.

    A host that does not respond is no error here: the reader reports it.

    Raises:
        SceneError: It does, or leads on and on.
    """
    asked, place = _parts(href, href).hostname, href
    if _parts(href, href).scheme.lower() not in _FOLLOWED:
        return
    for _ in range(MOST):
        following = _following(place)
        if following is None:
            return
        parts = _parts(href, place, following)
        place = parts.geturl()
        if parts.scheme not in _FOLLOWED:
            raise _refused(href, f"to {parts.scheme}://, which is not followed")
        if parts.hostname != asked and not is_public(parts.hostname or ""):
            raise _refused(href, f"to the private host '{parts.hostname}'")
    raise _refused(href, f"more than {MOST} times")


def _parts(href: str, place: str, following: str = "") -> SplitResult:
    """Return the parts of a URL that a scene's URL is, or is sent on to.

    Raises:
        SceneError: It is none: a bracket in its host, for example.
    """
    try:
        return urlsplit(urljoin(place, following))
    except ValueError as error:
        fault = "its server sends on to what is no URL" if following else "it is no URL"
        raise SceneError(redacted(href), fault, "check the host in it") from error


def is_public(host: str) -> bool:
    """Return whether no address of a host is private; one that cannot be resolved may pass."""
    try:
        found = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return True
    return all(ipaddress.ip_address(str(entry[4][0])).is_global for entry in found)


def _following(place: str) -> str | None:
    """Return where a server sends on to, None if it does not."""
    parts = urlsplit(place)
    headers = {"Range": "bytes=0-0", "User-Agent": "overtile"}
    if parts.username is not None:
        known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(known.encode()).decode()}"
        place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = Request(place, headers=headers)
    with suppress(OSError, HTTPException, ValueError):
        try:
            build_opener(_Stay).open(request, timeout=TIMEOUT_S).close()
        except HTTPError as answer:
            with answer:
                if answer.code in _SENT_ON:
                    return answer.headers.get("Location")
    return None


def _refused(href: str, why: str) -> SceneError:
    return SceneError(redacted(href), f"its server sends on {why}", "name the place itself")
