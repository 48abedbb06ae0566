"""The report's page, in a real browser: drawn, silent, offline, and safe against its data."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.evaluation.evaluate import Options, score
from pipeline.evaluation.predictions import Predicted
from pipeline.evaluation.report import write_report, write_summary
from pipeline.labels.objects import Objects, PixelGrid
from pipeline.outputs.report.encode import encode_polygons
from pipeline.outputs.report.page import render
from pipeline.outputs.report.pyramid import MOST_PIXELS, pyramid
from pipeline.outputs.report.tables import write_csv, write_json
from tests.outputs.browser import CHROMIUM, Page
from tests.strategies import examples

NASTY = "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)> & \u2028 {}"
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")


def made(side: int = 900) -> Any:
    """A scene of squares: some found, some missed, some made up, in pixels and in metres."""
    rng = np.random.default_rng(3)
    place = np.stack(np.meshgrid(np.arange(12), np.arange(12)), -1).reshape(-1, 2) * 70.0 + 30
    size = rng.uniform(18, 44, place.shape)
    truth = shapely.box(*place.T, *(place + size).T)
    off = place + rng.normal(0, 3, place.shape)
    kept = rng.random(len(place)) < 0.8
    mine = np.asarray(shapely.box(*off.T, *(off + size).T))[kept]
    extra = rng.uniform(20, side - 60, (15, 2))
    mine = np.concatenate([mine, shapely.box(*extra.T, *(extra + 20).T)])
    georef = Georef(crs_wkt='LOCAL_CS["x"]', transform=(0.3, 0.0, 500000.0, 0.0, -0.3, 5500000.0))
    from pyproj import CRS

    georef = replace(georef, crs_wkt=CRS.from_epsg(32633).to_wkt())
    grid = PixelGrid(height=side, width=side, georef=georef)

    def objects(shapes: Any) -> Objects:
        there = np.asarray(shapely.transform(shapes, georef.to_map), object)
        return Objects(source="made", polygon=there, crs=georef.crs, grid=grid)

    confidence = np.clip(rng.normal(0.8, 0.15, len(mine)), 0, 1)
    predicted = Predicted(
        name=NASTY,
        source=Path("made"),
        objects=replace(objects(mine), confidence=confidence),
        grid=grid,
        manifest={"scene": {"name": NASTY}, "model": {"name": "none", "digest": "sha256:00"}},
    )
    return score(predicted, objects(truth), aoi=None, options=Options())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with imagery drawn for it."""
    out = tmp_path_factory.mktemp("report")
    rows, cols = np.mgrid[0:900, 0:900]
    picture = np.stack([rows % 256, cols % 256, (rows + cols) % 256]).astype(np.uint8)
    Image.fromarray(np.moveaxis(picture, 0, -1)).save(out / "scene.png")
    write_report(made(), out, scene=out / "scene.png")
    return out


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_drawn_silent_and_offline(
    page: Page, folder: Path, tmp_path: Path, *, width: int, dark: bool
) -> None:
    page.open(folder / "report.html", width=width, dark=dark)
    assert page.complaints() == []
    assert page.requests() == []
    # Nothing but tables, which scroll by themselves, is wider than the window.
    assert page.run("document.documentElement.scrollWidth") <= width
    box = page.run("(r => [r.x, r.y, r.width, r.height])(map.getBoundingClientRect())")
    picture = np.asarray(Image.open(page.screenshot(tmp_path / "page.png")).convert("RGB"))
    x, y, w, h = (int(one) for one in box)
    drawn = picture[y + 5 : y + h - 5, x + 5 : x + w - 5].reshape(-1, 3)
    assert len(np.unique(drawn, axis=0)) > 1000
    assert (picture[3, 3].mean() < 80) == dark


@pytest.mark.browser
@needs_browser
def test_layers_can_be_switched_and_a_click_tells(page: Page, folder: Path) -> None:
    page.open(folder / "report.html", width=1000)
    canvas = "document.getElementById('map').toDataURL()"
    seen = {page.run(canvas)}
    for layer in ("tp", "fp", "fn", "scene", "reference", "predicted"):
        page.run(f"document.querySelector('[data-layer={layer}]').click()")
        seen.add(page.run(f"new Promise(r => setTimeout(() => r({canvas}), 120))"))
    assert len(seen) == 7
    page.run("document.querySelector('#fn-gallery .shot').click()")
    assert page.run("document.getElementById('picked').textContent").startswith("Miss")
    page.run("document.querySelector('#fp-gallery .shot').click()")
    assert page.run("document.getElementById('picked').textContent").startswith("False positive")


@pytest.mark.browser
@needs_browser
def test_text_of_the_data_stays_text(page: Page, folder: Path) -> None:
    page.open(folder / "report.html", width=1000)
    assert page.run("document.getElementById('title').textContent") == NASTY
    assert "hacked" not in page.run("document.title").split("<")[0]
    assert page.run("document.querySelectorAll('script').length") == 2
    assert page.run("document.querySelectorAll('img').length") == 0


@pytest.mark.browser
@needs_browser
def test_a_report_of_nothing_is_drawn_as_well(page: Page, tmp_path: Path) -> None:
    full = made()
    empty = full.compared.prediction
    few = replace(empty, objects=empty.objects.take(np.arange(0)))
    truth = full.compared.reference.objects
    for mine, true in (
        (few, truth),
        (empty, truth.take(np.arange(0))),
        (few, truth.take(np.arange(0))),
    ):
        write_report(score(mine, true, aoi=None, options=Options()), tmp_path)
        page.open(tmp_path / "report.html", width=800)
        assert page.complaints() == []
        assert page.run("document.body.textContent.includes('NaN')") is False


@pytest.mark.browser
@needs_browser
def test_many_outlines_are_drawn_beside_what_is_shown(page: Page, tmp_path: Path) -> None:
    from benchmarks.scoring import town

    truth, mine, confidence, side = town(2500)
    grid = PixelGrid(height=side, width=side, georef=None)
    objects = Objects(source="made", polygon=mine, crs=None, grid=grid, confidence=confidence)
    predicted = Predicted(name="town", source=Path("made"), objects=objects, grid=grid)
    true = replace(objects, polygon=truth, confidence=None)
    write_report(score(predicted, true, aoi=None, options=Options(intervals=False)), tmp_path)
    page.open(tmp_path / "report.html", width=1000)

    def greenish() -> int:
        shown = np.asarray(Image.open(page.screenshot(tmp_path / "map.png")).convert("RGB"), int)
        return int((shown[..., 1] > shown[..., 0] + 60).sum())

    right = next((count for _ in range(50) if (count := greenish()) > 5000), 0)
    assert right > 5000
    page.run("document.querySelector('[data-layer=tp]').click()")
    assert next((True for _ in range(50) if greenish() < right / 2), False)
    assert page.complaints() == []


@pytest.mark.browser
@needs_browser
def test_an_iou_just_below_that_of_a_match_is_not_rounded_up(page: Page, tmp_path: Path) -> None:
    grid = PixelGrid(height=300, width=300, georef=None)
    true = Objects(
        source="made", polygon=np.array([shapely.box(50, 50, 250, 250)]), crs=None, grid=grid
    )
    mine = replace(
        true, polygon=np.array([shapely.box(50, 50, 250, 149.8)]), confidence=np.array([0.9])
    )
    predicted = Predicted(name="s", source=Path("made"), objects=mine, grid=grid)
    write_report(score(predicted, true, aoi=None, options=Options(intervals=False)), tmp_path)
    page.open(tmp_path / "report.html", width=800)
    for gallery in ("fp", "fn"):
        told = page.run(f"document.getElementById('{gallery}-gallery').textContent")
        assert "best IoU 0.49" in told


@pytest.mark.browser
@needs_browser
def test_a_click_tells_where_on_the_earth(page: Page, folder: Path) -> None:
    from pyproj import Transformer

    page.open(folder / "report.html", width=1000)
    page.run("document.querySelector('#fn-gallery .shot').click()")
    told = page.run("document.getElementById('picked').textContent")
    found = re.search(r"best IoU|touches no prediction", told)
    assert found, told
    lon, lat = map(float, re.findall(r"itude (-?[0-9.]+)", told))
    report = made()
    row = report.matched.matching.missed
    left, top, right, bottom = shapely.bounds(report.compared.reference.pixels[row]).T
    turn = Transformer.from_crs(32633, 4326, always_xy=True)
    there = turn.transform(500000 + 0.15 * (left + right), 5500000 - 0.15 * (top + bottom))
    assert np.hypot(there[0] - lon, there[1] - lat).min() < 2e-6


@pytest.mark.browser
@needs_browser
def test_the_summary_leads_to_its_scenes(page: Page, tmp_path: Path) -> None:
    from pipeline.evaluation.batch import summarise

    one = made()
    write_summary(summarise([("a", "x", one), ("b", "x_2", one)], ["z: it failed"]), tmp_path)
    page.open(tmp_path / "summary.html", width=1000)
    assert page.complaints() == []
    assert page.run("document.querySelector('td a').getAttribute('href')") == "x/report.html"
    assert "undecided" in page.run("document.body.textContent")


def test_the_page_names_no_other_place(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:)", text.split('id="data"')[0]) == []
    assert "default-src 'none'" in text
    assert "http://www.w3.org/2000/svg" in text
    assert set(re.findall(r"https?://[\w.]+", text.split("<script>")[-1])) == {"http://www.w3.org"}


def test_data_cannot_end_its_element() -> None:
    text = render(title="<x>", data={"a": NASTY}, body="report.html", scripts=())
    inside = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert inside is not None
    assert json.loads(inside[1]) == {"a": NASTY}
    assert "<title>&lt;x&gt;</title>" in text


@settings(deadline=None, max_examples=examples(40))
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 20))
def test_polygons_survive_their_text(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = np.empty(count, object)
    for row in range(count):
        x, y = rng.integers(-100, 200_000, 2)
        hull = shapely.box(x, y, x + 40, y + 30.25)
        shapes[row] = hull - shapely.box(x + 5, y + 5, x + 9, y + 9) if rng.random() < 0.5 else hull
    code = encode_polygons(shapes)
    counts, steps = (_numbers(str(code[name])) for name in ("counts", "points"))
    flat = np.array([(v >> 1) ^ -(v & 1) for v in steps], np.int64).reshape(-1, 2).cumsum(0) / 4
    at = place = 0
    for shape in shapes:
        rings = []
        many, place = counts[place], place + 1
        for _ in range(many):
            rings.append(flat[at : at + counts[place]])
            at, place = at + counts[place], place + 1
        assert shapely.Polygon(rings[0], rings[1:]).equals(shape)
    assert (at, place) == (len(flat), len(counts))


def _numbers(text: str) -> list[int]:
    found, value, shift = [], 0, 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            found.append(value)
            value = shift = 0
    return found


def test_a_pyramid_shows_the_scene_at_every_scale() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (11, 13, 3)).astype(np.uint8)
    scene = np.kron(small, np.ones((100, 100, 1), np.uint8))[:1090, :1290]

    def read(window: Window) -> Any:
        part = scene[window.row : window.bottom, window.col : window.right]
        return part, np.ones(part.shape[:2], bool)

    found = pyramid(read, height=1090, width=1290)
    assert [level["scale"] for level in found["levels"]] == [1, 2, 4]
    assert [len(level["tiles"]) for level in found["levels"]] == [9, 4, 1]
    import io

    last = Image.open(io.BytesIO(base64.b64decode(found["levels"][-1]["tiles"][0])))
    assert last.size == (323, 273)
    middle = np.asarray(last.convert("RGB"), float)[12::25, 12::25][:10, :12]
    assert np.abs(middle - small[:10, :12]).mean() < 12
    assert MOST_PIXELS < 30e6


def test_json_refuses_nan_and_cells_are_no_formulas(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"f1": float("nan")})
    assert not (tmp_path / "x.json").exists()
    write_csv(tmp_path / "x.csv", [{"name": "=1+1", "value": None}, {"name": "b", "other": 2.5}])
    assert (tmp_path / "x.csv").read_text() == "name,value,other\n'=1+1,,\nb,,2.5\n"
