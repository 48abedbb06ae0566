"""The training's pages, in a real browser: drawn, silent, offline, small, and safe."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from scipy import ndimage
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from pipeline.training.callbacks import HISTORY, note
from pipeline.training.config import TrainingConfig
from pipeline.training.dashboard.callback import Live, final_page
from pipeline.training.dashboard.page import crops_of, write_live
from pipeline.training.data.sources.places import Level, level_of
from pipeline.training.score.predicted import PlacePrediction
from pipeline.training.validate import Trial, trials
from tests.outputs.browser import CHROMIUM, Page

NASTY = "<img src=x onerror=alert(1)></script><script>document.title='hacked'</script> & \u2028"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")
FOUND = Trial(threshold=0.45, min_area_px=0, score=0.7, precision=0.85, recall=0.8, iou=0.7)


def config(**changes: object) -> TrainingConfig:
    values = {
        "places": [{"name": "x", "scenes": ["x.tif"], "labels": "x.geojson"}],
        "crop": 64,
        "schedule": {"steps": 1000, "warmup": 0, "decay": 0},
    }
    return TrainingConfig.model_validate(values | changes)


def said(seed: int = 0, *, name: str = NASTY, size: int = 300) -> PlacePrediction:
    """Return an answer that finds most boxes, misses some and makes some up."""
    rng = np.random.default_rng(seed)
    instances = np.zeros((size, size), np.int32)
    probability = np.full((size, size), 0.1, np.float32)
    for number in range(1, 40):
        row, col = rng.integers(0, size - 34, 2)
        high, wide = rng.integers(10, 34, 2)
        true, mine = rng.random(2) < 0.85
        if true:
            instances[row : row + high, col : col + wide] = number
        if mine:
            probability[row + 1 : row + high + 2, col + 2 : col + wide] = rng.uniform(0.6, 1)
    ground = ndimage.gaussian_filter(rng.uniform(60, 160, (3, size, size)), (0, 3, 3))
    image = np.where(instances > 0, ground + 50, ground).astype(np.uint8)
    level = level_of(image, instances, pixel_size_m=0.2, sigma=0)
    known = level.known.copy()
    known[:, :30] = False
    level = Level(
        image=level.image,
        instances=level.instances,
        contact=level.contact,
        known=known,
        pixel_size_m=0.2,
    )
    return PlacePrediction(
        name=name, level=level, probability=np.stack([probability, probability * 0.9])
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run's folder with both pages."""
    out = tmp_path_factory.mktemp("run") / "a <b>run & more"
    out.mkdir()
    rng = np.random.default_rng(1)
    for step in range(20, 820, 20):
        loss = 2.2 * math.exp(-step / 250) + 0.3 + rng.normal(0, 0.03)
        right = 1 - 0.8 * math.exp(-step / 200) + rng.normal(0, 0.01) - 0.1
        figures = dict.fromkeys(("iou", "dice", "precision", "recall"), right)
        note(out, {"kind": "train", "step": step, "loss": loss, **figures})
        if step % 160 == 0:
            shown = dict.fromkeys(("iou", "precision", "recall"), right - 0.06)
            note(out, {"kind": "validation", "step": step, "loss": loss + 0.2, **shown})
    several = [said(seed) for seed in range(3)]
    settled = config()
    Live(out, settled).validated(several, FOUND, step=800)
    final_page(out, settled, several, split="test", found=FOUND, trials=trials(several, settled))
    return out


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["live", "test"])
def test_a_page_is_drawn_silent_and_offline(
    page: Page, folder: Path, tmp_path: Path, *, name: str, width: int, dark: bool
) -> None:
    page.open(folder / f"{name}.html", width=width, dark=dark)
    assert page.complaints() == []
    assert page.requests() == []
    assert page.run("document.documentElement.scrollWidth") <= width
    # Five charts, each with a line for training and one for validation.
    assert page.run("document.querySelectorAll('#curves svg').length") == 5
    assert page.run("document.querySelectorAll('#curves .s-train').length") == 5
    assert page.run("document.querySelectorAll('#curves .s-validation').length") == 5
    assert page.run("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    counts = page.run(
        "['fixed', 'best', 'worst'].map((group) => "
        "document.querySelectorAll(`[data-group=${group}] figure`).length)"
    )
    assert counts == [12, 6, 6]
    assert page.run("document.body.textContent.includes('NaN')") is False
    shot = page.screenshot(tmp_path / f"{name}.png")
    picture = np.asarray(Image.open(shot).convert("RGB"))
    assert (picture[3, 3].mean() < 80) == dark
    # A curve is really painted: its colour is on the screen.
    box = page.run(
        "(r => [r.x, r.y + scrollY, r.width, r.height])"
        "(document.querySelector('#curves svg').getBoundingClientRect())"
    )
    x, y, w, h = (int(one) for one in box)
    stroke = page.run("getComputedStyle(document.querySelector('#curves .s-train')).stroke")
    wanted = np.array([int(part) for part in stroke[4:-1].split(",")])
    near = np.abs(picture[y : y + h, x : x + w].astype(int) - wanted).max(axis=2) < 12
    assert near.sum() > 30


@pytest.mark.browser
@needs_browser
def test_text_that_came_from_files_stays_text(page: Page, folder: Path) -> None:
    for name in ("live", "test"):
        page.open(folder / f"{name}.html", width=1000)
        assert page.run("document.getElementById('title').textContent") == folder.name
        assert "hacked" not in page.run("document.title")
        assert page.run("document.querySelectorAll('script').length") == 2
        assert NASTY in page.run("document.querySelector('.pair figcaption').textContent")
        assert page.run("[...document.images].every((one) => one.src.startsWith('data:'))")


@pytest.mark.browser
@needs_browser
def test_the_test_page_shows_the_threshold_and_where_it_was_chosen(
    page: Page, folder: Path
) -> None:
    page.open(folder / "test.html", width=1000)
    assert "0.45" in page.run("document.querySelector('#threshold p').textContent")
    x, low, high = page.run(
        "((l, a, b) => [+l.getAttribute('x1'), a, b])(document.querySelector('#chosen'), 56, 356)"
    )
    assert (x - low) / (high - low) == pytest.approx(0.45, abs=1e-6)
    assert page.run("document.querySelectorAll('#threshold .line').length") == 4


@pytest.mark.browser
@needs_browser
def test_a_page_before_the_first_validation_is_drawn_as_well(page: Page, tmp_path: Path) -> None:
    write_live(tmp_path, config(), None, step=0)
    page.open(tmp_path / "live.html", width=800)
    assert page.complaints() == []
    assert "Nothing has been validated" in page.run("document.body.textContent")
    assert page.run("document.body.textContent.includes('NaN')") is False


@pytest.mark.browser
@needs_browser
def test_a_live_page_reads_itself_again_and_shows_what_is_new(page: Page, tmp_path: Path) -> None:
    write_live(tmp_path, config(), None, step=5)
    text = (tmp_path / "live.html").read_text()
    assert '"refresh_s":30' in text
    # The digest of the script does not cover the data: a shorter wait is data.
    (tmp_path / "live.html").write_text(text.replace('"refresh_s":30', '"refresh_s":1'))
    page.open(tmp_path / "live.html", width=800)
    write_live(tmp_path, config(), None, step=77, done=True)
    page.run("new Promise((r) => setTimeout(r, 300))")
    for _ in range(40):
        if "Step 77" in page.run("document.body?.textContent || ''"):
            break
        page.call("Runtime.evaluate", expression="1")
        time.sleep(0.1)
    assert "Step 77 of 1,000" in page.run("document.body.textContent")


def test_pages_stay_small_whatever_the_training(tmp_path: Path) -> None:
    settled = config(crop=512)
    for step in range(5000):
        note(tmp_path, {"kind": "train", "step": step, "loss": 1.0 / (1 + step), "iou": 0.5})
    rough = said(0, size=1400)
    noise = np.random.default_rng(0).integers(0, 256, rough.level.image.shape, np.uint8)
    level = Level(
        image=noise,
        instances=rough.level.instances,
        contact=rough.level.contact,
        known=rough.level.known,
        pixel_size_m=0.2,
    )
    crops = crops_of(
        [PlacePrediction(name="noise", level=level, probability=rough.probability)] * 6,
        settled,
        threshold=0.5,
    )
    write_live(tmp_path, settled, crops, step=5000)
    # Noise is the most that a JPEG can take; ground takes a third of it.
    assert (tmp_path / "live.html").stat().st_size < 3_000_000
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_page_without_a_single_object_is_written(tmp_path: Path) -> None:
    bare = said(0)
    level = level_of(
        bare.level.image, np.zeros_like(bare.level.instances), pixel_size_m=0.2, sigma=0
    )
    empty = PlacePrediction(name="bare", level=level, probability=np.zeros_like(bare.probability))
    none = Trial(
        threshold=0.5, min_area_px=0, score=math.nan, precision=0.0, recall=0.0, iou=math.nan
    )
    Live(tmp_path, config()).validated([empty], none, step=3)
    assert (tmp_path / "live.html").exists()


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_gets_figures_and_pictures(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="tensorboard")
    live = Live(tmp_path, config())
    trainer = pl.Trainer(
        logger=logger,
        accelerator="cpu",
        max_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    live.on_train_start(trainer, pl.LightningModule())
    live.validated([said()], FOUND, step=40)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"validation/iou", "validation/loss"} <= set(events.Tags()["scalars"])
    assert "validation/crop 1" in events.Tags()["images"]
    (iou,) = events.Scalars("validation/iou")
    assert (iou.step, round(iou.value, 4)) == (40, FOUND.iou)


def test_each_validation_is_noted_with_its_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    Live(tmp_path, config()).validated([said()], FOUND, step=40)
    (row,) = [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()]
    assert row["kind"] == "validation"
    assert row["step"] == 40
    assert 0 < row["loss"] < 10


def test_the_page_names_what_it_shows(folder: Path) -> None:
    text = (folder / "live.html").read_text()
    found: dict[str, Any] = json.loads(text.split('id="data">', 1)[1].split("</script>", 1)[0])
    assert found["step"] == 800
    assert len(set(found["colours"].values())) == 3
