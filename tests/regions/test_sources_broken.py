"""Catalogues and APIs from strangers: whatever they say, the others go on and nothing has left."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.regions.plan import plan_summary
from tests.regions.places import go, site_of, town
from tests.regions.test_sources import catalogue, item, landing, listed, names
from tests.strategies import examples

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1e400, "", "x", "../y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)


@settings(max_examples=examples(150), deadline=None)
@given(data=st.data())
def test_an_item_with_anything_anywhere_stops_no_other(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "broken"
    broken = item("broken", "b.tif", **{"eo:cloud_cover": 3, "view:off_nadir": 1.0})
    place: Any = broken
    while isinstance(place, dict):
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    catalogue(folder, [item("good", "a.tif"), broken])
    (folder / "part" / "b.tif").touch()
    chosen = "datetime: 2024-01-01/.., max_cloud: 20"
    found = listed(folder, f"{{type: catalog, href: catalog.json, {chosen}}}", None)
    assert "good" in names(found)
    assert len(found.candidates) + len(found.faults) <= 2


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "7",
        '"x"',
        "{}",
        '{"links": 5}',
        '{"links": {"rel": "item"}}',
        '{"links": [5, null, {"rel": 7}, {"rel": "item"}, {"rel": "item", "href": 5}]}',
        '{"links": [{"rel": "item", "href": "http://[::1/x.json"}]}',
        '{"type": "FeatureCollection", "features": 5}',
        '{"type": "FeatureCollection", "features": [5, null, []]}',
        "[" * 100_000,
    ],
)
def test_a_catalogue_of_another_shape_lists_nothing_and_takes_nothing_away(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "catalog.json").write_text(text)
    found = listed(tmp_path, "{type: catalog, href: catalog.json}")
    assert found.candidates == ()
    assert text == "{}" or (found.faults and not found.complete)


def test_a_scene_whose_item_broke_has_not_left(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=2, text="policies: {withdrawn: drop}\n")
    items = [item(name, f"../../scenes/{name}_20240101.tif") for name in ("s0", "s1")]
    path = tmp_path / "cat.json"
    for one in items:
        one["assets"]["visual"]["href"] = one["assets"]["visual"]["href"].removeprefix("../../")
    whole = {"type": "FeatureCollection", "features": items}
    path.write_text(json.dumps(whole))
    source = "{type: catalog, href: cat.json}"
    file.write_text(file.read_text().replace("{type: files, path: scenes}", source))
    assert go(file)["mapped"] == 2
    # Its asset is gone for a while: the item is known by its id.
    path.write_text(json.dumps(whole | {"features": [items[0], items[1] | {"assets": {}}]}))
    found = go(file)
    assert (found["withdrawn"], found["layer_built"], len(found["faults"])) == (0, False, 1)
    # An item without an id may be any of them.
    path.write_text(json.dumps(whole | {"features": [items[0], {"type": "Feature"}]}))
    assert plan_summary(site_of(file), now=0.0)["withdrawn"] == []
    path.write_text(json.dumps(whole | {"features": [items[0]]}))
    assert len(plan_summary(site_of(file), now=0.0)["withdrawn"]) == 1


class _Endless(BaseHTTPRequestHandler):
    """An API whose every page names a next one."""

    features: tuple[Any, ...] = ()

    def log_message(self, *args: Any) -> None:  # noqa: ARG002 - theirs
        return

    def do_GET(self) -> None:
        here = f"http://{self.headers['Host']}"
        self.server.asked += 1  # type: ignore[attr-defined]
        if self.path.startswith("/search"):
            more = {"rel": "next", "href": f"{here}/search?page={self.server.asked}"}  # type: ignore[attr-defined]
            found: dict[str, Any] = {"type": "FeatureCollection", "features": self.features}
            found["links"] = [more]
        else:
            found = landing(f"{here}/search")
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(params=[0, 1])
def endless(request: pytest.FixtureRequest) -> Iterator[ThreadingHTTPServer]:
    """Return a server of endless pages, empty ones or with the same item on each."""
    features = (item("a", "https://example.org/a.tif"),) * request.param
    handler = type("_Pages", (_Endless,), {"features": features})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler))
    server.asked, server.full = 0, bool(features)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_pages_without_end_come_to_an_end(tmp_path: Path, endless: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{endless.server_address[1]}"
    found = listed(tmp_path, f"{{type: api, url: '{url}', collections: [x], limit: 50}}")
    assert found.candidates == ()  # so that nothing has left
    if endless.full:  # type: ignore[attr-defined]
        assert (found.complete, len(found.faults)) == (False, 1)
    assert endless.asked < 1000  # type: ignore[attr-defined]
