"""How a scene is shown to a model: bands, values and pixel size, and every refusal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import segyio
from affine import Affine
from pyproj import CRS

from pipeline.config import Task
from pipeline.core.georef import Georef
from pipeline.errors import SceneError
from pipeline.mapping.planning.preflight import Preflight, check_compatibility
from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.models.predictor import Stretch
from pipeline.scenes.memory import MemoryScene
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from pipeline.scenes.seismic.segy import slices
from tests.mapping.scenery import band, blobs, classic, run, write_scene

CARD = ModelCard(
    name="colours",
    network=Network(architecture="unet", stride=4, rf_radius=8),
    inputs=Inputs(
        bands=("red", "green", "blue"),
        gsd_range_m=(0.1, 0.6),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
    ),
    outputs=Outputs(classes=(Class(name="building", colour="#e6550d"),)),
    terms=Terms(license="Apache-2.0"),
)
GRAY = ModelCard(
    name="gray",
    network=Network(architecture="unet", stride=4, rf_radius=8),
    inputs=Inputs(bands=("gray",), mean=(0.5,), std=(0.2,)),
    outputs=Outputs(classes=(Class(name="salt", colour="#3182bd"),)),
    terms=Terms(license="Apache-2.0"),
)
TASK = Task(name="t", model="m")


def georef(size: float = 0.3, *, crs: str = "EPSG:32645", down: float | None = None) -> Georef:
    transform = (size, 0.0, 354_000.0, 0.0, -(down or size), 3_057_500.0)
    return Georef(crs_wkt=CRS(crs).to_wkt(), transform=transform)


def of(
    dtype: str = "uint8",
    *,
    bands: tuple[str, ...] = ("red", "green", "blue"),
    place: Georef | None = None,
    task: Task = TASK,
    card: ModelCard = CARD,
) -> Preflight:
    pixels = np.zeros((len(bands), 60, 80), dtype)
    return check_compatibility(
        MemoryScene(pixels, bands=bands, georef=place or georef()), card, task
    )


@pytest.mark.parametrize(
    ("bands", "taken"),
    [
        (("red", "green", "blue"), (1, 2, 3)),
        (("blue", "green", "red"), (3, 2, 1)),
        (("nir", "red", "green", "blue"), (2, 3, 4)),
        (("undefined", "undefined", "undefined"), (1, 2, 3)),
    ],
)
def test_bands_are_found_by_colour(bands: tuple[str, ...], taken: tuple[int, ...]) -> None:
    contract = of(bands=bands)
    assert contract.bands == taken
    assert any("order alone" in text for text in contract.warnings) == ("undefined" in bands)
    assert len(contract.warnings) == ("undefined" in bands)


@pytest.mark.parametrize("named", [(3, 2, 1), ("3", "2", "1"), ("Blue", "green", "RED")])
def test_bands_are_named_by_number_name_or_colour(named: tuple[str | int, ...]) -> None:
    assert of(task=Task(name="t", model="m", bands=named)).bands == (3, 2, 1)


def test_bands_are_found_by_description(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", np.zeros((4, 30, 30), np.uint8))
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("Blue", "Green", "Red", "NIR")
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    assert check_compatibility(scene, CARD, TASK).bands == (3, 2, 1)
    scene.close()


def described(path: Path, *names: str, **profile: str) -> Preflight:
    """Return how a scene is shown whose bands are described so."""
    write_scene(path, np.full((len(names), 30, 30), 90, np.uint8), **profile)
    with rasterio.open(path, "r+") as file:
        file.descriptions = names
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    try:
        return check_compatibility(scene, CARD, TASK)
    finally:
        scene.close()


@pytest.mark.parametrize(
    "names", [("B", "G", "R"), ("B02 (Blue)", "B03 - green", "B04_Red"), ("blue", "g", "Red band")]
)
def test_bands_are_found_by_a_word_of_their_description(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    contract = described(tmp_path / "s.tif", *names, photometric="MINISBLACK")
    assert contract.bands == (3, 2, 1)


@pytest.mark.parametrize("names", [("NIR", "Red", "Green"), ("red edge 1", "Red", "Blue")])
def test_bands_that_are_described_as_others_are_not_taken_by_their_order(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with pytest.raises(SceneError, match=r"3 bands \(.*; name the bands with --bands"):
        described(tmp_path / "s.tif", *names, photometric="MINISBLACK")


def test_descriptions_that_say_nothing_leave_the_order(tmp_path: Path) -> None:
    contract = described(tmp_path / "s.tif", "Band 1", "layer_2", "", photometric="MINISBLACK")
    assert contract.bands == (1, 2, 3)
    (warning,) = contract.warnings
    assert "taken as red, green, blue by their order alone" in warning
    assert warning.endswith("choose them with --bands")


def test_colours_that_contradict_descriptions_are_taken_with_a_warning(tmp_path: Path) -> None:
    contract = described(tmp_path / "s.tif", "blue", "green", "red", photometric="RGB")
    assert contract.bands == (1, 2, 3)
    (doubt,) = contract.warnings
    assert doubt.endswith("other names (1 'blue', 3 'red'); choose them with --bands")
    assert described(tmp_path / "t.tif", "R", "Green", "b", photometric="RGB").warnings == ()


@pytest.mark.parametrize(
    ("scales", "told"), [((1e-4,) * 3, 0), ((1e-4, 2e-4, 1e-4), 1), ((-1.0,) * 3, 1)]
)
def test_scales_that_change_the_picture_are_told(
    tmp_path: Path, scales: tuple[float, ...], told: int
) -> None:
    path = write_scene(tmp_path / "s.tif", np.full((3, 30, 30), 90, np.uint8))
    with rasterio.open(path, "r+") as file:
        file.scales = scales
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    warnings = check_compatibility(scene, CARD, TASK).warnings
    assert sum("which is not applied" in warning for warning in warnings) == told == len(warnings)
    scene.close()


def test_places_in_a_colour_table_are_no_brightness_unless_asked_for() -> None:
    anything = CARD.model_copy(update={"inputs": Inputs(bands=("any",), mean=(0.0,), std=(1.0,))})
    with pytest.raises(SceneError, match=r"places in a colour table.*--bands 1"):
        of(bands=("palette",), card=anything)
    asked = Task(name="t", model="m", bands=(1,))
    assert of(bands=("palette",), card=anything, task=asked).bands == (1,)


def test_alpha_is_no_band(tmp_path: Path) -> None:
    path = write_scene(
        tmp_path / "s.tif", np.full((4, 30, 30), 200, np.uint8), photometric="RGB", alpha="YES"
    )
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    assert "alpha" not in {known.colour for known in scene.info.bands}
    assert check_compatibility(scene, CARD, TASK).bands == (1, 2, 3)
    scene.close()


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (lambda: of(bands=("gray",)), "it has 1 band .*give imagery with these bands"),
        (lambda: of(bands=("red", "green", "nir", "band_4")), "4 bands .*--bands 3,2,1"),
        (lambda: of(bands=("palette", "a", "b")), "palette; .*convert it to RGB"),
        (lambda: of(task=Task(name="t", model="m", bands=(1, 2))), "names 2 bands.*takes 3"),
        (lambda: of(task=Task(name="t", model="m", bands=(1, 2, 9))), "no band 9; choose among 1"),
        (lambda: of("int64"), "int64, which no model takes; convert it"),
        (lambda: of(place=georef(5.0)), "ground pixel is 5 m.*0.1-0.6 m.*0.033-1.8 m"),
        (lambda: of(place=georef(0.01)), "ground pixel is 0.01 m"),
        (
            lambda: check_compatibility(MemoryScene(np.zeros((3, 9, 9), np.uint8)), CARD, TASK),
            "not georeferenced.*--crs",
        ),
    ],
)
def test_what_does_not_suit_is_refused_with_file_reason_and_way_out(
    refused: Callable[[], Preflight], told: str
) -> None:
    with pytest.raises(SceneError, match=f"^memory:memory: .*{told}"):
        refused()


def test_pixels_within_the_range_are_not_resampled() -> None:
    for size in (0.1, 0.3, 0.6):
        assert of(place=georef(size * 1.0005)).sampling.identity or size == 0.6


@pytest.mark.parametrize(("size", "factor"), [(1.2, 2.0), (0.05, 0.5)])
def test_pixels_outside_the_range_are_resampled_to_its_end(size: float, factor: float) -> None:
    contract = of(place=georef(size))
    sampling = contract.sampling
    assert (sampling.height, sampling.width) == (60, 80)
    assert sampling.net_height / 60 == pytest.approx(factor, abs=0.02)
    assert sampling.net_width / 80 == pytest.approx(factor, abs=0.02)
    assert any("resampled" in told for told in contract.notes + contract.warnings)


def test_distances_are_measured_on_the_ground() -> None:
    # A Web Mercator unit at 60 degrees north is half a metre.
    place = Georef(
        crs_wkt=CRS("EPSG:3857").to_wkt(), transform=(1.0, 0.0, 0.0, 0.0, -1.0, 8_399_738.0)
    )
    assert of(place=place).sampling.identity


def test_oblong_pixels_become_square() -> None:
    sampling = of(place=georef(0.2, down=0.4)).sampling
    ratio = (sampling.net_height / sampling.height) / (sampling.net_width / sampling.width)
    assert ratio == pytest.approx(2, rel=0.05)


def test_eight_bits_are_taken_as_the_card_says_and_others_stretched() -> None:
    assert (of().stretch.low, of().stretch.high) == (0, 255)
    chosen = Task.model_validate({"name": "t", "model": "m", "values": {"range": (10.0, 90.0)}})
    assert (of(task=chosen).stretch.low, of(task=chosen).stretch.high) == (10, 90)


@pytest.mark.parametrize(
    ("dtype", "high", "doubted"),
    [
        ("uint8", 255, False),
        ("uint8", 3000, True),
        ("uint16", 3000, False),
        ("float32", 1e9, False),
    ],
)
def test_a_white_that_no_value_reaches_is_warned_of(dtype: str, high: float, doubted: bool) -> None:
    chosen = Task.model_validate({"name": "t", "model": "m", "values": {"range": (0.0, high)}})
    warnings = of(dtype, task=chosen).warnings
    assert any("shown darker" in warning for warning in warnings) == doubted


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_fewer_bits_than_eight_reach_white_all_the_same(tmp_path: Path, bits: int) -> None:
    pixels = np.full((3, 30, 30), 2**bits - 1, np.uint8)
    path = write_scene(tmp_path / "s.tif", pixels, nbits=bits, photometric="RGB")
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    assert check_compatibility(scene, CARD, TASK).stretch == Stretch(low=0.0, high=2.0**bits - 1)
    scene.close()


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("float32", -9999),
        ("float32", -3.4e38),
        ("float64", 1e20),
        ("int16", -32768),
        ("int32", 2**31 - 1),
        ("uint16", 0),
    ],
)
def test_a_fill_that_no_nodata_names_is_told(dtype: str, fill: float) -> None:
    pixels = np.random.default_rng(0).integers(900, 1500, (3, 60, 80)).astype(dtype)
    seen = check_compatibility(
        MemoryScene(pixels, bands=CARD.inputs.bands, georef=georef()), CARD, TASK
    )
    assert seen.warnings == ()
    pixels[:, :, :8] = fill
    seen = check_compatibility(
        MemoryScene(pixels, bands=CARD.inputs.bands, georef=georef()), CARD, TASK
    )
    (doubt,) = [doubt for doubt in seen.warnings if "far from all others" in doubt]
    assert doubt.startswith("10% of its values are ")
    assert "(900 to 1499), and nodata does not mark it" in doubt
    found = re.search(r"--nodata (\S+), or mark it \(gdal_edit.py -a_nodata (\S+)\)$", doubt)
    assert found is not None
    assert [float(text) for text in found.groups()] == [pixels[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("dtype", "fill", "share", "warned"),
    [
        ("uint16", 0, 0.2, True),
        ("uint16", 65535, 0.2, True),
        ("int16", 32767, 0.2, True),
        ("int32", 0, 0.2, True),
        ("uint16", 0, 0.02, False),
        ("uint16", 300, 0.2, False),
    ],
)
def test_a_fill_near_other_values_is_told_where_it_is_large(
    dtype: str, fill: float, share: float, warned: bool
) -> None:
    top = 65_535 if fill > 40_000 else 32_700
    pixels = np.random.default_rng(0).integers(20, top, (3, 100, 100)).astype(dtype)
    pixels[:, :, : int(100 * share)] = fill
    # Zero or white in one band is no sign of missing pixels.
    pixels[1, :, 50:] = fill
    seen = check_compatibility(
        MemoryScene(pixels, bands=CARD.inputs.bands, georef=georef()), CARD, TASK
    )
    assert [text for text in seen.warnings if f"with --nodata {fill}," in text] == [
        f"{share:.0%} of its pixels are {fill} in all bands that are mapped, and nodata does "
        f"not mark it: if nothing is there, map with --nodata {fill}, or mark it "
        f"(gdal_edit.py -a_nodata {fill})"
    ] * warned


@pytest.mark.parametrize(
    ("dtype", "values", "given", "warning"),
    [
        ("uint16", (200, 3000), (0, 0.3), "at or above the range --values 0,0.3 and become plain"),
        ("uint16", (200, 3000), (5000, 9000), "at or below the range --values 5000,9000"),
        ("uint8", (20, 250), (0, 0.3), "become plain white"),
        ("int16", (100, 400), (0, 30000), "less than 2% of the range --values 0,30000"),
        ("uint16", (200, 3000), (0, 3000), ""),
        ("uint16", (200, 3000), (500, 2500), ""),
        ("float32", (0, 1), (0, 1), ""),
    ],
)
def test_a_given_range_that_misses_the_values_is_warned_of(
    dtype: str, values: tuple[int, int], given: tuple[float, float], warning: str
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(*values, (3, 64, 64)).astype(dtype)
    chosen = Task.model_validate({"name": "t", "model": "m", "values": {"range": given}})
    scene = MemoryScene(pixels, bands=CARD.inputs.bands, georef=georef())
    seen = check_compatibility(scene, CARD, chosen).warnings
    assert len(seen) == bool(warning)
    assert warning in "".join(seen)


def test_the_range_meant_by_a_scale_tag_is_named(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1200, 4000, (3, 64, 64)).astype(np.uint16)
    path = write_scene(tmp_path / "s.tif", pixels)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4,) * 3, (-0.1,) * 3
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    values = {"range": (0.0, 0.3)}
    chosen = {"name": "t", "model": "m", "bands": (1, 2, 3), "values": values}
    (warning,) = check_compatibility(scene, CARD, Task.model_validate(chosen)).warnings
    assert warning.endswith("in the numbers of the file that range is --values 1000,4000")
    scene.close()


def test_percentiles_are_taken_over_the_whole_scene_once() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.gamma(2, 800, (3, 700, 900)).astype(np.uint16)
    valid = np.ones((700, 900), bool)
    valid[:200] = False
    pixels[:, :200] = 65535
    stretches = {
        check_compatibility(MemoryScene(pixels, valid=valid, georef=georef()), CARD, TASK).stretch
        for _ in range(3)
    }
    (stretch,) = stretches
    low, high = np.percentile(pixels[:, 200:], [1, 99])
    assert stretch.low == pytest.approx(low, rel=0.02)
    assert stretch.high == pytest.approx(high, rel=0.02)


def test_a_scene_of_one_value_or_none_is_no_division_by_zero() -> None:
    pixels = np.full((3, 40, 40), 7, np.uint16)
    one = check_compatibility(MemoryScene(pixels, georef=georef()), CARD, TASK).stretch
    assert one.high > one.low
    empty = check_compatibility(
        MemoryScene(pixels, valid=np.zeros((40, 40), bool), georef=georef()), CARD, TASK
    )
    assert empty.stretch.high > empty.stretch.low
    assert any("no data" in told for told in empty.notes + empty.warnings)


@pytest.mark.parametrize(
    "settings",
    [{}, {"bands": ("2",)}, {"values": (500.0, 4000.0)}],
    ids=["percentiles", "band", "range"],
)
def test_sixteen_bits_are_stretched_alike_in_every_tile(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    ramp = np.linspace(0, 1, 300)[None, :] * np.ones((260, 1))
    pixels = np.stack([ramp * 6000, 5000 - ramp * 3000]).astype(np.uint16)
    scene = write_scene(tmp_path / "s.tif", pixels)
    found = []
    for tile in (48, 300):
        run(scene, tmp_path / str(tile), tile=tile, **settings)
        found.append(band(tmp_path / str(tile) / "s" / "probability.tif"))
    np.testing.assert_array_equal(found[0], found[1])
    # One stretch for all: what is brighter is more probable, across every seam.
    steps = np.diff(found[0][0].astype(int))
    assert (steps <= 0).all() if "bands" in settings else (steps >= 0).all()


def resampling(tmp_path: Path) -> Path:
    classic(
        tmp_path / "model",
        inputs=Inputs(
            bands=("red", "green", "blue"),
            gsd_range_m=(0.1, 0.6),
            mean=(0.5, 0.4, 0.6),
            std=(0.25, 0.3, 0.2),
        ),
    )
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0.05, 0.15), (0.12, 0.15), (0.13, 0.13), (0.2, 0.2), (0.46, 0.46), (0.5, 0.4), (1.5, 0.5)],
)
def test_a_model_sees_the_pixel_sizes_at_which_it_does_best(size: float, shown: float) -> None:
    inputs = CARD.inputs.model_copy(update={"preferred_gsd_m": (0.15, 0.4)})
    card = CARD.model_copy(update={"inputs": inputs})
    found = of(place=georef(size), card=card).sampling
    # As near as whole network pixels come to it.
    assert size * found.height / found.net_height == pytest.approx(shown, rel=0.05)
    assert size * found.width / found.net_width == pytest.approx(shown, rel=0.05)


@pytest.mark.parametrize("shown", [(0.05, 0.3), (0.2, 0.7), (0.4, 0.2)])
def test_what_a_model_is_shown_lies_within_what_it_takes(shown: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="preferred_gsd_m must rise and lie within gsd_range_m"):
        Inputs(bands=("red",), gsd_range_m=(0.1, 0.6), preferred_gsd_m=shown, mean=(0,), std=(1,))


@pytest.mark.parametrize("size", [1.2, 0.05, 0.77])
def test_resampled_scenes_keep_their_own_grid_whatever_the_tile(
    tmp_path: Path, size: float
) -> None:
    pixels = np.stack([blobs(seed, height=141, width=173) for seed in range(3)])
    away = Affine(size, 0, 354_000, 0, -size, 3_057_500)
    scene = write_scene(tmp_path / "s.tif", pixels, transform=away)
    model = str(resampling(tmp_path))
    found = []
    for tile in (80, 128, None):
        out = tmp_path / str(tile)
        run(scene, out, tile=tile, model=model, threshold=0.5)
        with rasterio.open(out / "s" / "probability.tif") as file:
            assert (file.height, file.width) == (141, 173)
            assert file.transform == away
        found.append(band(out / "s" / "probability.tif").astype(int))
    for other in found[1:]:
        assert np.abs(found[0] - other).max() <= 1
    assert np.ptp(found[0]) > 5


def test_slices_of_a_volume_are_shown_alike_and_of_another_content_anew(tmp_path: Path) -> None:
    cube = np.random.default_rng(3).normal(size=(3, 8, 9)).astype(np.float32)
    cube[0] *= 100
    path = str(tmp_path / "v.sgy")
    segyio.tools.from_array3D(path, cube)
    for factor in (1, 2):
        with segyio.open(path, "r+") as file:
            file.trace = (factor * cube).reshape(-1, 9)
        made = [check_compatibility(open_scene(ref), GRAY, TASK).stretch for ref in slices(path)]
        wanted = np.percentile(factor * cube.astype(np.float64), TASK.values.percentiles)
        assert len(set(made)) == 1
        # Amplitudes are stored as IBM's floats, of six digits.
        assert (made[0].low, made[0].high) == pytest.approx(tuple(wanted), rel=1e-5)


def test_traces_that_fill_no_volume_are_shown_by_their_own_amplitudes(tmp_path: Path) -> None:
    path = str(tmp_path / "line.sgy")
    segyio.tools.from_array2D(path, np.arange(70, dtype=np.float32).reshape(7, 10))
    (ref,) = slices(path, "section")
    stretch = check_compatibility(open_scene(ref), GRAY, TASK).stretch
    assert (stretch.low, stretch.high) == pytest.approx(
        np.percentile(np.arange(70), TASK.values.percentiles)
    )
