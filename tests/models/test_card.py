"""The model card refuses what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.models.card import ModelCard
from tests.models.small import PADDED, card_for
from tests.unbounded import unbounded


def _changed(**changes: Any) -> dict[str, Any]:
    """A card's fields, some changed: ``inputs__mean=...`` is the field in the section."""
    card = card_for(PADDED).model_dump(mode="json")
    for name, value in changes.items():
        section, _, field = name.partition("__")
        if field:
            card[section][field] = value
        else:
            card[section] = value
    return card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network__rf_radius": None}, "use context: blend"),
        ({"context": "pad"}, "pad_to goes with context 'pad'"),
        ({"pad_to": 128}, "pad_to goes with context 'pad'"),
        ({"context": "pad", "pad_to": 100}, "multiple of the stride"),
        ({"context": "whole"}, "context"),
        ({"inputs__mean": [0.5]}, "same length"),
        ({"inputs__std": [0.2, 0.0]}, "std must be positive"),
        ({"inputs__low": 255.0}, "high above low"),
        ({"inputs__mean": [0.5, float("nan")]}, "finite"),
        ({"inputs__bands": []}, "bands"),
        ({"network__stride": 0}, "stride"),
        ({"network__rf_radius": -1}, "rf_radius"),
        ({"outputs__classes": []}, "classes"),
        ({"outputs__threshold": 0.0}, "threshold"),
        ({"outputs__threshold": 1.1}, "threshold"),
        ({"outputs__activation": "relu"}, "activation"),
        ({"outputs__classes": [{"name": "A b", "colour": "#112233"}]}, "name"),
        ({"outputs__classes": [{"name": "a", "colour": "red"}]}, "colour"),
        ({"name": "../up"}, "name"),
        ({"bytes_per_pixel": 0}, "bytes_per_pixel"),
        ({"treshold": 0.5}, "treshold"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelCard.model_validate(_changed(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network__rf_radius": None, "context": "blend"},
        {"context": "pad", "pad_to": 128},
    ],
)
def test_a_card_comes_back_from_json_as_it_was(changes: dict[str, Any]) -> None:
    card = ModelCard.model_validate(_changed(**changes))
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_softmax_has_the_background_as_a_channel_of_its_own() -> None:
    assert card_for(PADDED, classes=2).outputs.channels == 2
    assert card_for(PADDED, classes=2, activation="softmax").outputs.channels == 3
    outputs = card_for(PADDED, activation="softmax", separating=("interior", "boundary")).outputs
    assert outputs.channels == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network__stride": 10**9}, "stride"),
        ({"network__size": 10**9}, "size"),
        ({"network__size": -64}, "size"),
        ({"network__rf_radius": 10**6}, "rf_radius"),
        ({"network__dims": 4}, "dims"),
        ({"network__architecture": "u" * 1000}, "architecture"),
        ({"context": "pad", "pad_to": 10**9}, "pad_to"),
        ({"context": "pad", "pad_to": -16}, "pad_to"),
        ({"pad_to": 16.5}, "pad_to"),
        ({"inputs__bands": ["red"] * 1000}, "bands"),
        ({"inputs__bands": ["red", "g" * 101]}, "bands"),
        ({"inputs__bands": ["red", "a\x1b[2J"]}, "bands"),
        ({"inputs__bands": ["red", "a\u202eb"]}, "bands"),
        ({"inputs__std": [0.2, 1e-300]}, "std must be positive"),
        ({"inputs__mean": [0.5, 1e300]}, "mean"),
        ({"inputs__low": -1e300}, "low"),
        ({"inputs__gsd_range_m": [0.0, 1.0]}, "gsd_range_m"),
        ({"inputs__gsd_range_m": [2.0, 1.0]}, "gsd_range_m must rise"),
        ({"outputs__classes": [{"name": "a" * 101, "colour": "#112233"}]}, "name"),
        ({"outputs__classes": [{"name": "a", "colour": "#112233"}] * 251}, "classes"),
        ({"outputs__separating": ["interior"] * 4}, "separating"),
        ({"outputs__separation": {"growth": 10**9}}, "growth"),
        ({"outputs__separation": {"doubling_probability": 1e-300}}, "doubling_probability"),
        ({"bytes_per_pixel": 1e-9}, "bytes_per_pixel"),
        ({"bytes_per_pixel": 1e300}, "bytes_per_pixel"),
        ({"pixels_per_s": 1e-300}, "pixels_per_s"),
        ({"terms": {"license": "x" * 10_001}}, "license"),
        ({"terms": {"license": "x", "credits": ["\x07"]}}, "credits"),
        ({"known_failures": ["x"] * 1001}, "known_failures"),
        ({"sha256": "../../etc/passwd"}, "sha256"),
        ({"name": "a" * 101}, "name"),
    ],
)
def test_a_value_outside_its_limits_is_refused_by_name(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelCard.model_validate(_changed(**changes))


def test_every_number_text_and_list_of_a_card_has_a_limit() -> None:
    assert set(unbounded(ModelCard.model_json_schema())) == set()
