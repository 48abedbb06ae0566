"""STAC items: the core schema, the extensions used, and the files they point to.

The core schema comes with pystac. The extensions' schemas are on the network only;
what they ask of the fields used here is checked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from pystac.errors import STACError, STACValidationError
from pystac.validation import validate_dict

from pipeline.labels.json_stream import parse
from pipeline.outputs.catalogue.assets import multihash

_MEDIA_TYPE = re.compile(r"^[a-z]+/[\w.+-]+(; ?[\w-]+=[\w.-]+)*$")


def check_stac(path: Path) -> list[str]:
    """Return what is wrong with a STAC Item or Collection, and with the files that it lists."""
    try:
        item = parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"not readable as JSON: {error}"]
    try:
        validate_dict(item, extensions=[])
    except (STACError, STACValidationError, KeyError, TypeError, ValueError) as error:
        # The first line names the place; what follows is the whole schema.
        kind = "collection" if item.get("type") == "Collection" else "item"
        return [f"not a valid STAC {kind}: {' '.join(str(error).splitlines()[:2])}"]
    if item.get("type") == "Collection":
        return [*_check_collection(path, item)]
    if item.get("type") != "Feature":
        return ["neither a STAC Item nor a Collection"]
    return [
        *_check_extensions(item),
        *_check_place(item),
        *_check_grid(item["properties"]),
        *_check_links(item),
        *(line for asset in sorted(item["assets"].items()) for line in _check_asset(path, *asset)),
    ]


def _check_collection(path: Path, collection: dict[str, Any]) -> Iterator[str]:
    for link in collection["links"]:
        if link["rel"] in {"item", "child"} and not urlparse(link["href"]).scheme:
            item = path.parent / link["href"]
            if not item.is_file():
                yield f"link {link['rel']}: there is no file {link['href']}"
            elif parse(item.read_text(encoding="utf-8")).get("collection") != collection["id"]:
                yield f"link {link['rel']}: {link['href']} is not of collection {collection['id']}"
    for asset in sorted(collection.get("assets", {}).items()):
        yield from _check_asset(path, *asset)


def _check_extensions(item: dict[str, Any]) -> Iterator[str]:
    names = {"proj": "projection", "mlm": "mlm"}
    told = {url.split("/")[3] for url in item.get("stac_extensions", []) if url.count("/") > 3}
    fields = [*item["properties"], *(key for asset in item["assets"].values() for key in asset)]
    prefixes = {key.split(":")[0] for key in fields if ":" in key} - {"overtile"}
    for prefix in sorted(prefixes):
        if names.get(prefix, prefix) not in told:
            yield f"fields {prefix}: are used and their extension is not listed"


def _check_place(item: dict[str, Any]) -> Iterator[str]:
    if item["geometry"] is None:
        return
    shape = shapely.from_geojson(json.dumps(item["geometry"]))
    if not shapely.is_valid(shape):
        yield "geometry is not valid"
    west, south, east, north = item["bbox"]
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        yield "bbox lies outside -180..180, -90..90 degrees"
    # A bbox whose west is greater than its east goes over the antimeridian.
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    boxes = [shapely.box(w, south, e, north) for w, e in spans]
    if not shapely.covers(shapely.buffer(shapely.union_all(boxes), 1e-6), shape):
        yield "bbox does not cover the geometry"


def _check_grid(properties: dict[str, Any]) -> Iterator[str]:
    if not any(key.startswith("proj:") for key in properties):
        return
    if code := properties.get("proj:code"):
        yield from _not_a_crs("proj:code", code)
    elif wkt := properties.get("proj:wkt2"):
        yield from _not_a_crs("proj:wkt2", wkt)
    elif not properties.get("proj:projjson"):
        yield "none of proj:code, proj:wkt2 and proj:projjson gives the CRS"
    shape, transform = properties.get("proj:shape"), properties.get("proj:transform")
    if shape is not None and not (
        len(shape) == 2 and all(isinstance(n, int) and n > 0 for n in shape)
    ):
        yield "proj:shape is not [rows, columns]"
    if transform is not None and len(transform) not in {6, 9}:
        yield "proj:transform has not 6 or 9 numbers"


def _not_a_crs(field: str, value: str) -> Iterator[str]:
    try:
        CRS.from_user_input(value)
    except CRSError:
        yield f"{field} is no reference system"


def _check_links(item: dict[str, Any]) -> Iterator[str]:
    if not any(link["rel"] == "derived_from" for link in item["links"]):
        yield "no link derived_from leads to the scene"


def _check_asset(path: Path, key: str, asset: dict[str, Any]) -> Iterator[str]:
    if not _MEDIA_TYPE.match(asset.get("type", "")):
        yield f"asset {key}: {asset.get('type')!r} is no media type"
    if not asset.get("roles"):
        yield f"asset {key}: has no roles"
    values = [known.get("value") for known in asset.get("classification:classes", [])]
    if len(set(values)) < len(values):
        yield f"asset {key}: two classes have one value"
    for known in asset.get("classification:classes", []):
        if not re.fullmatch(r"[0-9A-F]{6}", known.get("color_hint", "000000")):
            yield f"asset {key}: color_hint {known['color_hint']!r} is not RRGGBB"
    if urlparse(asset["href"]).scheme:
        return
    file = path.parent / asset["href"]
    if not file.is_file():
        yield f"asset {key}: there is no file {asset['href']}"
        return
    if asset.get("file:size") != file.stat().st_size:
        yield f"asset {key}: file:size is not the size of {asset['href']}"
    if asset.get("file:checksum") != multihash(file):
        yield f"asset {key}: file:checksum is not that of {asset['href']}"
