"""Products in bfloat16 where the device is made for them, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.training.config import TrainingConfig
from pipeline.training.step.precision import precision_of

PROCESSOR = Path("/proc/cpuinfo")


def _config(*, bfloat16: bool) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "images": {"folder": "x"},
            "bfloat16": bfloat16,
            "schedule": {"steps": 1, "warmup": 0, "decay": 0},
        }
    )


def test_float32_where_bfloat16_is_not_asked_for() -> None:
    assert precision_of(_config(bfloat16=False), cuda=False) == "32-true"
    assert precision_of(_config(bfloat16=False), cuda=True) == "32-true"


@pytest.mark.skipif(not PROCESSOR.is_file(), reason="only Linux lists what a processor can do")
def test_a_processor_multiplies_in_bfloat16_if_it_says_that_it_can() -> None:
    flags = PROCESSOR.read_text().split()
    able = "amx_tile" in flags or "avx512_bf16" in flags
    found = precision_of(_config(bfloat16=True), cuda=False)
    assert found == ("bf16-mixed" if able else "32-true")
