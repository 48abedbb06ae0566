"""All sources of a region, asked one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from pipeline.config.region import Api, Catalog, Files, Region, Source, Urls
from pipeline.regions.sources.api import list_api
from pipeline.regions.sources.candidate import Candidate, Listing
from pipeline.regions.sources.catalog import list_catalog
from pipeline.regions.sources.files import list_files
from pipeline.regions.sources.items import ItemFilter
from pipeline.scenes.find import find_scenes
from pipeline.scenes.names import redacted, scene_place


def listings(region: Region, *, root: Path, area: BaseGeometry | None) -> list[Listing]:
    """Return what each source lists; one that cannot be read is reported and stops no other.

    Each scene is listed once, by the first source that has it.

    Raises:
        ConfigError: A path leads out of ``root``.
    """
    seen: dict[str, str] = {}
    found = []
    for source in region.sources:
        listing = _listing(source, root=root, area=area)
        fresh, faults = [], list(listing.faults)
        for candidate in listing.candidates:
            if candidate.scene not in seen:
                seen[candidate.scene] = scene_place(candidate.ref)
                fresh.append(candidate)
            elif seen[candidate.scene] != scene_place(candidate.ref):
                faults.append(f"{candidate.scene}: another scene has this name; rename one")
        found.append(replace(listing, candidates=tuple(fresh), faults=tuple(faults)))
    return found


def _listing(source: Source, *, root: Path, area: BaseGeometry | None) -> Listing:
    match source:
        case Files():
            return list_files(source, root=root)
        case Catalog():
            return list_catalog(source, root=root, area=area)
        case Api():
            name = f"api {redacted(source.url)} {'+'.join(source.collections)}"
            wanted = ItemFilter(source=name, chosen=source, area=area, root=root.resolve())
            return list_api(source, wanted=wanted, area=area)
        case Urls():
            return _list_urls(source)


def _list_urls(source: Urls) -> Listing:
    found = find_scenes(source.urls)
    candidates = [Candidate(scene=redacted(ref.href), source="urls", ref=ref) for ref in found.refs]
    return Listing(
        source="urls",
        candidates=tuple(candidates),
        faults=tuple(str(fault) for fault in found.failures),
        complete=not found.failures,
    )
