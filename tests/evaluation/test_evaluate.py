"""Evaluation end to end, on files as users have them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS
from rasterio.transform import Affine

from pipeline.errors import ConfigError, ExportError, SceneError
from pipeline.evaluation.batch import evaluate_many
from pipeline.evaluation.common_grid import reproject_polygons
from pipeline.evaluation.evaluate import Options, evaluate_scene
from tests.strategies import examples

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
UTM = CRS.from_epsg(32633)
STEP, LEFT, TOP, SIDE = 0.5, 500000.0, 5500000.0, 400
QUICK = Options(intervals=False)


def town(seed: int = 0, count: int = 100) -> Any:
    """Houses in UTM metres on a grid of cells of 20 m, none touching another."""
    rng = np.random.default_rng(seed)
    across = int(np.sqrt(count))
    cells = np.stack(np.divmod(np.arange(count), across), -1) * 20.0
    size = rng.uniform(6, 14, cells.shape)
    low = cells + [LEFT, TOP - STEP * SIDE] + 3
    boxes = np.asarray(shapely.box(*low.T, *(low + size).T))
    turns = rng.uniform(-20, 20, count)
    return np.array(
        [shapely.affinity.rotate(box, turn) for box, turn in zip(boxes, turns, strict=True)]
    )


def guessed(reference: Any, seed: int = 1) -> tuple[Any, Any]:
    """Predictions: most houses a little moved, some not at all, and some that are none."""
    rng = np.random.default_rng(seed)
    near = [shapely.affinity.translate(one, *rng.normal(0, 0.8, 2)) for one in reference]
    kept = [one for one in near if rng.random() < 0.85]
    x = rng.uniform(LEFT, LEFT + 190, 8)
    y = rng.uniform(TOP - 190, TOP - 10, 8)
    return np.array([*kept, *shapely.box(x, y, x + 5, y + 5)]), rng.random(len(kept) + 8).round(3)


def geojson(path: Path, shapes: Any, *, crs: Any = UTM, **columns: Any) -> Path:
    """Write polygons given in UTM as GeoJSON, in degrees or with an old crs member."""
    degrees = CRS.from_user_input("OGC:CRS84")
    placed = reproject_polygons(np.asarray(shapes, object), UTM, crs if crs != UTM else degrees)
    features = [
        {
            "type": "Feature",
            "properties": {name: values[row] for name, values in columns.items()},
            "geometry": shapely.geometry.mapping(shape),
        }
        for row, shape in enumerate(placed)
    ]
    value: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if crs != UTM:
        value["crs"] = {"type": "name", "properties": {"name": crs.to_string()}}
    path.write_text(json.dumps(value))
    return path


def raster(path: Path, pixels: Any, *, nodata: int | None = 255) -> Path:
    """Write labels on the scene's grid."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=SIDE,
        width=SIDE,
        count=1,
        dtype="uint8",
        crs="EPSG:32633",
        transform=Affine(STEP, 0, LEFT, 0, -STEP, TOP),
        nodata=nodata,
        tiled=True,
        blockxsize=128,
        blockysize=128,
    ) as file:
        file.write(pixels, 1)
    return path


def drawn(shapes: Any) -> Any:
    """Return the pixels of polygons given in UTM metres."""
    from rasterio.features import rasterize

    transform = Affine(STEP, 0, LEFT, 0, -STEP, TOP)
    return rasterize(shapes, (SIDE, SIDE), transform=transform, dtype="uint8")


def counts(evaluation: Any) -> tuple[int, int, int]:
    objects = evaluation.report["objects"]
    return objects["tp"], objects["fp"], objects["fn"]


def test_a_perfect_map_scores_one_and_a_wrong_one_nothing(tmp_path: Path) -> None:
    reference = geojson(tmp_path / "truth.geojson", town())
    same = geojson(tmp_path / "same.geojson", town(), confidence=[0.9] * 100)
    headline = evaluate_scene(same, reference, options=QUICK).report["headline"]
    for name in ("f1", "precision", "recall", "ap50", "ap", "mean_iou", "pixel_iou"):
        assert headline[name]["value"] == pytest.approx(1, abs=1e-5), name
    away = shapely.transform(town(), lambda xy: xy + np.array([14, 14]))
    wrong = geojson(tmp_path / "wrong.geojson", away, confidence=[0.9] * 100)
    assert evaluate_scene(wrong, reference, options=QUICK).report["headline"]["f1"]["value"] == 0


@settings(deadline=None, max_examples=examples(3))
@given(seed=st.integers(0, 1000))
def test_the_crs_of_either_file_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("crs")
    houses = town(seed)
    outlines, sure = guessed(houses, seed)
    found = []
    for crs in (UTM, CRS.from_epsg(3857), CRS.from_epsg(32634), CRS.from_epsg(3035)):
        reference = geojson(folder / "truth.geojson", houses, crs=crs)
        predicted = geojson(folder / "mine.geojson", outlines, confidence=sure.tolist())
        found.append(evaluate_scene(predicted, reference, options=QUICK))
    assert len({counts(one) for one in found}) == 1
    for name in ("f1", "mean_iou", "ap"):
        values = [one.report["headline"][name]["value"] for one in found]
        assert max(values) - min(values) < 2e-3
    polis = [one.report["outlines"]["polis"]["mean"] for one in found]
    assert max(polis) - min(polis) < 0.01


def test_masks_and_polygons_of_the_same_pixels_agree(tmp_path: Path) -> None:
    houses = town()
    reference = raster(tmp_path / "truth.tif", drawn(houses))
    predicted, _ = guessed(houses)
    mask = raster(tmp_path / "mask.tif", drawn(predicted))
    report = evaluate_scene(mask, reference, options=QUICK).report
    both = drawn(predicted).astype(bool), drawn(houses).astype(bool)
    pixels = report["pixels"]["all"]
    assert pixels["tp"] == (both[0] & both[1]).sum()
    assert pixels["fp"] == (both[0] & ~both[1]).sum()
    assert pixels["fn"] == (~both[0] & both[1]).sum()
    assert pixels["dice"] == pixels["f1"]
    assert report["headline"]["ap"]["value"] is None
    assert "confidence" in report["headline"]["ap"]["reason"]


def test_nodata_and_what_lies_outside_the_area_do_not_count(tmp_path: Path) -> None:
    houses = town()
    reference = geojson(tmp_path / "truth.geojson", houses)
    pixels = drawn(houses)
    pixels[:200] = 255
    hidden = evaluate_scene(raster(tmp_path / "mask.tif", pixels), reference, options=QUICK).report
    assert hidden["evaluated"]["missing_pixels"] == 200 * SIDE
    assert hidden["headline"]["recall"]["value"] == pytest.approx(1)
    assert 40 <= hidden["objects"]["ignored_references"] <= 60
    half = shapely.box(LEFT, TOP - STEP * SIDE, LEFT + 100, TOP)
    aoi = geojson(tmp_path / "aoi.geojson", [half])
    everything = geojson(tmp_path / "mine.geojson", houses, confidence=[0.5] * 100)
    clean = evaluate_scene(everything, reference, options=replace(QUICK, aoi=aoi)).report
    assert clean["objects"]["tp"] == 50
    assert clean["objects"]["ignored_references"] == 50
    assert clean["objects"]["fp"] == 0


def run_folder(folder: Path, houses: Any, predicted: Any, sure: Any) -> Path:
    """Write what a run writes: polygons, mask, probability and manifest."""
    folder.mkdir(parents=True)
    geojson(
        folder / "polygons.geojson",
        predicted,
        confidence=sure.tolist(),
        **{"class": ["building"] * len(predicted)},
    )
    mask = drawn(predicted)
    raster(folder / "mask.tif", mask)
    rng = np.random.default_rng(0)
    level = np.where(
        drawn(houses) > 0, rng.normal(190, 40, mask.shape), rng.normal(40, 40, mask.shape)
    )
    raster(folder / "probability.tif", np.clip(level, 0, 250).astype(np.uint8))
    manifest = {
        "scene": {"name": folder.name, "fingerprint": f"sha256:{folder.name}"},
        "grid": {"core": 128, "halo": 32, "stride": 32},
    }
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def test_a_run_folder_gives_curves_seams_and_thresholds(tmp_path: Path) -> None:
    houses = town()
    predicted, sure = guessed(houses)
    reference = geojson(tmp_path / "truth.geojson", houses)
    folder = run_folder(tmp_path / "scene_1", houses, predicted, sure)
    report = evaluate_scene(folder, reference, out=tmp_path / "out").report
    assert report["scene"] == "scene_1"
    near, elsewhere = report["objects"]["seams"]["rows"]
    assert near["references"] + elsewhere["references"] == 100
    assert near["references"] > 0
    best = report["operating_point"]["pixels"]["best_f1"]
    assert 0.4 < best["threshold"] < 0.6
    assert report["calibration"]["pixels"]["ece"] > 0
    for name in ("f1", "recall", "pixel_iou", "ap50"):
        figure = report["headline"][name]
        assert figure["low"] < figure["value"] < figure["high"]
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert saved == json.loads(json.dumps(report))
    assert (tmp_path / "out" / "report.csv").read_text().startswith("group,name,figure,value")


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path) -> None:
    houses = town()
    folder = run_folder(tmp_path / "scene_1", houses, *guessed(houses))
    reference = geojson(tmp_path / "truth.geojson", houses)
    for out in ("a", "b"):
        evaluate_scene(folder, reference, out=tmp_path / out)
    for name in ("report.json", "report.csv", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_two_maps_of_a_scene_are_compared_and_two_scenes_summed_up(tmp_path: Path) -> None:
    houses = town()
    reference = geojson(tmp_path / "truth.geojson", houses)
    predicted, sure = guessed(houses)
    good = geojson(tmp_path / "good.geojson", houses, confidence=[0.9] * 100)
    poor = geojson(tmp_path / "poor.geojson", predicted, confidence=sure.tolist())
    summary = evaluate_many([poor, good], reference, out=tmp_path / "out", options=Options())
    (compared,) = summary["comparisons"]
    assert compared["figures"]["recall"]["verdict"] == "second is better"
    assert compared["figures"]["recall"]["difference"]["low"] > 0
    assert compared["figures"]["ap"]["verdict"] == "second is better"
    same = evaluate_many([good, good], reference, out=tmp_path / "same", options=Options())
    assert same["comparisons"] == []
    runs = tmp_path / "runs"
    for name in ("a", "b"):
        run_folder(runs / name, houses, predicted, sure)
    both = evaluate_many([runs], reference, out=tmp_path / "both", options=Options())
    assert [row["scene"] for row in both["scenes"]] == ["a", "b"]
    assert both["total"]["references"] == 200
    validated(both, "summary.schema.json")
    one = both["scenes"][0]["headline"]["f1"]["value"]
    assert both["total"]["figures"]["f1"]["value"] == pytest.approx(one, abs=1e-6)
    for name in ("ap", "ap50"):
        figure = both["total"]["figures"][name]
        assert figure["low"] < figure["value"] < figure["high"]
    assert [row["references"] for row in both["total"]["by_size"]] == [
        2 * row["references"] for row in both_sizes(tmp_path / "both" / "a")
    ]
    from pipeline.evaluation.write_task import write_threshold

    alone = json.loads((tmp_path / "both" / "a" / "report.json").read_text())
    written = write_threshold(
        tmp_path / "task.yaml", tmp_path / "both" / "summary.json", precision=None
    )
    # Twice the same pixels: the same threshold.
    assert written["threshold"] == alone["operating_point"]["pixels"]["best_f1"]["threshold"]
    listed = evaluate_many(
        [runs / "a", runs / "b"], reference, out=tmp_path / "two", options=Options()
    )
    assert listed["comparisons"] == []
    assert [row["references"] for row in listed["systems"]] == [200]
    with pytest.raises(ConfigError, match="2 were given"):
        write_threshold(tmp_path / "task.yaml", tmp_path / "out" / "summary.json", precision=None)
    assert (tmp_path / "both" / "a" / "report.html").is_file()
    assert (tmp_path / "both" / "summary.html").is_file()


def test_a_run_is_compared_with_the_files_of_other_tools(tmp_path: Path) -> None:
    houses = town()
    reference = geojson(tmp_path / "truth.geojson", houses)
    run = run_folder(tmp_path / "scene_1", houses, *guessed(houses))
    vectors = geojson(tmp_path / "other.geojson", houses, confidence=[0.9] * 100)
    mask = raster(tmp_path / "third.tif", drawn(houses))
    given = [run, vectors, mask]
    summary = evaluate_many(given, reference, out=tmp_path / "out", options=Options())
    assert [one["scenes"] for one in summary["comparisons"]] == [1, 1]
    for one in summary["comparisons"]:
        assert one["reason"] is None
        assert one["figures"]["f1"]["verdict"] == "second is better"
    assert ["ap" in one["figures"] for one in summary["comparisons"]] == [True, False]
    assert [one["note"] is None for one in summary["comparisons"]] == [False, True]
    validated(summary, "summary.schema.json")


def validated(value: Any, name: str) -> None:
    """Check a report against its schema."""
    import jsonschema

    import pipeline.outputs.report

    schema = Path(pipeline.outputs.report.__file__).with_name(name)
    jsonschema.validate(value, json.loads(schema.read_text(encoding="utf-8")))


def both_sizes(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())["objects"]["by_size"]


def test_images_without_a_place_are_scored_in_pixels(tmp_path: Path) -> None:
    masks, references = tmp_path / "masks", tmp_path / "truth"
    masks.mkdir()
    references.mkdir()
    for name, side in (("one", 40), ("two", 0)):
        mask = np.zeros((101, 101), np.uint8)
        mask[:side, :side] = 255
        Image.fromarray(mask).save(masks / f"{name}.png")
        mask[:40, :50] = 255 if side else 0
        Image.fromarray(mask).save(references / f"{name}.png")
    summary = evaluate_many(
        [masks / "one.png", masks / "two.png"], references, out=tmp_path / "out", options=Options()
    )
    # IoU 40 x 40 of 40 x 50 is 0.8, which exceeds six thresholds; the empty one scores 1.
    assert summary["total"]["salt"] == pytest.approx((0.6 + 1) / 2)
    assert summary["total"]["figures"]["pixel_iou"]["value"] == pytest.approx(0.8)
    one = json.loads((tmp_path / "out" / "one" / "report.json").read_text())
    assert one["common_grid"]["unit"] == "px"
    # One without truth is told, the others stand, and no folder is left of it.
    (references / "one.png").unlink()
    summary = evaluate_many(
        [masks / "one.png", masks / "two.png"],
        references,
        out=tmp_path / "again",
        options=Options(),
    )
    assert len(summary["failed"]) == 1
    assert not (tmp_path / "again" / "one").exists()
    assert (tmp_path / "again" / "two" / "report.html").exists()


@pytest.mark.parametrize("what", ["truth", "prediction", "both"])
def test_nothing_to_compare_gives_null_with_a_reason(tmp_path: Path, what: str) -> None:
    some, none = town(), np.empty(0, object)
    reference = geojson(tmp_path / "truth.geojson", some if what == "prediction" else none)
    predicted = geojson(tmp_path / "mine.geojson", some if what == "truth" else none)
    report = evaluate_scene(predicted, reference, out=tmp_path / "out").report
    for name in ("f1", "precision", "mean_iou", "pixel_f1", "pixel_iou"):
        assert report["headline"][name]["value"] is None
        assert report["headline"][name]["reason"]
    text = (tmp_path / "out" / "report.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text


def test_truth_elsewhere_is_told_and_not_scored(tmp_path: Path) -> None:
    houses = town()
    degrees = reproject_polygons(houses, UTM, CRS.from_user_input("OGC:CRS84"))
    swapped = shapely.transform(degrees, lambda xy: xy[:, ::-1])
    value = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(one)}
            for one in swapped
        ],
    }
    (tmp_path / "truth.geojson").write_text(json.dumps(value))
    mask = raster(tmp_path / "mask.tif", drawn(houses))
    report = evaluate_scene(mask, tmp_path / "truth.geojson", options=QUICK).report
    assert all(one["value"] is None for one in report["headline"].values())
    (note,) = report["notes"]
    assert "no truth inside the scene" in note
    assert "longitude and latitude exchanged" in note


def test_truth_of_a_part_of_the_scene_wants_its_area(tmp_path: Path) -> None:
    houses = town()
    reference = geojson(tmp_path / "truth.geojson", houses[:14])
    mask = raster(tmp_path / "mask.tif", drawn(houses))
    with pytest.raises(ConfigError, match="--aoi"):
        evaluate_scene(mask, reference, options=QUICK)
    area = geojson(tmp_path / "aoi.geojson", [shapely.union_all(houses[:14]).envelope])
    report = evaluate_scene(mask, reference, options=replace(QUICK, aoi=area)).report
    assert (report["objects"]["tp"], report["objects"]["fp"]) == (14, 6)


def test_what_does_not_fit_is_refused_with_a_way_out(tmp_path: Path) -> None:
    reference = geojson(tmp_path / "truth.geojson", town())
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(ConfigError, match="COCO JSON or a PNG mask"):
        evaluate_scene(tmp_path / "mask.png", reference)
    with pytest.raises(ConfigError, match="does not exist"):
        evaluate_scene(tmp_path / "nowhere", reference)
    with pytest.raises(ConfigError, match="does not exist"):
        evaluate_scene(reference, tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="holds neither"):
        evaluate_scene(empty, reference)
    (tmp_path / "cut.tif").write_bytes(b"II*\0" + b"\0" * 40)
    with pytest.raises((ConfigError, SceneError), match=r"cut\.tif"):
        evaluate_scene(tmp_path / "cut.tif", reference)
    far = shapely.transform(town()[:1], lambda xy: xy + np.array([5000, 0]))
    aoi = geojson(tmp_path / "far.geojson", far)
    with pytest.raises(ConfigError, match="area of interest lies outside the scene; give"):
        evaluate_scene(reference, reference, options=replace(QUICK, aoi=aoi))
    with pytest.raises(ConfigError, match="no layers, and so no 'houses'"):
        evaluate_scene(reference, reference, options=replace(QUICK, truth_layer="houses"))
    with pytest.raises(ExportError, match="it is a file; choose a folder"):
        evaluate_many([reference], reference, out=reference, options=QUICK)
    none = geojson(tmp_path / "none.geojson", np.empty(0, object))
    with pytest.raises(ConfigError, match="empty"):
        evaluate_scene(reference, reference, options=replace(QUICK, aoi=none))


def test_classes_are_matched_within_themselves(tmp_path: Path) -> None:
    houses = town()
    kinds = ["house" if row % 2 else "shed" for row in range(100)]
    swapped = ["shed" if row == 0 else kinds[row] for row in range(100)]
    swapped[1] = "shed"
    reference = geojson(tmp_path / "truth.geojson", houses, **{"class": kinds})
    predicted = geojson(tmp_path / "mine.geojson", houses, **{"class": swapped})
    report = evaluate_scene(predicted, reference, options=QUICK).report
    by_class = {row["name"]: row for row in report["objects"]["by_class"]}
    assert by_class["house"]["detected"] == 49
    assert by_class["shed"]["correct"] == 50
    assert counts(evaluate_scene(predicted, reference, options=QUICK)) == (99, 1, 1)
    assert [row["name"] for row in report["pixels"]["by_class"]] == ["house", "shed"]


def test_the_threshold_goes_into_a_task_file_and_nothing_else_changes(tmp_path: Path) -> None:
    from pipeline.config import load_task
    from pipeline.evaluation.write_task import write_threshold

    houses = town()
    reference = geojson(tmp_path / "truth.geojson", houses)
    folder = run_folder(tmp_path / "scene_1", houses, *guessed(houses))
    report = evaluate_scene(folder, reference, out=tmp_path / "out").report
    task = tmp_path / "task.yaml"
    task.write_text("# mine\nname: roofs\nmodel: buildings\nthreshold: 0.9 # old\nmin_area_m2: 7\n")
    written = tmp_path / "out" / "report.json"
    found = write_threshold(task, written, precision=None)
    best = report["operating_point"]["pixels"]["best_f1"]
    assert found["threshold"] == best["threshold"]
    expected = f"threshold: {best['threshold']:g}"
    lines = ["# mine", "name: roofs", "model: buildings", expected, "min_area_m2: 7", ""]
    assert task.read_text() == "\n".join(lines)
    strict = write_threshold(tmp_path / "new.yaml", written, precision=0.9)
    assert strict["precision"] >= 0.9
    assert load_task(str(tmp_path / "new.yaml")).threshold == pytest.approx(strict["threshold"])
    with pytest.raises(ConfigError, match="is not there"):
        write_threshold(task, tmp_path / "report.json", precision=None)


def test_the_threshold_is_that_of_this_evaluation_not_of_an_earlier_one(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pipeline.cli.__main__ import app

    houses = town()
    reference = geojson(tmp_path / "truth.geojson", houses)
    for name in ("a", "b"):
        run_folder(tmp_path / "runs" / name, houses, *guessed(houses))
    out, task = tmp_path / "report", tmp_path / "task.yaml"
    evaluate_scene(tmp_path / "runs" / "a", reference, out=out)
    stale = json.loads((out / "report.json").read_text())
    stale["operating_point"]["pixels"]["best_f1"]["threshold"] = 0.123
    (out / "report.json").write_text(json.dumps(stale))
    words = [
        "evaluate",
        tmp_path / "runs",
        "--truth",
        reference,
        "--out",
        out,
        "--write-task",
        task,
    ]
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0
    # Curves stand in files, not on the terminal.
    told, kept = json.loads(ended.stdout), json.loads((out / "summary.json").read_text())
    assert told["total"]["figures"] == kept["total"]["figures"]
    assert set(kept["total"]) - set(told["total"]) >= {"curves", "calibration"}
    assert "threshold: 0.123" not in task.read_text()
    assert "threshold: " in task.read_text()


@pytest.mark.parametrize("what", ["run", "vectors", "nothing"])
def test_report_json_is_what_its_schema_says(tmp_path: Path, what: str) -> None:
    houses = town()
    predicted, sure = guessed(houses)
    reference = geojson(tmp_path / "truth.geojson", houses if what != "nothing" else [])
    if what == "run":
        predicted = run_folder(tmp_path / "scene_1", houses, predicted, sure)
    else:
        predicted = geojson(tmp_path / "mine.geojson", predicted)
    evaluate_scene(predicted, reference, out=tmp_path / "out")
    validated(json.loads((tmp_path / "out" / "report.json").read_text()), "schema.json")


def test_failed_tiles_are_told_and_drawn(tmp_path: Path) -> None:
    from pipeline.evaluation.report import map_data

    houses = town()
    folder = run_folder(tmp_path / "scene_1", houses, *guessed(houses))
    mask = drawn(guessed(houses)[0])
    mask[128:256, 128:256] = 255
    raster(folder / "mask.tif", mask)
    manifest = json.loads((folder / "run.json").read_text())
    manifest["tiles_failed"] = [{"tile": 4, "reason": "it cannot be read"}]
    (folder / "run.json").write_text(json.dumps(manifest))
    reference = geojson(tmp_path / "truth.geojson", houses)
    found = evaluate_scene(folder, reference, options=QUICK)
    assert "1 tile could not be predicted" in found.report["notes"][0]
    assert found.counts.missing == 128 * 128
    assert found.counts.holes.sum() * found.counts.cell**2 == 128 * 128
    assert map_data(found, None)["holes"]["n"] == 1


def test_a_mask_without_nodata_tag_may_still_have_255_for_it(tmp_path: Path) -> None:
    houses = town()
    reference = geojson(tmp_path / "truth.geojson", houses)
    pixels = drawn(houses)
    pixels[:200] = 255
    mask = raster(tmp_path / "mask.tif", pixels, nodata=None)
    report = evaluate_scene(mask, reference, options=QUICK).report
    assert report["evaluated"]["missing_pixels"] == 200 * SIDE
    assert report["pixels"]["all"]["precision"] > 0.9
