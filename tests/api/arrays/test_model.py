"""Models on arrays: any size, any tile, the type that came in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import overtile
from pipeline.models.checkpoint import save_checkpoint
from pipeline.models.networks import build
from pipeline.models.registry import ModelRef, load_predictor
from tests.models.small import FULL, PADDED, TINY, card_for, noise, weights_for


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_checkpoint(path, weights_for(TINY), card_for(TINY))
    return path


def _whole(path: Path, pixels: np.ndarray, margin: int) -> np.ndarray:
    """Predict in one forward pass over the array with mirrored edges."""
    card = overtile.load_model(path).card
    predictor = load_predictor(ModelRef(name=str(path), sha256=card.sha256), device="cpu")
    height, width = pixels.shape[1:]
    after = [(margin, margin + -size % card.network.stride) for size in (height, width)]
    padded = np.pad(pixels, [(0, 0), *after], mode="symmetric")
    found = predictor.predict(padded, np.ones(padded.shape[1:], bool), FULL)
    return found[:, margin : margin + height, margin : margin + width]


@settings(max_examples=8, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), tile=st.integers(24, 60))
def test_tiles_equal_one_forward_pass(tiny: Path, height: int, width: int, tile: int) -> None:
    pixels = noise(height, width, seed=height)
    found = overtile.load_model(tiny, device="cpu").predict(pixels, tile=tile)
    assert found.dtype == np.float32
    assert found.shape == (1, height, width)
    np.testing.assert_allclose(found, _whole(tiny, pixels, 12), atol=1e-5)


def test_a_deep_network_of_several_classes(tmp_path: Path) -> None:
    network = PADDED.model_copy(
        update={
            "arguments": {**PADDED.arguments, "classes": 3, "depth": 2},
            "stride": 4,
            "rf_radius": 22,
        }
    )
    assert build(network.architecture, network.arguments) is not None
    save_checkpoint(
        tmp_path / "model.safetensors",
        weights_for(network),
        card_for(network, classes=2, activation="softmax"),
    )
    model = overtile.load_model(tmp_path)
    assert model.classes == ("c0", "c1")
    pixels = noise(131, 97)
    tiled, at_once = model.predict(pixels, tile=72), model.predict(pixels)
    np.testing.assert_allclose(tiled, at_once, atol=1e-5)
    np.testing.assert_allclose(tiled, _whole(tmp_path / "model.safetensors", pixels, 24), atol=1e-5)
    assert (tiled.sum(axis=0) <= 1 + 1e-6).all()


def test_networks_that_see_everything_are_blended(tmp_path: Path) -> None:
    network = TINY.model_copy(update={"rf_radius": None})
    save_checkpoint(tmp_path / "model.safetensors", weights_for(network), card_for(network))
    model = overtile.load_model(tmp_path)
    pixels = noise(300, 530)
    found = model.predict(pixels, tile=512 + 128)
    # This one sees 10 px only: what a tile's edge spoils has little weight.
    np.testing.assert_allclose(found, model.predict(pixels), atol=0.02)
    assert not np.array_equal(found, model.predict(pixels))


def test_arrays_with_coordinates_come_back_with_them() -> None:
    rioxarray = pytest.importorskip("rioxarray")
    xarray = pytest.importorskip("xarray")
    values = np.array([[[0, 51, 255], [0, 102, 7]]], "uint8")
    array = xarray.DataArray(
        values, dims=("band", "y", "x"), coords={"y": [5.0, 4.0], "x": [1.0, 2.0, 3.0]}
    ).rio.write_crs("EPSG:32633")
    assert rioxarray is not None
    model = overtile.load_model("threshold")
    found = model.predict(array.rio.write_nodata(7))
    assert found.dims == ("class", "y", "x")
    assert found["class"].values.tolist() == ["bright"]
    assert found.rio.crs == "EPSG:32633"
    assert found.x.equals(array.x)
    np.testing.assert_allclose(found.values, [[[0, 0.2, 1], [0, 0.4, np.nan]]], atol=1e-6)
    turned = model.predict(array.transpose("x", "y", "band"))
    np.testing.assert_allclose(turned.values[0, 0], [0, 0.2, 1], atol=1e-6)
    with pytest.raises(overtile.ConfigError, match=r"give \(band, y, x\)"):
        model.predict(array.expand_dims("time"))


def test_what_has_no_data_is_nan() -> None:
    model = overtile.load_model("threshold")
    values = np.array([[[np.nan, 10.0], [20.0, -9999.0]]])
    found = model.predict(values, nodata=-9999, values=(0, 40))
    np.testing.assert_allclose(found, [[[np.nan, 0.25], [0.5, np.nan]]])
    masked = np.ma.masked_equal(np.array([[3, 255]], "uint8"), 3)
    np.testing.assert_allclose(model.predict(masked), [[[np.nan, 1]]])
    assert np.isnan(model.predict(np.full((1, 3, 3), np.nan))).all()


def test_other_types_are_stretched_as_a_whole() -> None:
    ramp = np.linspace(100, 1100, 10_000).reshape(1, 100, 100)
    found = overtile.load_model("threshold").predict(ramp, tile=20)
    np.testing.assert_allclose(found, np.clip((ramp - 110) / 980, 0, 1), atol=1e-4)


def test_gray_pictures_have_one_band() -> None:
    model = overtile.load_model("salt", device="cpu")
    picture = np.random.default_rng(0).integers(0, 255, (101, 101)).astype("uint8")
    found = model.predict(picture)
    assert found.shape == (1, 101, 101)
    np.testing.assert_array_equal(found, model.predict(np.stack([picture] * 3)))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((3, 8, 8), "uint8"), r"has 3 bands; 'small' takes 2: red, green$"),
        (np.zeros((8, 8, 2), "uint8"), "bands come first"),
        (np.zeros((2, 8), "complex64"), r"give numbers as \(bands, rows, cols\)"),
        (np.zeros((2, 0, 8)), "give numbers"),
    ],
)
def test_what_does_not_suit_is_refused(tiny: Path, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(overtile.ConfigError, match=message):
        overtile.load_model(tiny).predict(pixels)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_pixels_of_another_size_are_warned_of() -> None:
    pytest.importorskip("rioxarray")
    xarray = pytest.importorskip("xarray")
    place = np.arange(64.0)
    array = xarray.DataArray(
        np.zeros((3, 64, 64), "uint8"),
        dims=("band", "y", "x"),
        coords={"y": 5_500_000 - 10 * place, "x": 500_000 + 10 * place},
    ).rio.write_crs("EPSG:32633")
    with pytest.warns(UserWarning, match=r"pixels are 10 m; 'buildings' is for 0\.1 to 0\.6 m"):
        found = overtile.load_model("buildings", device="cpu").predict(array)
    assert found.shape == (1, 64, 64)


def test_models_are_listed_and_refused(tmp_path: Path) -> None:
    table = overtile.models()
    assert {"buildings", "salt", "threshold"} <= set(table.index)
    assert overtile.load_model("threshold").card.name == "threshold"
    with pytest.raises(overtile.ConfigError, match="no model is called 'nothing'"):
        overtile.load_model("nothing")
    with pytest.raises(overtile.ConfigError, match="none of auto"):
        overtile.load_model("threshold", device="tpu")
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(overtile.ModelError, match=r"model\.safetensors"):
        overtile.load_model(tmp_path)
