"""Times in the ways that files write them."""

from __future__ import annotations

import pytest

from pipeline.scenes.geotiff.acquisition_time import acquisition_time, from_name, rfc3339


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024:05:17 10:30:00", "2024-05-17T10:30:00Z"),
        ("2024-05-17T10:30:00+05:45", "2024-05-17T04:45:00Z"),
        ("2024-05-17T10:30:00.250Z", "2024-05-17T10:30:00.250000Z"),
        ("2024-05-17", "2024-05-17T00:00:00Z"),
        ("0000:00:00 00:00:00", None),
        ("0001-01-01", None),
        ("soon", None),
        ("", None),
    ],
)
def test_times_become_rfc_3339_in_utc(text: str, expected: str | None) -> None:
    assert rfc3339(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S2B_20240517T103000_T45RUL", "2024-05-17T10:30:00Z"),
        ("banepa_2016-05-01_ortho", "2016-05-01T00:00:00Z"),
        ("20241399_then_20240102", "2024-01-02T00:00:00Z"),
        ("tile_123456789012", None),
        ("banepa_town", None),
    ],
)
def test_dates_are_found_in_names(name: str, expected: str | None) -> None:
    assert from_name(name) == expected


def test_an_option_comes_before_a_tag_before_a_name() -> None:
    tags = {"TIFFTAG_DATETIME": "2023:01:02 00:00:00", "ACQUISITIONDATETIME": "2022-01-02"}
    assert (
        acquisition_time(option="2020-01-01", tags=tags, name="20250101") == "2020-01-01T00:00:00Z"
    )
    assert acquisition_time(option="", tags=tags, name="20250101") == "2022-01-02T00:00:00Z"
    assert acquisition_time(option="", tags={}, name="20250101") == "2025-01-01T00:00:00Z"
    assert acquisition_time(option="", tags={}, name="") is None
