"""Scenes behind a URL: fetched in ranges, given up on in words, known by their ETag."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.open import fingerprint, open_scene
from pipeline.scenes.scene import SceneRef

if TYPE_CHECKING:
    from tests.scenes.conftest import Site

PIXELS = np.random.default_rng(4).integers(1, 255, (3, 1024, 1024), np.uint8)


@pytest.fixture
def content(geotiff: Callable[..., Path]) -> bytes:
    """Return a GeoTIFF of 3 MB in tiles."""
    return geotiff(PIXELS, tiled=True, blockxsize=128, blockysize=128).read_bytes()


@pytest.fixture
def impatient() -> Iterator[None]:
    """Give a server up after a second, at once."""
    with rasterio.Env(GDAL_HTTP_LOW_SPEED_TIME="1", GDAL_HTTP_TIMEOUT="2", GDAL_HTTP_MAX_RETRY="0"):
        yield


def remote(site: Site, path: str = "/a/scene.tif?sig=SECRET") -> SceneRef:
    """Return a reference to a file of the server."""
    return SceneRef(kind="geotiff", href=site.url(path))


def test_windows_are_fetched_in_ranges(site: Site, content: bytes) -> None:
    site.files["/a/scene.tif"] = content
    scene = open_scene(remote(site))
    window = Window(row=500, col=300, height=100, width=90)
    pixels, valid = scene.read(window, (3, 1))
    np.testing.assert_array_equal(pixels, PIXELS[[2, 0], 500:600, 300:390])
    assert valid.all()
    assert scene.info.name == "scene"
    fetched = [line for line in site.asked if line.startswith("GET")]
    assert all("bytes=" in line for line in fetched)
    assert not any(".msk" in line or ".xml" in line.lower() for line in site.asked)
    scene.close()


def test_what_is_shown_holds_no_secret(site: Site, content: bytes) -> None:
    site.files["/a/scene.tif"] = content
    assert "SECRET" not in repr(open_scene(remote(site)).info)
    with pytest.raises(SceneError) as caught:
        open_scene(remote(site, "/a/none.tif?sig=SECRET"))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("leads", "told"),
    [
        ("http://169.254.169.254/latest/meta-data", "to the private host '169.254.169.254'"),
        ("http://127.0.0.2:1/a.tif", "to the private host '127.0.0.2'"),
        ("http://[::1]/a.tif", "to the private host '::1'"),
        ("file:///etc/passwd", "to file://, which is not followed"),
        ("/a/scene.tif", "more than 10 times"),
    ],
)
def test_a_server_that_sends_on_to_a_private_host_is_not_followed(
    site: Site, leads: str, told: str
) -> None:
    site.sent_on["/a/scene.tif"] = leads
    with pytest.raises(SceneError, match=f"its server sends on {re.escape(told)}"):
        open_scene(remote(site))


def test_who_names_themselves_is_not_sent_on_either(site: Site) -> None:
    site.sent_on["/a/scene.tif"] = "http://127.0.0.2:1/a.tif"
    named = site.url("/a/scene.tif").replace("127.0.0.1", "me:pass%20word@127.0.0.1")
    with pytest.raises(SceneError, match=r"sends on to the private host '127\.0\.0\.2'"):
        open_scene(SceneRef(kind="geotiff", href=named))


def test_a_server_may_send_on_to_another_of_its_own_files(site: Site, content: bytes) -> None:
    site.sent_on["/a/scene.tif"] = "/b/scene.tif"
    site.files["/b/scene.tif"] = content
    assert open_scene(remote(site)).info.height == 1024


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_told_by_its_status(site: Site, status: int) -> None:
    site.status["/a/scene.tif"] = status
    with pytest.raises(SceneError, match=str(status)):
        open_scene(remote(site))


def test_a_web_page_is_called_one(site: Site) -> None:
    site.files["/a/scene.tif"] = b"<!doctype html><title>sign in</title>" + bytes(100)
    with pytest.raises(SceneError, match="HTML"):
        open_scene(remote(site))


def test_a_file_cut_short_on_the_server_is_refused(site: Site, content: bytes) -> None:
    site.files["/a/scene.tif"] = content[:-1000]
    with pytest.raises(SceneError, match="cut off"):
        open_scene(remote(site))


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stalls_is_given_up(site: Site, content: bytes) -> None:
    site.files["/a/scene.tif"] = content
    scene = open_scene(remote(site))
    site.stall_after = 100
    start = time.monotonic()
    with pytest.raises(SceneError, match="rows 500 to 599") as caught:
        scene.read(Window(row=500, col=300, height=100, width=90), (1,))
    assert time.monotonic() - start < 15
    assert "try again" in caught.value.hint


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_gone_is_told() -> None:
    with pytest.raises(SceneError, match="cannot be reached"):
        open_scene(SceneRef(kind="geotiff", href="http://127.0.0.1:9/a.tif"))


def test_a_changed_file_has_another_fingerprint(site: Site, content: bytes) -> None:
    site.files["/a/scene.tif"] = content
    scene = open_scene(remote(site))
    assert fingerprint(remote(site)) == scene.info.fingerprint
    site.files["/a/scene.tif"] = content[:-1] + bytes([content[-1] ^ 1])
    assert fingerprint(remote(site)) != scene.info.fingerprint
    del site.files["/a/scene.tif"]
    with pytest.raises(SceneError, match="404"):
        fingerprint(remote(site))


def test_looking_at_the_fingerprint_disturbs_no_open_scene(site: Site, content: bytes) -> None:
    site.files["/a/scene.tif"] = content
    scene = open_scene(remote(site))
    content_digest(site.url("/a/scene.tif?sig=SECRET"))
    window = Window(row=0, col=900, height=1024, width=124)
    np.testing.assert_array_equal(scene.read(window, (2,))[0][0], PIXELS[1, :, 900:])


def test_buckets_are_read(site: Site, content: bytes) -> None:
    site.files["/bucket/folder/scene.tif"] = content
    ref = SceneRef(kind="geotiff", href="s3://bucket/folder/scene.tif")
    with rasterio.Env(
        AWS_S3_ENDPOINT=f"127.0.0.1:{site.port}",
        AWS_HTTPS="NO",
        AWS_VIRTUAL_HOSTING="FALSE",
        AWS_NO_SIGN_REQUEST="YES",
    ):
        scene = open_scene(ref)
        window = Window(row=7, col=8, height=30, width=20)
        np.testing.assert_array_equal(scene.read(window, (1,))[0][0], PIXELS[0, 7:37, 8:28])
        assert fingerprint(ref) == scene.info.fingerprint
        with pytest.raises(SceneError, match="404"):
            open_scene(SceneRef(kind="geotiff", href="s3://bucket/none.tif"))


def test_what_was_missing_is_found_once_it_is_there(site: Site, content: bytes) -> None:
    with pytest.raises(SceneError, match="404"):
        open_scene(remote(site))
    site.files["/a/scene.tif"] = content
    assert open_scene(remote(site)).info.height == 1024
