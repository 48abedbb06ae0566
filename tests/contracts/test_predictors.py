"""Every predictor keeps the promises of `Predictor`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.predictor import Predictor, Stretch
from pipeline.models.registry import ModelRef, card_of, load_predictor, shipped
from tests.models.small import MOBILE, PADDED, TINY, VALID, card_for, weights_for


def _small(network: str) -> Predictor:
    found = {"padded": PADDED, "valid": VALID, "mobile": MOBILE, "tiny": TINY}[network]
    return TorchPredictor(card_for(found), weights_for(found))


def _shipped(name: str) -> Predictor:
    return load_predictor(ModelRef(name=name, sha256=card_of(name).sha256), device="cpu")


def _onnx(name: str) -> Predictor:
    model, engine = name.split()
    return load_predictor(ModelRef(name=model, sha256=card_of(model).sha256), device=engine)


KINDS: list[tuple[Callable[[str], Predictor], str]] = [
    *[
        (_onnx, f"{name} {engine}")
        for name in ("buildings", "salt")
        for engine in ("openvino", "onnxruntime")
    ],
    *[(_shipped, name) for name in shipped()],
    *[(_small, name) for name in ("padded", "valid", "mobile", "tiny")],
]


@pytest.fixture(scope="module", params=KINDS, ids=[name for _, name in KINDS])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    """Return each predictor there is."""
    make, name = request.param
    made: Predictor = make(name)
    return made


def _pixels(predictor: Predictor, dtype: str = "uint8") -> np.ndarray:
    card = predictor.card
    stride = card.network.stride
    side = -(-(200 if card.network.arguments.get("padding") == "valid" else 32) // stride) * stride
    shape = (len(card.inputs.bands), side + stride, side)
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def test_it_is_a_predictor_with_a_card_and_an_engine(predictor: Predictor) -> None:
    assert isinstance(predictor, Predictor)
    assert predictor.engine
    assert len(predictor.card.inputs.bands) >= 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_it_answers_with_probabilities_for_every_pixel(predictor: Predictor, dtype: str) -> None:
    pixels = _pixels(predictor, dtype)
    before = pixels.copy()
    valid = np.ones(pixels.shape[1:], bool)
    found = predictor.predict(pixels, valid, Stretch(low=0, high=255))
    outputs = predictor.card.outputs
    channels = len(outputs.classes) + len(outputs.separating)
    assert found.dtype == np.float32
    assert found.shape == (channels, *pixels.shape[1:])
    assert found.flags.c_contiguous
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(pixels, before)


def test_it_answers_the_same_twice(predictor: Predictor) -> None:
    pixels = _pixels(predictor)
    valid = np.ones(pixels.shape[1:], bool)
    first = predictor.predict(pixels, valid, Stretch(low=0, high=255))
    second = predictor.predict(pixels, valid, Stretch(low=0, high=255))
    assert first.tobytes() == second.tobytes()


def test_what_stands_where_nothing_is_valid_does_not_matter(predictor: Predictor) -> None:
    pixels = _pixels(predictor)
    valid = np.ones(pixels.shape[1:], bool)
    valid[::3, 1::2] = False
    other = pixels.copy()
    other[:, ~valid] = 255 - other[:, ~valid]
    stretch = Stretch(low=0, high=255)
    first, second = (predictor.predict(some, valid, stretch) for some in (pixels, other))
    np.testing.assert_array_equal(first, second)


def test_only_the_share_of_the_stretch_matters(predictor: Predictor) -> None:
    pixels = _pixels(predictor, "float32")
    valid = np.ones(pixels.shape[1:], bool)
    first = predictor.predict(pixels, valid, Stretch(low=0, high=255))
    second = predictor.predict(pixels * 4 + 100, valid, Stretch(low=100, high=1120))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)
