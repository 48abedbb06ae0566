"""Tasks: parsed once, refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import LARGEST, Task, builtin_tasks, load_task, read_yaml
from pipeline.errors import ConfigError
from tests.strategies import examples

FILES = sorted((Path(__file__).resolve().parents[1] / "configs" / "tasks").glob("*.yaml"))


def _file(folder: Path, text: str) -> str:
    path = folder / "task.yaml"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("name", builtin_tasks())
def test_built_in_tasks_parse_under_their_own_name(name: str) -> None:
    assert load_task(name).name == name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_task_file_parses(path: Path) -> None:
    assert isinstance(load_task(str(path)), Task)


def test_there_are_tasks_to_parse() -> None:
    assert "buildings" in builtin_tasks()
    assert FILES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold: 0.5", "treshold: no such field; did you mean 'threshold'"),
        ("xyzzy: 1", "xyzzy: no such field$"),
        ("values: {rnage: [0, 1]}", r"values\.rnage: no such field; did you mean 'range'"),
        ("threshold: high", "threshold: "),
        ("threshold: 0", "threshold: .*greater than 0"),
        ("threshold: 1.5", "threshold: .*less than or equal to 1"),
        ("threshold: .nan", "threshold: "),
        ("min_area_m2: -1", "min_area_m2: "),
        ("min_area_m2: .inf", "min_area_m2: .*finite"),
        ("values: {range: [3000, 0]}", r"values: .*must rise"),
        ("values: {range: [0]}", r"values\.range"),
        ("values: {percentiles: [1, 101]}", "must rise within 0..100"),
        ("bands: red", "bands: "),
        ("edge: reflect", "edge: .*mirror"),
        ("shape: {outline: round}", "shape.outline: .*regularised"),
        ("shape: {tolerance_px: 2}", "shape: .*outline pixels has no tolerance"),
        (
            "shape: {outline: simplified, tolerance_px: 2, tolerance_m: 1}",
            "shape: .*give tolerance_m or tolerance_px, not both",
        ),
        ("shape: {min_iou: 0.2}", "shape.min_iou: .*greater than or equal to 0.5"),
        ("shape: {min_hole_m2: 4}\nmin_area_m2: 3", "min_hole_m2 is 4 and min_area_m2 3"),
    ],
)
def test_a_fault_names_its_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = _file(tmp_path, f"name: mine\nmodel: threshold\n{text}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        load_task(path)
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("threshold: yes", "threshold"),
        ("bands: [3, true]", "bands.1"),
        ("values: {range: [no, 1]}", "values.range.0"),
    ],
)
def test_yes_and_no_are_no_numbers(tmp_path: Path, text: str, field: str) -> None:
    path = _file(tmp_path, f"name: mine\nmodel: threshold\n{text}\n")
    with pytest.raises(ConfigError, match=rf": {field}: a number or text is wanted, not yes or no"):
        load_task(path)


def test_yes_and_no_stay_where_they_are_meant(tmp_path: Path) -> None:
    text = "name: mine\nmodel: threshold\nseparate: no\nmin_area_m2: 0x10\n"
    task = load_task(_file(tmp_path, text))
    assert (task.separate, task.min_area_m2) == (False, 16)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model: Field required"):
        load_task(_file(tmp_path, "name: mine\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("name: a\nname: b\n", "key 'name' stands twice"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("name: !!python/name:os.system\n", "not valid YAML"),
        ("name: [\n", "not valid YAML"),
        ("--- a\n--- b\n", "not valid YAML"),
        ("a: !!map b\n", "no fields and values"),
        ("date: 2001-99-99\n", "not valid YAML"),
        ("a: !!timestamp b\n", "not valid YAML"),
        ("a: !!bool b\n", "not valid YAML"),
        ("a: !!int b\n", "not valid YAML"),
        (f"a: {'9' * 5000}\n", "not valid YAML"),
        ("min_area_m2: 0123\n", r"0123 is no decimal number \(line 1\); write it as one"),
        ("min_area_m2: 1:30\n", r"1:30 is no decimal number \(line 1\); write it as one"),
        ("[" * 5000, "not valid YAML"),
        ("- a\n- b\n", "must be fields and values"),
        ("", "must be fields and values"),
    ],
)
def test_what_is_more_or_less_than_plain_values_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task(_file(tmp_path, text))


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("ab1: -[]{},!&*?|>#'\"\n%@.~<="), max_size=40))
def test_whatever_stands_in_a_file_it_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = Path(_file(tmp_path, text))
    try:
        read_yaml(path)
    except ConfigError as error:
        told = str(error)
    else:
        return
    assert told.startswith(str(path))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_task(str(path))


def test_a_file_over_a_mebibyte_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_task(_file(tmp_path, "#" * (LARGEST + 1)))
    assert read_yaml(Path(_file(tmp_path, "a: 1\n#" + "#" * (LARGEST - 7)))) == {"a": 1}


@pytest.mark.parametrize("name", ["nonesuch", "", "no/such.yaml", "buildings/"])
def test_a_task_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigError, match=r"no task is called .*buildings"):
        load_task(name)


def test_a_task_is_a_value(tmp_path: Path) -> None:
    task = load_task(_file(tmp_path, "name: mine\nmodel: threshold\nbands: [1, red]\n"))
    assert task.bands == (1, "red")
    assert task == Task.model_validate_json(task.model_dump_json())
    assert hash(task)
