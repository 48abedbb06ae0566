"""Region files: refused by name, kept in their folder, described for editors."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline.config import load_region
from pipeline.config.interval import parse_interval
from pipeline.config.region import region_schema, resolve_path
from pipeline.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SMALL = "name: town\nsources: [{type: files, path: scenes}]\n"


@pytest.mark.parametrize("path", sorted((CONFIGS / "regions").glob("*.yaml")), ids=lambda p: p.name)
def test_every_region_file_parses_and_meets_the_schema(path: Path) -> None:
    assert load_region(path).name
    schema = json.loads((CONFIGS / "region.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(path.read_text("utf-8")))


def test_the_schema_for_editors_is_current() -> None:
    # If not: python -c 'from pipeline.config.region import region_schema;
    # print(region_schema(), end="")' > configs/region.schema.json
    assert (CONFIGS / "region.schema.json").read_text("utf-8") == region_schema()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: Town\n", "name: "),
        ("polices: {}\n", "polices: no such field; did you mean 'policies'"),
        ("aoi: {}\n", "give either file or bbox"),
        ("aoi: {file: a.geojson, bbox: [0, 0, 1, 1]}\n", "give either file or bbox"),
        ("aoi: {bbox: [3, 0, 1, 1]}\n", "west < east"),
        ("sources: []\n", "sources: "),
        ("sources: [{type: ftp, path: x}]\n", "ftp"),
        ("sources: [{type: urls, urls: ['file:///etc/passwd']}]\n", "urls"),
        ("sources: [{type: urls, urls: ['/vsizip/a.zip']}]\n", "urls"),
        ("sources: [{type: api, url: 'ftp://x', collections: [a]}]\n", "url"),
        ("sources: [{type: catalog, href: c.json, datetime: '2024'}]\n", "no interval"),
        ("sources: [{type: catalog, href: c.json, datetime: 2024-02-30/..}]\n", "is no date"),
        ("sources: [{type: catalog, href: c.json, datetime: 2024-05-01/2024-01-01}]\n", "ends"),
        ("sources: [{type: catalog, href: c.json, max_cloud: 101}]\n", "max_cloud"),
        ("schedule: {cron: '* * *'}\n", "five fields"),
        ("schedule: {cron: '0 0 1 * 1'}\n", "write \\* for one of the two"),
        ("schedule: {cron: '0 0 */2 * 1-5'}\n", "both a day and a weekday"),
        ("schedule: {cron: '0 0 * * *', timezone: Mars/North}\n", "Mars/North"),
        ("schedule: {cron: '0 0 * * *', timezone: ../../etc/passwd}\n", "unknown"),
        ("sinks: [{type: postgis, url_env: 'a b', table: t}]\n", "url_env"),
        ("sinks: [{type: postgis, url_env: A, table: 't; drop table x'}]\n", "table"),
        ("policies: {keep_runs: 1}\n", "keep_runs"),
        ("nodata: zero\n", "is none of declared, none, nan, and no finite number"),
        ("nodata: yes\n", "nodata"),
        ("policies: {error_budget: -1}\n", "error_budget"),
        ("task: !!python/object/apply:os.system [echo]\n", "not valid YAML"),
    ],
)
def test_a_fault_names_its_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "region.yaml"
    kept = [line for line in SMALL.splitlines() if line.split(":")[0] != text.split(":")[0]]
    path.write_text("\n".join([*kept, text]), "utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_region(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["..", "../x", "/etc/passwd", "a/../../b", "link/x", "a\0b"])
def test_paths_stay_in_their_folder(tmp_path: Path, text: str) -> None:
    root = tmp_path / "region"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="leads out"):
        resolve_path(root, text, field="out")


def test_paths_in_their_folder_are_followed(tmp_path: Path) -> None:
    assert (
        resolve_path(tmp_path, "a/../b/*.tif", field="path") == tmp_path.resolve() / "b" / "*.tif"
    )


def test_intervals_may_be_open_and_end_with_the_day() -> None:
    first, last = parse_interval("2024-01-01/2024-06-30")
    assert (first, last) != (None, None)
    assert last is not None
    assert last.isoformat() == "2024-06-30T23:59:59+00:00"
    assert parse_interval("../..") == (None, None)


@pytest.mark.parametrize(
    ("text", "nodata"),
    [
        ("nodata: 0\n", 0.0),
        ("nodata: '65535'\n", 65535.0),
        ("nodata: None\n", "none"),
        ("nodata: .nan\n", "nan"),
        ("nodata: declared\n", "declared"),
        ("", None),
    ],
)
def test_nodata_is_a_word_or_a_number(tmp_path: Path, text: str, nodata: float | str) -> None:
    path = tmp_path / "region.yaml"
    path.write_text(SMALL + text, "utf-8")
    assert load_region(path).nodata == nodata
