"""The region's page, in a real browser: drawn, silent, offline, and safe against its data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import shapely
from shapely.affinity import scale
from shapely.geometry import box

from pipeline.errors import ConfigError
from pipeline.regions.layer.changes import changes
from pipeline.regions.layer.layer import build_layer
from pipeline.regions.report.report import (
    ReportChanges,
    ReportHeader,
    ReportRun,
    ReportScene,
    write_region_report,
)
from tests.outputs.browser import CHROMIUM, Page
from tests.regions.towns import View, mapped, on_earth, square

NASTY = "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)> & \u2028 {}"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A region of twelve scenes, two failed, two waiting, with changes in the last run."""
    folder = tmp_path_factory.mktemp("region")
    frames = [box(x, y, x + 140, y + 120) for x in range(0, 400, 100) for y in range(0, 300, 100)]
    states = ["done"] * 8 + ["failed", "failed", "waiting", "withdrawn"]
    scenes = [
        ReportScene(
            key=NASTY if at == 8 else f"scene {at}",
            state=state,
            area=None if at == 9 else shapely.to_wkb(on_earth(frame)),
            datetime="2024-02-03T04:05:06Z" if at % 2 else None,
            attempts=3 if state == "failed" else 1,
            reason=f"band 4 is not there; {NASTY}" if state == "failed" else None,
        )
        for at, (state, frame) in enumerate(zip(states, frames, strict=True))
    ]
    world = box(-50, -50, 600, 500)
    houses = [square(40 * x + 5, 40 * y + 5) for x in range(12) for y in range(8)]
    layers = []
    for name, shown in (("before", houses[:80]), ("after", [*houses[6:50], *houses[55:]])):
        grown = [scale(house, 1.6, 1.2) if at % 9 == 5 else house for at, house in enumerate(shown)]
        view = View(key=name, houses=tuple(shown if name == "before" else grown), frame=world)
        layers.append(folder / f"{name}.parquet")
        build_layer(mapped(folder / name, [view]), previous=None, out=layers[-1], policy="newest")
    summary = changes(layers[0], layers[1], folder / "changes")
    assert min(summary.added.count, summary.removed.count, summary.changed.count) > 0
    write_region_report(
        folder / "report.html",
        header=ReportHeader(
            region=f"Kathmandu valley {NASTY}",
            written="2024-03-01 06:00 UTC",
            next_run="2024-03-08 06:00 UTC",
        ),
        scenes=scenes,
        runs=[
            ReportRun(
                run=f"{at:03d}",
                began=f"2024-02-{at + 1:02d} 06:00 UTC",
                state="done" if at < 7 else NASTY,
                mapped=2,
                failed=at % 3,
                footprints=60 + 5 * at,
                added=4 + at if at else None,
                removed=at if at else None,
                changed=2 if at else None,
            )
            for at in range(8)
        ],
        changes=ReportChanges(
            before="006", after="007", summary=summary, layer=folder / "changes/changes.parquet"
        ),
    )
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_drawn_without_complaint_at_every_width_and_colour(
    page: Page, report: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    page.open(report, width=width, dark=dark)
    assert page.complaints() == []
    assert page.requests() == []
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run("document.title") == page.run("`Region ${JSON.parse(data.textContent).region}`")
    assert page.run("document.querySelectorAll('#map .scene').length") == 11
    assert page.run("document.querySelectorAll('#map .change').length") > 5
    assert page.run("document.querySelectorAll('#history svg').length") == 3
    assert page.run("document.querySelectorAll('#failures tbody tr').length") == 2
    assert "0.000" not in page.run("document.querySelector('#changes').textContent")
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.screenshot(tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.browser
@needs_browser
def test_scenes_and_changes_can_be_chosen_hidden_and_looked_at_closely(
    page: Page, report: Path
) -> None:
    page.open(report, width=1280)
    page.run("document.querySelector('#map .s-failed').dispatchEvent(new Event('click'))")
    assert "band 4 is not there" in page.run("picked.textContent")
    page.run("document.querySelector('#map .change').dispatchEvent(new Event('click'))")
    assert "m\u00b2" in page.run("picked.textContent")
    assert page.run("document.querySelectorAll('#map .chosen').length") == 1
    before = page.run("document.getElementById('map').getAttribute('viewBox')")
    page.run("document.querySelector('.zooms button').click()")
    assert page.run("document.getElementById('map').getAttribute('viewBox')") != before
    page.run("document.querySelectorAll('.zooms button')[2].click()")
    assert page.run("document.getElementById('map').getAttribute('viewBox')") == before
    page.run("document.querySelector('#bar .toggle').click()")
    assert page.run("document.querySelectorAll('#map g[display=none]').length") == 1
    assert page.complaints() == []


@pytest.mark.browser
@needs_browser
def test_a_region_without_runs_and_one_across_the_antimeridian_are_drawn(
    page: Page, tmp_path: Path
) -> None:
    write_region_report(
        tmp_path / "none.html", header=ReportHeader(region="new", written="now"), scenes=[], runs=[]
    )
    page.open(tmp_path / "none.html", width=800)
    assert page.complaints() == []
    assert "no run yet" in page.run("lead.textContent")
    areas = [box(179.5, -17, 180, -16.5), box(-180, -17, -179.5, -16.5)]
    scenes = [
        ReportScene(key=str(at), state="done", area=shapely.to_wkb(area))
        for at, area in enumerate(areas)
    ]
    write_region_report(
        tmp_path / "far.html",
        header=ReportHeader(region="Fiji", written="now"),
        scenes=scenes,
        runs=[],
    )
    page.open(tmp_path / "far.html", width=800)
    assert page.complaints() == []
    widths = page.run("[...document.querySelectorAll('.scene')].map((one) => one.getBBox().width)")
    assert min(widths) > 300


def test_nothing_in_the_page_leads_elsewhere(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert NASTY not in text
    assert text.count("</script>") == 2
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", text)


def test_changes_that_cannot_be_read_are_refused(report: Path, tmp_path: Path) -> None:
    layers = [report.parent / f"{name}.parquet" for name in ("before", "after")]
    summary = changes(layers[0], layers[1], tmp_path)
    lost = ReportChanges(before="1", after="2", summary=summary, layer=tmp_path / "lost.parquet")
    with pytest.raises(ConfigError, match="cannot be read as changes"):
        write_region_report(
            tmp_path / "r.html",
            header=ReportHeader(region="r", written="now"),
            scenes=[],
            runs=[],
            changes=lost,
        )
