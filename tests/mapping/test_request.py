from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Separate, load_task
from pipeline.errors import ConfigError
from pipeline.mapping.planning.request import MapRequest, memory, numbers


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4GB", 4 * 10**9),
        ("512M", 512 * 10**6),
        ("1.5 gb", 15 * 10**8),
        ("2GiB", 2 * 2**30),
        ("512 MiB", 2**29),
        ("4000000000", 4 * 10**9),
        ("700k", 700_000),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert memory(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1GB", "4 GB RAM", "GB", "4XB", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--max-memory"):
        memory(text)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,1", "5,5", "9,1", "0,inf"])
def test_what_are_no_two_rising_numbers_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--values"):
        numbers(text, option="--values")


def test_two_rising_numbers_are_read() -> None:
    assert numbers("0, 3000.5", option="--values") == (0, 3000.5)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"formats": ("geojson", "dwg")}, "--format 'dwg' is none of geojson, "),
        ({"threshold": 5.0}, "--threshold 5: "),
        ({"threshold": float("nan")}, "--threshold nan: "),
    ],
)
def test_a_wrong_option_is_called_by_its_name(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = MapRequest(scenes=("a.tif",), out=Path("out"), **wrong).chosen_task
    assert str(caught.value).startswith(told)


def test_the_command_line_goes_before_the_task() -> None:
    request = MapRequest(
        scenes=("a.tif",),
        out=Path("out"),
        task="bright",
        threshold=0.25,
        bands=("3", "red"),
        values=(1.0, 9.0),
        model="other",
    )
    task = request.chosen_task
    assert (task.name, task.model, task.threshold) == ("bright", "other", 0.25)
    assert task.bands == ("3", "red")
    assert task.values.range == (1, 9)


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("stated", ["true", "false", "{threshold: 0.4}"])
def test_separation_is_switched_and_keeps_what_the_task_says_of_it(
    tmp_path: Path, asked: bool | None, stated: str
) -> None:
    task = tmp_path / "t.yaml"
    task.write_text(f"name: t\nmodel: threshold\nseparate: {stated}\n", "utf-8")
    request = MapRequest(scenes=(), out=tmp_path, task=str(task), separate=asked)
    chosen = request.chosen_task.separate
    assert bool(chosen) is (stated != "false" if asked is None else asked)
    if stated.startswith("{") and asked is not False:
        assert chosen == Separate(threshold=0.4)


def test_formats_of_the_command_line_replace_the_tasks() -> None:
    request = MapRequest(scenes=(), out=Path("out"), task="bright")
    assert request.chosen_task.formats == ("geojson", "parquet")
    assert replace(request, formats=("gpkg", "fgb")).chosen_task.formats == ("gpkg", "fgb")


def test_a_task_without_formats_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("name: t\nmodel: threshold\nformats: []\n")
    with pytest.raises(ConfigError, match="formats: name at least one"):
        load_task(str(tmp_path / "t.yaml"))


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    request = MapRequest(scenes=(), out=Path("out"), task="bright", threshold=threshold)
    with pytest.raises(ConfigError, match="threshold"):
        _ = request.chosen_task


def test_a_task_that_does_not_exist_is_refused_with_those_that_do() -> None:
    request = MapRequest(scenes=(), out=Path("out"), task="bildings")
    with pytest.raises(ConfigError, match=r"bildings.*bright, buildings"):
        _ = request.chosen_task
