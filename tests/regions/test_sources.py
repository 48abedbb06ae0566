"""Sources: each lists what it has; what is broken or gone is told and stops nothing else."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import shapely

from pipeline.config import load_region
from pipeline.errors import ConfigError
from pipeline.regions.plan import plan_summary
from pipeline.regions.sources import Listing, listings
from tests.regions.places import cut, go, ground, site_of, town


class _Server(SimpleHTTPRequestHandler):
    """Files with ETags, and a STAC API over the items of ``items.json``."""

    def log_message(self, *args: Any) -> None:  # noqa: ARG002 - theirs
        return

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_file():
            status = path.stat()
            self.send_header("ETag", f'"{status.st_mtime_ns}-{status.st_size}"')
        super().end_headers()

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path.startswith("/api"):
            self._api(asked.path, parse_qs(asked.query))
        else:
            super().do_GET()

    def _api(self, path: str, query: dict[str, list[str]]) -> None:
        here = f"http://{self.headers['Host']}/api"
        found = landing(f"{here}/search") | {"links": [search_link(f"{here}/search")]}
        if path.endswith("/search"):
            wanted = query["collections"][0].split(",")
            items = json.loads((Path(self.directory) / "items.json").read_text())
            items = [one for one in items if one["collection"] in wanted]
            first = int(query.get("first", ["0"])[0])
            more = {"rel": "next", "href": f"{here}/search?collections=x&first={first + 2}"}
            found = {
                "type": "FeatureCollection",
                "features": items[first : first + 2],
                "links": [more] if first + 2 < len(items) else [],
            }
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        SimpleHTTPRequestHandler.end_headers(self)
        self.wfile.write(body)


def search_link(href: str) -> dict[str, str]:
    """Return the link to an API's search."""
    return {"rel": "search", "href": href, "type": "application/geo+json", "method": "GET"}


def landing(search: str) -> dict[str, Any]:
    """Return the landing page of an API."""
    return {
        "type": "Catalog",
        "id": "small",
        "description": "small",
        "stac_version": "1.0.0",
        "conformsTo": [
            "https://api.stacspec.org/v1.0.0/core",
            "https://api.stacspec.org/v1.0.0/item-search",
        ],
        "links": [search_link(search)],
    }


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return a folder, and the URL under which it is served on loopback."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Server, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def item(name: str, href: str, **facts: Any) -> dict[str, Any]:
    """Return a STAC item around the town."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "bbox": [85.5, 27.6, 85.6, 27.7],
        "properties": {"datetime": "2024-03-01T00:00:00Z", **facts},
        "assets": {"visual": {"href": href, "type": "image/tiff; application=geotiff"}},
        "links": [],
    }


def catalogue(folder: Path, items: list[Any]) -> Path:
    """Write a catalogue with a child that links the items."""
    folder.mkdir(exist_ok=True)
    root = {"type": "Catalog", "links": [{"rel": "child", "href": "./part/catalog.json"}]}
    (folder / "catalog.json").write_text(json.dumps(root))
    part = folder / "part"
    part.mkdir(exist_ok=True)
    links = [{"rel": "item", "href": f"./{at}.json"} for at in range(len(items))]
    up = {"rel": "root", "href": "../catalog.json"}
    (part / "catalog.json").write_text(json.dumps({"type": "Catalog", "links": [up, *links]}))
    for at, one in enumerate(items):
        (part / f"{at}.json").write_text(one if isinstance(one, str) else json.dumps(one))
    return folder / "catalog.json"


def listed(root: Path, source: str, area: Any = None) -> Listing:
    """Return what one source lists."""
    file = root / "one.yaml"
    file.write_text(f"name: one\nsources: [{source}]\n")
    (found,) = listings(load_region(file), root=root, area=area)
    return found


def names(listing: Listing) -> list[str]:
    """Return the ids of the listed items."""
    return [one.scene.rpartition("/")[2] for one in listing.candidates]


def test_a_catalogue_is_read_along_its_links_and_broken_items_stop_nothing(tmp_path: Path) -> None:
    catalogue(
        tmp_path / "cat",
        [
            item("good", "a.tif"),
            "{not json",
            {"type": "Feature", "id": "bare"},
            item("away", "../../../../etc/passwd"),
            item("inside", "/vsizip/x.zip"),
            item("undated", "b.tif", datetime=None),
            item("odd", "c.tif", datetime="yesterday"),
        ],
    )
    found = listed(tmp_path, "{type: catalog, href: cat/catalog.json}")
    assert names(found) == ["good", "undated", "odd"]
    assert len(found.faults) == 4
    found = listed(tmp_path, "{type: catalog, href: cat/catalog.json, datetime: 2024-01-01/..}")
    assert names(found) == ["good"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("datetime: 2024-01-01/2024-04-01", ["clear", "cloudy"]),
        ("datetime: ../2024-01-01", ["old"]),
        ("max_cloud: 20", ["clear", "old"]),
        ("asset: visual", ["clear", "cloudy", "old"]),
    ],
)
def test_dates_and_clouds_choose_items(tmp_path: Path, chosen: str, expected: list[str]) -> None:
    facts: dict[str, dict[str, Any]] = {
        "clear": {"eo:cloud_cover": 20},
        "cloudy": {"eo:cloud_cover": 20.1},
        "old": {"datetime": "2020-01-01T00:00:00Z"},
    }
    catalogue(tmp_path / "cat", [item(name, f"{name}.tif", **one) for name, one in facts.items()])
    found = listed(tmp_path, f"{{type: catalog, href: cat/catalog.json, {chosen}}}")
    assert names(found) == expected
    assert found.faults == ()


def test_items_beyond_the_area_are_not_wanted(tmp_path: Path) -> None:
    catalogue(tmp_path / "cat", [item("here", "a.tif")])
    source = "{type: catalog, href: cat/catalog.json}"
    assert names(listed(tmp_path, source, shapely.box(85, 27, 85.55, 28))) == ["here"]
    assert names(listed(tmp_path, source, shapely.box(10, 27, 11, 28))) == []


def test_a_catalogue_that_links_in_a_circle_ends(tmp_path: Path) -> None:
    circle = {"type": "Catalog", "links": [{"rel": "child", "href": "./catalog.json"}]}
    (tmp_path / "catalog.json").write_text(json.dumps(circle))
    assert listed(tmp_path, "{type: catalog, href: catalog.json}").candidates == ()


def test_scenes_by_url_are_mapped_once_and_again_when_the_server_has_others(
    tmp_path: Path, served: tuple[Path, str]
) -> None:
    folder, url = served
    cut(folder, "s", ground(), row=0, col=0, when="20240101")
    file = town(tmp_path, scenes=1)
    address = f"{url}/s_20240101.tif"
    source = f"[{{type: urls, urls: ['{address}']}}]"
    file.write_text(file.read_text().replace("[{type: files, path: scenes}]", source))
    assert go(file)["mapped"] == 1
    assert go(file)["unchanged"] == 1
    cut(folder, "s", ground(1), row=0, col=0, when="20240101")
    assert go(file)["mapped"] == 1
    (folder / "s_20240101.tif").unlink()
    found = go(file)
    assert (found["mapped"], found["failed"], found["layer_built"]) == (0, 1, False)
    plan = plan_summary(site_of(file), now=2e9)
    assert plan["counts"] == {"unreadable": 1}
    assert "404" in plan["scenes"][0]["why"]


def test_scenes_whose_urls_are_signed_anew_are_not_mapped_again(
    tmp_path: Path, served: tuple[Path, str]
) -> None:
    folder, url = served
    cut(folder, "s", ground(), row=0, col=0, when="20240101")
    file = town(tmp_path, scenes=1)
    here = url.replace("://", "://me:FIRST@")
    address = f"{here}/s_20240101.tif?sv=2022&sig=FIRST"
    twice = f"[{{type: urls, urls: ['{address}', '{address.replace('sig=FIRST', 'sig=NEXT')}']}}]"
    file.write_text(file.read_text().replace("[{type: files, path: scenes}]", twice))
    assert go(file)["mapped"] == 1
    file.write_text(file.read_text().replace("FIRST", "SECOND"))
    again = go(file)
    assert (again["mapped"], again["unchanged"], again["faults"]) == (0, 1, [])
    assert (again["withdrawn"], again["layer_built"]) == (0, False)
    name = plan_summary(site_of(file), now=0.0)["scenes"][0]["scene"]
    assert name == f"{url}/s_20240101.tif"


def test_a_checksum_in_the_catalogue_spares_asking_the_server(
    tmp_path: Path, served: tuple[Path, str]
) -> None:
    folder, url = served
    one = item("a", f"{url}/a.tif")
    one["assets"]["visual"]["file:checksum"] = "1220" + "ab" * 32
    catalogue(folder, [one])
    found = listed(tmp_path, f"{{type: catalog, href: '{url}/catalog.json'}}")
    assert found.candidates[0].token == "sha256:" + "ab" * 32


@pytest.mark.parametrize("beside", ["s_20240101.tif.msk", "s_20240101.tfw", "s_20240101.TFW"])
def test_what_places_or_masks_a_file_is_in_the_sign_of_its_content(
    tmp_path: Path, beside: str
) -> None:
    folder = tmp_path / "scenes"
    cut(folder, "s", ground(), row=0, col=0, when="20240101")
    (before,) = listed(tmp_path, "{type: files, path: scenes}").candidates
    (folder / beside).write_text("0.5\n")
    (after,) = listed(tmp_path, "{type: files, path: scenes}").candidates
    assert before.token != after.token


@pytest.mark.parametrize("path", ["..", "/", "../*.tif"])
def test_files_stay_in_their_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="leads out"):
        listed(tmp_path, f"{{type: files, path: '{path}'}}")


def test_links_out_of_the_folder_are_told(tmp_path: Path) -> None:
    root = tmp_path / "region"
    (root / "scenes").mkdir(parents=True)
    outside = cut(tmp_path / "x", "s", ground(), row=0, col=0, when="20240101")
    (root / "scenes" / "link.tif").symlink_to(outside)
    for path in ("scenes", "scenes/*.tif"):
        found = listed(root, f"{{type: files, path: '{path}'}}")
        assert found.candidates == ()
        assert len(found.faults) == 1


def test_a_scene_listed_twice_is_one(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2)
    text = file.read_text().replace(
        "path: scenes}", "path: scenes}, {type: files, path: '*/*.tif'}"
    )
    file.write_text(text)
    assert plan_summary(site_of(file), now=0)["counts"] == {"map": 2}


def test_a_catalogue_on_a_server_that_stops_answering_is_not_empty(
    tmp_path: Path, served: tuple[Path, str]
) -> None:
    folder, url = served
    catalogue(folder, [item("a", "a.tif"), item("b", "b.tif")])
    source = f"{{type: catalog, href: '{url}/catalog.json'}}"
    assert names(listed(tmp_path, source)) == ["a", "b"]
    (folder / "part" / "1.json").unlink()
    found = listed(tmp_path, source)
    assert names(found) == ["a"]
    assert not found.complete
    assert "404" in found.faults[0]


def test_an_api_is_searched_page_by_page(tmp_path: Path, served: tuple[Path, str]) -> None:
    folder, url = served
    hrefs = [f"{url}/a.tif", "file:///etc/passwd", "/etc/passwd", f"{url}/d.tif", f"{url}/e.tif"]
    items = [item(name, href) for name, href in zip("abcde", hrefs, strict=True)]
    items = [one | {"collection": "y" if one["id"] == "d" else "x"} for one in items]
    items[4]["properties"]["datetime"] = "2020-01-01T00:00:00Z"
    (folder / "items.json").write_text(json.dumps(items))
    source = f"{{type: api, url: '{url}/api', collections: [x], datetime: 2024-01-01/..}}"
    found = listed(tmp_path, source, shapely.box(85, 27, 86, 28))
    # A path without a server is one on the API's own.
    assert names(found) == ["a", "c"]
    assert found.candidates[1].ref.href == f"{url}/etc/passwd"
    assert len(found.faults) == 1
    assert found.complete
    assert names(listed(tmp_path, source.replace("[x]", "[z]"))) == []
    many = listed(tmp_path, source.replace("collections", "limit: 2, collections"))
    assert (many.candidates, many.complete) == ((), False)
    assert "more than 2 items" in many.faults[0]


@pytest.mark.parametrize(
    ("page", "search"),
    [
        ("<html>", {}),
        ("[]", {}),
        ("{}", {}),
        (json.dumps(landing("search.json") | {"conformsTo": []}), {}),
        (json.dumps(landing("/gone")), {}),
        (json.dumps(landing("file:///etc/passwd")), {}),
        (json.dumps(landing("https://127.0.0.2/search")), {}),
        (json.dumps(landing("search.json")), []),
        (json.dumps(landing("search.json")), {"features": 5}),
        (json.dumps(landing("search.json")), {"features": [{}], "links": [{}]}),
    ],
)
def test_an_api_that_does_not_answer_as_one_lists_nothing_and_takes_nothing_away(
    tmp_path: Path, served: tuple[Path, str], page: str, search: Any
) -> None:
    folder, url = served
    (folder / "landing.json").write_text(page)
    (folder / "search.json").write_text(json.dumps(search))
    found = listed(tmp_path, f"{{type: api, url: '{url}/landing.json', collections: [x]}}")
    assert (found.candidates, found.complete) == ((), False)
    assert "response is not valid" in found.faults[0]


def test_broken_items_of_an_api_stop_nothing(tmp_path: Path, served: tuple[Path, str]) -> None:
    folder, url = served
    (folder / "landing.json").write_text(json.dumps(landing("search.json")))
    features = {"features": [[], {}, 7, item("a", "a.tif")]}
    (folder / "search.json").write_text(json.dumps(features))
    found = listed(tmp_path, f"{{type: api, url: '{url}/landing.json', collections: [x]}}")
    # What has no id may be any of those that were listed before.
    assert (names(found), len(found.faults), found.complete) == (["a"], 3, False)


def test_an_api_that_nobody_serves_is_told_and_takes_nothing_away(tmp_path: Path) -> None:
    gone = listed(tmp_path, "{type: api, url: 'http://127.0.0.1:1/api', collections: [x]}")
    assert not gone.complete
    assert "response is not valid" in gone.faults[0]
