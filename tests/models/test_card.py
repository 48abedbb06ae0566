"""The model card refuses what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.models.card import ModelCard
from tests.models.small import PADDED, card_for


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
        ({"network__reach": None}, "context is blend"),
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
        ({"network__reach": -1}, "reach"),
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
        {"network__reach": None, "context": "blend"},
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
