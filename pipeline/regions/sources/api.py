"""Scenes of a STAC API."""

from __future__ import annotations

import warnings
from typing import Any
from urllib.parse import urlsplit

from shapely.geometry.base import BaseGeometry

from pipeline.config.region import Api
from pipeline.core.redaction import credentials_of, redact
from pipeline.errors import SceneError
from pipeline.regions.sources.candidate import Listing
from pipeline.regions.sources.items import ItemFilter
from pipeline.scenes.names import redacted
from pipeline.scenes.stac import allowed_href

_TIMEOUT_S = (10, 60)


def list_api(source: Api, *, wanted: ItemFilter, area: BaseGeometry | None) -> Listing:
    """Return the wanted scenes that a search finds; an API that fails lists nothing."""
    import requests
    from pystac.errors import STACError, STACTypeError
    from pystac_client.errors import ClientTypeError
    from pystac_client.exceptions import APIError
    from pystac_client.warnings import PystacClientWarning

    try:
        items = _search(source, area)
    except (
        *(APIError, requests.RequestException, PystacClientWarning),
        *(ClientTypeError, STACError, STACTypeError),
        *(SceneError, ValueError, KeyError, TypeError, AttributeError),  # of another shape
    ) as error:
        line = str(error).partition("\n")[0]
        text = redact(line, secrets=credentials_of(source.url))[:300] or type(error).__name__
        fault = f"{redacted(source.url)}: the API's response is not valid ({text})"
        return Listing(source=wanted.source, faults=(fault,), complete=False)
    if len(items) > source.limit:
        fault = f"{redacted(source.url)}: more than {source.limit} items; narrow it, or raise limit"
        return Listing(source=wanted.source, faults=(fault,), complete=False)
    return wanted.listing((_base(item, source.url), item) for item in items)


def _search(source: Api, area: BaseGeometry | None) -> list[Any]:
    """Return what a search finds, one item more than the limit at most."""
    from pystac_client import Client
    from pystac_client.warnings import PystacClientWarning
    from requests import Request

    def allowed(request: Request) -> None:
        # Also where links lead, page by page.
        allowed_href(str(request.url), base=source.url)

    with warnings.catch_warnings():
        # Of servers that name no search link, which is then at the standard's place.
        warnings.simplefilter("ignore", PystacClientWarning)
        client = Client.open(source.url, timeout=_TIMEOUT_S, request_modifier=allowed)
        search = client.search(
            method="GET",  # every API has it, POST is optional
            collections=list(source.collections),
            datetime=source.datetime,
            bbox=None if area is None else area.bounds,
            limit=min(250, source.limit + 1),
            max_items=source.limit + 1,
        )
        # The library would read the search from a file if the API's answer named one.
        allowed_href(search.url, base=source.url)
        return list(search.items_as_dicts())


def _base(item: Any, url: str) -> str:
    """Return where an item is, by its own word if that is on the API's own host."""
    links = item.get("links") if isinstance(item, dict) else None
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "self":
            href = str(link.get("href") or "")
            if urlsplit(href)[:2] == urlsplit(url)[:2]:
                return href
    return url
