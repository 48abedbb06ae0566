"""STAC items: the right asset is found, and an item leads nowhere it should not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.errors import SceneError
from pipeline.scenes.find import find_scenes
from pipeline.scenes.open import open_scene
from pipeline.scenes.stac import allowed_href, scene_of_item, stac_scenes
from tests.jpeg2000 import write_jp2

if TYPE_CHECKING:
    from tests.scenes.conftest import Site

TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(**assets: object) -> dict[str, Any]:
    """Return an item with assets."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "scene/2024 A",
        "geometry": None,
        "properties": {"datetime": "2024-05-17T10:30:00Z"},
        "links": [],
        "assets": assets,
    }


def written(folder: Path, content: object) -> str:
    """Write an item and return its path."""
    path = folder / "item.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_an_item_opens_with_its_own_id_and_time(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    geotiff(np.ones((3, 20, 20), np.uint8), "b02.tif")
    path = written(tmp_path, item(visual={"href": "./b02.tif", "type": TIFF}))
    (ref,) = stac_scenes(path)
    info = open_scene(ref).info
    assert info.name == "scene_2024_A"
    assert info.datetime == "2024-05-17T10:30:00Z"
    assert info.source.endswith("b02.tif")


@pytest.mark.parametrize(
    ("assets", "expected"),
    [
        ({"a": {"href": "a.tif"}}, "a.tif"),
        ({"a": {"href": "a.json"}, "b": {"href": "b.tiff"}}, "b.tiff"),
        (
            {
                "thumb": {"href": "t.tif", "type": TIFF, "roles": ["thumbnail"]},
                "data": {"href": "d.tif", "type": TIFF, "roles": ["data"]},
                "other": {"href": "o.tif", "type": TIFF},
            },
            "d.tif",
        ),
        (
            {
                "visual": {"href": "v.tif", "type": TIFF, "roles": ["visual"]},
                "red": {"href": "r.tif", "type": TIFF, "roles": ["data"]},
            },
            "v.tif",
        ),
    ],
)
def test_the_picture_is_chosen_by_type_and_role(
    assets: dict[str, object], expected: str, tmp_path: Path
) -> None:
    ref = scene_of_item(item(**assets), base=str(tmp_path / "item.json"))
    assert Path(ref.href).name == expected


def test_one_of_several_must_be_named(tmp_path: Path) -> None:
    content = item(red={"href": "r.tif", "type": TIFF}, nir={"href": "n.tif", "type": TIFF})
    base = str(tmp_path / "item.json")
    with pytest.raises(SceneError, match="asset="):
        scene_of_item(content, base=base)
    assert scene_of_item(content, base=base, asset="nir").href.endswith("n.tif")
    with pytest.raises(SceneError, match="no asset 'blue'"):
        scene_of_item(content, base=base, asset="blue")


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"type": "Feature", "id": "a"},
        {"type": "Feature", "id": 3, "assets": {}},
        item(),
        item(a="b.tif"),
        item(a={"href": 5}),
        item(meta={"href": "a.xml", "type": "application/xml"}),
    ],
)
def test_what_is_no_item_with_a_picture_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"item\.json"):
        stac_scenes(written(tmp_path, content))


def test_broken_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "item.json"
    for text in ("{", "", "[" * 100_000, "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(SceneError, match="not JSON"):
            stac_scenes(str(path))


@pytest.mark.parametrize(
    "href",
    [
        "<VRTDataset></VRTDataset>",
        " <VRTDataset></VRTDataset>",
        "vrt:///data/a.tif",
        "/vsicurl?header_file=/etc/passwd&url=http://a/b",
        "/vsizip/a.zip/b.tif",
        "file:///etc/passwd",
        "/etc/passwd",
        "../other/a.tif",
        "a/../../a.tif",
        "http://example.com/a.tif",
        "ftp://example.com/a.tif",
        "https://127.0.0.1/a.tif",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/a.tif",
        "https://10.0.0.7/a.tif",
        "a\n.tif",
        "",
        "{}",
    ],
)
def test_an_href_that_leads_astray_is_refused(href: str, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="href"):
        allowed_href(href, base=str(tmp_path / "item.json"))


def test_a_link_out_of_the_items_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "items"
    folder.mkdir()
    (tmp_path / "secret.tif").write_bytes(b"x")
    (folder / "a.tif").symlink_to(tmp_path / "secret.tif")
    with pytest.raises(SceneError, match="outside"):
        allowed_href("a.tif", base=str(folder / "item.json"))


def test_hrefs_that_may_be_read(tmp_path: Path) -> None:
    base = str(tmp_path / "item.json")
    assert allowed_href("sub/a.tif", base=base) == str((tmp_path / "sub/a.tif").resolve())
    assert allowed_href("s3://bucket/a.tif", base=base) == "s3://bucket/a.tif"
    far = "https://example.com/items/item.json"
    assert allowed_href("a.tif", base=far) == "https://example.com/items/a.tif"
    assert allowed_href("/etc/passwd", base=far) == "https://example.com/etc/passwd"


def test_an_item_on_a_server_leads_to_its_neighbour(
    site: Site, geotiff: Callable[..., Path]
) -> None:
    site.files["/items/a.tif"] = geotiff(np.ones((3, 40, 40), np.uint8)).read_bytes()
    site.files["/items/item.json"] = json.dumps(item(data={"href": "./a.tif"})).encode()
    (ref,) = stac_scenes(site.url("/items/item.json"))
    assert open_scene(ref).info.height == 40


def test_a_stated_checksum_is_held_against_the_file(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    geotiff(np.ones((3, 20, 20), np.uint8), "a.tif")
    content = item(a={"href": "a.tif", "file:checksum": "1220" + "0" * 64})
    (ref,) = stac_scenes(written(tmp_path, content))
    with pytest.raises(SceneError, match="sha256"):
        open_scene(ref)


def test_every_item_of_a_collection_is_a_scene(tmp_path: Path) -> None:
    features = [item(a={"href": "a.tif"}), item(a={"href": "b.tif"})]
    refs = stac_scenes(written(tmp_path, {"type": "FeatureCollection", "features": features}))
    assert [Path(ref.href).name for ref in refs] == ["a.tif", "b.tif"]


@pytest.mark.parametrize("href", ["https://[::1/x.tif", "\ud800.tif"])
def test_an_href_that_no_one_can_take_apart_is_refused(tmp_path: Path, href: str) -> None:
    with pytest.raises(SceneError, match=r"hrefs is no path or URL .*; name the scene itself"):
        stac_scenes(written(tmp_path, item(a={"href": href, "type": TIFF})))


def test_an_id_of_half_a_character_is_written_all_the_same(
    tmp_path: Path, geotiff: Callable[..., Path]
) -> None:
    geotiff(np.ones((3, 20, 20), np.uint8), "a.tif")
    (ref,) = stac_scenes(written(tmp_path, item(a={"href": "a.tif"}) | {"id": "a\ud800b"}))
    assert open_scene(ref).info.name == "a_b"


def test_a_bad_item_of_a_collection_stops_no_other(tmp_path: Path) -> None:
    features = [item(a={"href": "a.tif"}), None, item(b={"href": "../b.tif"})]
    path = written(tmp_path, {"type": "FeatureCollection", "features": features})
    found = find_scenes([path])
    assert [Path(ref.href).name for ref in found.refs] == ["a.tif"]
    assert [error.reason.split()[0] for error in found.failures] == ["it", "the"]


@pytest.mark.parametrize("features", [[], {}, None])
def test_a_collection_without_items_is_refused(tmp_path: Path, features: object) -> None:
    path = written(tmp_path, {"type": "FeatureCollection", "features": features})
    with pytest.raises(SceneError, match="collection without items; name an item"):
        stac_scenes(path)


def test_a_jpeg_2000_is_taken_where_there_is_no_geotiff(tmp_path: Path) -> None:
    pixels = np.arange(1200, dtype=np.uint8).reshape(1, 30, 40)
    path = write_jp2(tmp_path / "b02.jp2", pixels)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    band = {"href": "b02.jp2", "type": "image/jp2", "file:checksum": f"1220{digest}"}
    base = str(tmp_path / "item.json")
    ref = scene_of_item(item(b02=band, preview={"href": "p.jpg", "type": "image/jpeg"}), base=base)
    scene = open_scene(ref)
    assert (ref.kind, scene.info.height) == ("jp2", 30)
    scene.close()
    changed = item(b02=band | {"file:checksum": f"1220{'0' * 64}"})
    with pytest.raises(SceneError, match="not what its item states"):
        open_scene(scene_of_item(changed, base=base))
    both = item(b02=band, cog={"href": "b02.tif", "type": "image/tiff; application=geotiff"})
    assert scene_of_item(both, base=base).kind == "geotiff"
