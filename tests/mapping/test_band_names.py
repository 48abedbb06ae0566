"""Bands of common sensors are known by their names where these can mean one thing only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Task
from pipeline.errors import SceneError
from pipeline.mapping.planning.band_names import colour_word
from pipeline.mapping.planning.bands import BandChoice, band_warnings, choose_bands
from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.scenes.scene import Band, SceneInfo
from tests.mapping.scenery import classic, run

CASES = Path(__file__).resolve().parents[2].parent / "shared/data/cases"
S2 = "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12"


def card_of(*bands: str) -> ModelCard:
    """Return the card of a model that takes bands."""
    inputs = Inputs(bands=bands, mean=(0.5,) * len(bands), std=(0.2,) * len(bands))
    return ModelCard(
        name="m",
        network=Network(architecture="unet", stride=4, rf_radius=8),
        inputs=inputs,
        outputs=Outputs(classes=(Class(name="building", colour="#e6550d"),)),
        terms=Terms(license="Apache-2.0"),
    )


def info_of(names: str, *, source: str = "/scene.tif", colour: str = "undefined") -> SceneInfo:
    """Return what is known of a scene with bands of these names, separated by blanks."""
    bands = tuple(
        Band(index=place, name=name.lower().replace("~", " "), colour=colour)
        for place, name in enumerate(names.split(), start=1)
    )
    return SceneInfo(
        name="s",
        source=source,
        height=9,
        width=9,
        bands=bands,
        dtype="uint16",
        georef=None,
        fingerprint="",
    )


def chosen(
    names: str, *wanted: str, source: str = "/scene.tif", asked: tuple[str, ...] | None = None
) -> BandChoice:
    """Return the bands that are chosen, red, green, blue if nothing else is wanted."""
    task = Task(name="t", model="m", bands=asked)
    card = card_of(*(wanted or ("red", "green", "blue")))
    return choose_bands(info_of(names, source=source), card, task)


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        ("B02 B03 B04", (3, 2, 1)),
        ("b04 b03 b02 b08", (1, 2, 3)),
        (S2, (4, 3, 2)),
        ("B1 B2 B3 B4 B5 B6 B7 B8 B8A B9 B11 B12", (4, 3, 2)),
        ("B02_10m B03_10m B04_10m", (3, 2, 1)),
        ("T33UVP_20240517_B04 T33UVP_20240517_B03 T33UVP_20240517_B02", (1, 2, 3)),
        ("SR_B1 SR_B2 SR_B3 SR_B4 SR_B5 SR_B6 SR_B7 ST_QA", (4, 3, 2)),
        ("Red Green Blue NIR", (1, 2, 3)),
        ("blue green red nir", (3, 2, 1)),
        ("coastal_blue blue green_i green yellow red rededge nir", (6, 4, 2)),
        ("Band~1~(coastal_blue) Band~2~(blue) Band~3~(green) Band~4~(red)", (4, 3, 2)),
        ("B G R RE N", (3, 2, 1)),
    ],
)
def test_names_with_one_meaning_are_taken(names: str, bands: tuple[int, ...]) -> None:
    choice = chosen(names)
    assert choice.bands == bands
    assert choice.warnings == ()


@pytest.mark.parametrize(
    ("names", "wanted", "bands"),
    [
        (S2, ("nir", "red", "rededge"), (8, 4, 5)),
        ("B02 B03 B04 B05 B08", ("nir", "rededge"), (5, 4)),
        ("B02 B03 B04 B8A", ("nir", "red"), None),
        ("SR_B2 SR_B3 SR_B4 SR_B5 SR_B6", ("nir", "red"), (4, 3)),
        ("red~edge red NearInfrared SWIR shortwave~infrared", ("nir", "red_edge"), (3, 1)),
    ],
)
def test_near_infrared_and_red_edge_are_known(
    names: str, wanted: tuple[str, ...], bands: tuple[int, ...] | None
) -> None:
    if bands is not None:
        assert chosen(names, *wanted).bands == bands
        return
    with pytest.raises(SceneError, match="name the bands with --bands"):
        chosen(names, *wanted)


@pytest.mark.parametrize(
    ("names", "bands"), [("B2 B3 B4", (3, 2, 1)), ("Band~4 Band~3 Band~2", (1, 2, 3))]
)
def test_names_that_another_sensor_gives_otherwise_are_taken_with_a_warning(
    names: str, bands: tuple[int, ...]
) -> None:
    choice = chosen(names)
    assert choice.bands == bands
    (warning,) = choice.warnings
    assert "as Sentinel-2 and Landsat 8 and 9 number them; Landsat 4 to 7" in warning
    assert warning.endswith("choose them with --bands")


@pytest.mark.parametrize("names", ["SR_B2 SR_B3 SR_B4", "SR_B1 SR_B2 SR_B3"])
def test_surface_reflectance_of_three_bands_is_of_the_only_sensor_that_has_them(
    names: str,
) -> None:
    choice = chosen(names)
    assert choice.bands == (3, 2, 1)
    assert "otherwise" in choice.warnings[0]


@pytest.mark.parametrize("names", ["B1 B2 B3", "Band~1 Band~2 Band~3", "band_1 band_2 band_3"])
def test_numbers_that_only_count_are_not_guessed(names: str) -> None:
    choice = chosen(names)
    assert choice.bands == (1, 2, 3)
    (warning,) = choice.warnings
    assert "by their order alone" in warning


@pytest.mark.parametrize(
    ("names", "source", "bands"),
    [
        ("B1 B2 B3", "/LT05_L1TP_139041_20100101.tif", (3, 2, 1)),
        ("B1 B2 B3 B4", "/LC08_L1TP_139041_20200101.TIF", (4, 3, 2)),
        ("SR_B1 SR_B2 SR_B3 SR_B4", "/LE07_L2SP_139041_20020101.tif", (3, 2, 1)),
        ("B1 B2 B3 B4", "/S2A_MSIL2A_20240517.tif", (4, 3, 2)),
    ],
)
def test_a_file_name_says_whose_numbers_they_are(
    names: str, source: str, bands: tuple[int, ...]
) -> None:
    choice = chosen(names, source=source)
    assert choice.bands == bands
    assert choice.warnings == ()


@pytest.mark.parametrize(
    "names", ["SR_B1 SR_B2 SR_B3 SR_B4", "B1 B2 B3 B4", "B05 B06 B07", "B8A B11 B12", "B03 B04 B08"]
)
def test_what_stays_open_is_refused_with_the_option(names: str) -> None:
    with pytest.raises(SceneError, match="name the bands with --bands"):
        chosen(names)
    assert chosen(names, asked=("3", "2", "1")).bands == (3, 2, 1)


def test_bands_may_be_asked_for_by_what_their_names_mean() -> None:
    assert chosen("B02 B03 B04 B08", asked=("nir", "red", "b03")).bands == (4, 3, 2)


@pytest.mark.parametrize(("names", "warned"), [("B02 B03 B04", 1), ("B04 B03 B02", 0)])
def test_names_that_contradict_colours_are_warned_of(names: str, warned: int) -> None:
    bands = tuple(
        Band(index=place, name=name.lower(), colour=colour)
        for place, (name, colour) in enumerate(
            zip(names.split(), ("red", "green", "blue"), strict=True), start=1
        )
    )
    info, card = info_of(names), card_of("red", "green", "blue")
    info = SceneInfo(**{key: getattr(info, key) for key in info.__slots__} | {"bands": bands})
    task = Task(name="t", model="m")
    choice = choose_bands(info, card, task)
    assert choice.bands == (1, 2, 3)
    assert len(band_warnings(info, choice.bands, card, task)) == warned


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("Red", "red"),
        ("red edge 2", "rededge"),
        ("rededge", "rededge"),
        ("near_infrared", "nir"),
        ("narrow nir", ""),
        ("coastal blue", ""),
        ("thermal infrared", ""),
        ("bored", ""),
        ("red or blue", ""),
    ],
)
def test_a_word_tells_a_colour(name: str, colour: str) -> None:
    assert colour_word(name) == colour


@pytest.mark.data
@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/data/cases is not here")
def test_the_case_of_sentinel_names(tmp_path: Path) -> None:
    small = tmp_path / "small.safetensors"
    inputs = Inputs(
        bands=("red", "green", "blue"),
        gsd_range_m=(0.1, 0.6),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
    )
    classic(small, seed=3, inputs=inputs)
    scene = CASES / "07-band-names-b02/bgr_named.tif"
    named = run(scene, tmp_path / "a", task="buildings", model=str(small))["scenes"][0]
    asked = run(scene, tmp_path / "b", task="buildings", model=str(small), bands=("3", "2", "1"))
    assert named["warnings"] == []
    masks = [Path(row["folder"], "mask.tif").read_bytes() for row in (named, asked["scenes"][0])]
    assert masks[0] == masks[1]
    about = json.loads(Path(named["folder"], "run.json").read_text("utf-8"))
    assert about["warnings"] == []
    assert np.frombuffer(masks[0], np.uint8).any()
