"""The engine: tiles give what the whole picture gives, whatever is done to fit them in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import JsonValue
from torch import nn

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard, Network
from pipeline.models.engines.torch_predictor import TorchPredictor
from pipeline.models.networks import NETWORKS, build
from pipeline.models.networks.registry import Entry
from pipeline.models.predictor import Stretch
from tests.models.small import (
    FULL,
    MOBILE,
    PADDED,
    TINY,
    VALID,
    card_for,
    noise,
    weights_for,
)

Picture = np.ndarray[Any, np.dtype[Any]]

NETWORKS_TRIED = [
    pytest.param(PADDED, id="classic"),
    pytest.param(VALID, id="classic, valid"),
    pytest.param(MOBILE, id="mobilenet_v2"),
]


def _predictor(network: Network, **outputs: Any) -> TorchPredictor:
    return TorchPredictor(card_for(network, **outputs), weights_for(network))


def _all(pixels: Picture) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.ones(pixels.shape[1:], bool)


def _halo(network: Network) -> int:
    assert network.rf_radius is not None
    return -(-network.rf_radius // network.stride) * network.stride


@pytest.mark.parametrize("network", NETWORKS_TRIED)
def test_a_tile_with_its_halo_gives_what_the_whole_picture_gives(network: Network) -> None:
    halo = _halo(network)
    predictor = _predictor(network)
    pixels = noise(2 * halo + 96, 2 * halo + 64)
    whole = predictor.predict(pixels, _all(pixels), FULL)[0, halo:-halo, halo:-halo]
    assert whole.std() > 1e-3
    for row, col, height, width in [(0, 0, 48, 64), (48, 16, 16, 48), (32, 32, 64, 32)]:
        tile = pixels[:, row : row + height + 2 * halo, col : col + width + 2 * halo]
        core = predictor.predict(tile, _all(tile), FULL)[0, halo:-halo, halo:-halo]
        np.testing.assert_allclose(
            core, whole[row : row + height, col : col + width], rtol=0, atol=1e-5
        )


def test_valid_convolutions_answer_in_place() -> None:
    # The same filters with and without padding: far from the edge they are one network, once
    # their poolings fall on the same pixels. The valid one's start 6 = 4 + 2 pixels in.
    predictor = _predictor(VALID)
    network = build("unet", {"in_channels": 2, "width": 4, "padding": "valid"}).eval()
    network.load_state_dict(weights_for(VALID))
    pixels = noise(240, 256)
    values = (torch.from_numpy(pixels).float() / 255 - torch.tensor([0.4, 0.5])[:, None, None]) / (
        torch.tensor([0.2, 0.25])[:, None, None]
    )
    with torch.inference_mode():
        wanted = network(values[None, :, 4:, 4:])[0, 0].sigmoid().numpy()
    found = predictor.predict(pixels, _all(pixels), FULL)
    assert found.shape == (1, 240, 256)
    rows, cols = wanted.shape
    np.testing.assert_allclose(found[0, 96 : 96 + rows, 96 : 96 + cols], wanted, atol=1e-5)
    # All that a halo of 96 leaves is answered for.
    assert rows >= 240 - 2 * 96
    assert cols >= 256 - 2 * 96


def test_what_shifts_by_a_stride_shifts_the_answer_of_valid_convolutions() -> None:
    predictor = _predictor(VALID)
    pixels = noise(288, 288)
    first = predictor.predict(pixels[:, :-16], _all(pixels[:, :-16]), FULL)
    second = predictor.predict(pixels[:, 16:], _all(pixels[:, 16:]), FULL)
    np.testing.assert_allclose(
        first[:, 112 : 272 - 96, 96:-96], second[:, 96 : 256 - 96, 96:-96], rtol=0, atol=1e-5
    )


class Cramped(nn.Module):
    """A network on a device with memory for few pixels."""

    largest = 0
    forwards = 0

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.inside = build("unet", arguments)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits, or fail as CUDA does."""
        if pixels.shape[2] * pixels.shape[3] > Cramped.largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        Cramped.forwards += 1
        return self.inside(pixels)  # type: ignore[no-any-return]  # modules are callables of Any


@pytest.fixture
def cramped() -> Any:
    """Put a network on the shelf that runs out of memory."""
    NETWORKS["cramped"] = Entry(make=Cramped)
    Cramped.forwards = 0
    yield Cramped
    del NETWORKS["cramped"]


@pytest.mark.parametrize("padding", ["padded", "valid"])
def test_out_of_memory_is_answered_with_smaller_pieces_and_the_same_result(
    cramped: type[Cramped], padding: str
) -> None:
    arguments: dict[str, JsonValue] = {
        "in_channels": 2,
        "classes": 1,
        "width": 2,
        "depth": 4,
        "padding": padding,
    }
    network = Network(architecture="cramped", arguments=arguments, stride=16, rf_radius=94)
    predictor = _predictor(network)
    pixels = noise(480, 416)
    halo = 96
    cramped.largest = 480 * 416
    whole = predictor.predict(pixels, _all(pixels), FULL)[0, halo:-halo, halo:-halo]
    assert whole.std() > 1e-3
    for largest, pieces in ((340 * 416, 2), (340 * 310, 4)):
        cramped.largest, cramped.forwards = largest, 0
        found = predictor.predict(pixels, _all(pixels), FULL)
        assert cramped.forwards == pieces
        assert found.shape == (1, 480, 416)
        np.testing.assert_allclose(found[0, halo:-halo, halo:-halo], whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rf_radius", [94, None])
def test_a_tile_that_cannot_be_split_says_that_memory_is_out(
    cramped: type[Cramped], rf_radius: int | None
) -> None:
    cramped.largest = 100
    arguments: dict[str, JsonValue] = {"in_channels": 2, "classes": 1, "width": 2, "depth": 4}
    network = Network(architecture="cramped", arguments=arguments, stride=16, rf_radius=rf_radius)
    pixels = noise(256, 256)
    predictor = _predictor(network)
    with pytest.raises(torch.OutOfMemoryError):
        predictor.predict(pixels, _all(pixels), FULL)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("uint8", 1), ("uint16", 100), ("int16", 100), ("float32", 0.01), ("float64", 7)],
)
def test_values_that_stretch_to_the_same_give_the_same(dtype: str, scale: float) -> None:
    predictor = _predictor(TINY)
    pixels = noise(32, 48)
    wanted = predictor.predict(pixels, _all(pixels), FULL)
    scaled = (pixels.astype(float) * scale).astype(dtype)
    found = predictor.predict(scaled, _all(pixels), Stretch(low=0, high=255 * scale))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_values_past_the_stretch_count_as_its_ends() -> None:
    predictor = _predictor(TINY)
    pixels = noise(32, 32).astype(np.float32)
    stretch = Stretch(low=60, high=180)
    np.testing.assert_array_equal(
        predictor.predict(pixels, _all(pixels), stretch),
        predictor.predict(pixels.clip(60, 180), _all(pixels), stretch),
    )


def test_where_nothing_is_valid_the_network_sees_its_mean_colour() -> None:
    predictor = _predictor(TINY)
    pixels = noise(32, 32).astype(np.float32)
    valid = np.random.default_rng(1).random((32, 32)) > 0.4
    mean = pixels.copy()
    mean[:, ~valid] = np.array([[0.4], [0.5]]) * 255
    wanted = predictor.predict(mean, np.ones_like(valid), FULL)
    pixels[:, ~valid] = np.nan
    found = predictor.predict(pixels, valid, FULL)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def _logits(predictor_network: Network, pixels: Picture) -> torch.Tensor:
    network = build(predictor_network.architecture, predictor_network.arguments).eval()
    network.load_state_dict(weights_for(predictor_network))
    mean, std = torch.tensor([0.4, 0.5]), torch.tensor([0.2, 0.25])
    values = (torch.from_numpy(pixels).float() / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.inference_mode():
        return network(values[None])[0]  # type: ignore[no-any-return]  # modules are callables of Any


def _softmax(logits: torch.Tensor) -> torch.Tensor:
    return torch.cat([logits[:3].softmax(0)[1:], logits[3:].sigmoid()])


@pytest.mark.parametrize(
    ("activation", "separating", "expected"),
    [
        ("sigmoid", (), torch.sigmoid),
        ("sigmoid", ("interior",), torch.sigmoid),
        ("softmax", (), lambda logits: logits.softmax(0)[1:]),
        ("softmax", ("interior", "boundary"), _softmax),
        ("none", (), lambda logits: logits.clamp(0, 1)),
    ],
)
def test_channels_become_probabilities_as_the_card_says(
    activation: Literal["sigmoid", "softmax", "none"],
    separating: tuple[Literal["interior", "boundary"], ...],
    expected: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    channels = 2 + (activation == "softmax") + len(separating)
    network = TINY.model_copy(update={"arguments": {**TINY.arguments, "classes": channels}})
    pixels = noise(16, 16)
    predictor = _predictor(network, classes=2, activation=activation, separating=separating)
    found = predictor.predict(pixels, _all(pixels), FULL)
    assert len(found) == 2 + len(separating)
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found, expected(_logits(network, pixels)).numpy(), atol=1e-5)


def test_answers_that_are_not_finite_stop_the_run() -> None:
    weights = weights_for(TINY)
    weights["decoder.heads.fine.bias"] = torch.full_like(
        weights["decoder.heads.fine.bias"], float("nan")
    )
    predictor = TorchPredictor(card_for(TINY), weights)
    pixels = noise(16, 16)
    with pytest.raises(ModelError, match="'small' gives values that are not finite"):
        predictor.predict(pixels, _all(pixels), FULL)


def test_more_channels_than_the_card_promises_stop_the_run() -> None:
    predictor = _predictor(TINY, classes=3)
    pixels = noise(16, 16)
    with pytest.raises(ModelError, match="gives 1 channels, its card states 3"):
        predictor.predict(pixels, _all(pixels), FULL)


def _missing(weights: dict[str, torch.Tensor]) -> None:
    del weights["decoder.heads.fine.bias"]


def _extra(weights: dict[str, torch.Tensor]) -> None:
    weights["decoder.heads.fine.more"] = torch.zeros(1)


def _misshapen(weights: dict[str, torch.Tensor]) -> None:
    weights["decoder.heads.fine.bias"] = torch.zeros(7)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_missing, "decoder.heads.fine.bias"),
        (_extra, "decoder.heads.fine.more"),
        (_misshapen, "decoder.heads.fine.bias"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_line_that_names_them(
    spoil: Callable[[dict[str, torch.Tensor]], None], named: str
) -> None:
    weights = weights_for(TINY)
    spoil(weights)
    with pytest.raises(ModelError, match="weights of 'small' do not fit its network") as caught:
        TorchPredictor(card_for(TINY), weights)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("transformer", {}, "no network is called 'transformer'; there are .*smp_unet, .*unet"),
        ("unet", {"widht": 4}, "cannot be built with"),
        ("smp_unet", {"encoder_name": "nonesuch"}, "cannot be built with"),
    ],
)
def test_networks_that_are_none_are_refused(
    architecture: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        build(architecture, arguments)


def test_half_precision_weights_are_used_in_float32() -> None:
    weights = {name: value.half() for name, value in weights_for(TINY).items()}
    pixels = noise(16, 16)
    found = TorchPredictor(card_for(TINY), weights).predict(pixels, _all(pixels), FULL)
    np.testing.assert_allclose(
        found, _predictor(TINY).predict(pixels, _all(pixels), FULL), rtol=0, atol=0.01
    )


def test_the_engine_says_what_the_last_bits_depend_on() -> None:
    told = _predictor(TINY).engine
    for part in (torch.__version__, "cpu", "float32", f"threads {torch.get_num_threads()}"):
        assert part in told


def test_the_card_is_the_one_that_was_given() -> None:
    card: ModelCard = card_for(TINY)
    assert TorchPredictor(card, weights_for(TINY)).card is card


@pytest.mark.parametrize(
    ("network", "changes", "shape"),
    [
        (
            PADDED,
            {"inputs": {"bands": ["red"] * 7, "mean": [0.5] * 7, "std": [0.2] * 7}},
            (7, 32, 32),
        ),
        (MOBILE, {"network": {**MOBILE.model_dump(), "stride": 3}}, (2, 36, 36)),
    ],
)
def test_a_card_that_says_other_inputs_than_its_network_takes_is_blamed(
    network: Network, changes: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    card = ModelCard.model_validate(card_for(network).model_dump() | changes)
    predictor = TorchPredictor(card, weights_for(network))
    pixels = np.zeros(shape, np.uint8)
    with pytest.raises(ModelError, match=rf"model 'small' cannot predict {shape[0]} bands of "):
        predictor.predict(pixels, np.ones(shape[1:], bool), FULL)
