"""A STAC collection of mapped scenes, with an item for each and the layer they make."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pipeline.errors import ExportError
from pipeline.outputs.atomic import write_atomically, write_faults
from pipeline.outputs.catalogue.assets import multihash

_FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".geojson": "application/geo+json",
    ".geojsonl": "application/geo+json-seq",
    ".fgb": "application/vnd.flatgeobuf",
    ".gpkg": "application/geopackage+sqlite3",
    ".zip": "application/zip",
    ".pmtiles": "application/vnd.pmtiles",
}


def write_collection(
    folder: Path,
    *,
    name: str,
    description: str,
    items: Mapping[str, Path],
    files: Sequence[Path] = (),
) -> Path:
    """Write ``collection.json`` and ``<key>/<key>.json`` for each scene, all links relative.

    An item is that of the scene's outputs, under the key as its id; its assets stay where
    they are.

    Args:
        folder: Folder of the collection.
        name: Its id.
        description: What people read.
        items: ``item.json`` of each scene's outputs, by a key that can be a folder's name.
        files: Finished files of the layer, as the collection's own assets.

    Returns:
        The collection's file.

    Raises:
        ExportError: An item cannot be read, or a file not be written.
    """
    known = {key: _item(path, folder / key, key, name) for key, path in sorted(items.items())}
    for key, item in known.items():
        with write_faults(folder / key):
            (folder / key).mkdir(parents=True, exist_ok=True)
        _write(folder / key / f"{key}.json", item)
    links: list[dict[str, str]] = [
        {"rel": "root", "href": "./collection.json", "type": "application/json"},
        *(
            {"rel": "item", "href": f"./{key}/{key}.json", "type": "application/geo+json"}
            for key in known
        ),
    ]
    collection = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [_FILE],
        "id": name,
        "description": description,
        "license": "other",
        "extent": _extent([*known.values()]),
        "links": links,
        "assets": {file.name: _asset(file, folder) for file in sorted(files)},
    }
    with write_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "collection.json", collection)
    return folder / "collection.json"


def _item(path: Path, folder: Path, key: str, collection: str) -> dict[str, Any]:
    try:
        item: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        assets = item["assets"].values()
        links = [link for link in item["links"] if link["rel"] == "derived_from"]
        for one in assets:
            if not urlparse(one["href"]).scheme:
                one["href"] = _relative(path.parent / one["href"], folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} is no item of a mapped scene: {error}; map it again") from error
    up = "../collection.json"
    return {
        **item,
        "id": key,
        "collection": collection,
        "links": [
            *({"rel": rel, "href": up, "type": "application/json"} for rel in _UPWARDS),
            *links,
        ],
    }


_UPWARDS = ("root", "parent", "collection")


def _asset(file: Path, folder: Path) -> dict[str, Any]:
    return {
        "href": _relative(file, folder),
        "type": _TYPES[file.suffix],
        "title": f"Footprints of all scenes ({file.name.partition('.')[2]})",
        "roles": ["data"],
        "file:size": file.stat().st_size,
        "file:checksum": multihash(file),
    }


def _relative(file: Path, folder: Path) -> str:
    way = Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    return way if way.startswith("../") else f"./{way}"


def _extent(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the boxes and dates of all items, the whole first.

    The box of all spans the world where one crosses the antimeridian.
    """
    boxes = [item["bbox"] for item in items if item.get("bbox")]
    if boxes:
        west, south, east, north = zip(*boxes, strict=True)
        crossing = any(w > e for w, e in zip(west, east, strict=True))
        sides = (-180.0, 180.0) if crossing else (min(west), max(east))
        whole = [sides[0], min(south), sides[1], max(north)]
    else:
        whole = [-180.0, -90.0, 180.0, 90.0]
    dates = sorted(when for item in items if (when := item["properties"].get("datetime")))
    span = [dates[0], dates[-1]] if dates else [None, None]
    return {"spatial": {"bbox": [whole]}, "temporal": {"interval": [span]}}


def _write(path: Path, value: dict[str, Any]) -> None:
    with write_atomically(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
