"""Zipped Shapefiles of any tool are read; other archives are refused with what is wrong."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
from pyproj import CRS

from pipeline.errors import ConfigError
from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import Limits
from pipeline.labels.read import read_area, read_objects
from pipeline.labels.read_vectors import read_vectors

HOUSES = [shapely.box(x, 0, x + 5, 5) for x in (500_000, 500_010, 500_020)]


def parts(folder: Path, name: str, shapes: Any = HOUSES) -> dict[str, bytes]:
    """Return the files of a Shapefile by their names."""
    folder.mkdir(exist_ok=True)
    columns = {"class": [f"{name}{at}" for at in range(len(shapes))]}
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=32645).to_file(folder / f"{name}.shp")
    return {path.name: path.read_bytes() for path in sorted(folder.glob(f"{name}.*"))}


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize(
    "name",
    [
        lambda name: name,
        lambda name: f"export 2024/{name}",
        lambda name: name.upper(),
        lambda name: f"a\\b\\{name}",
    ],
    ids=["flat", "in a folder", "capitals", "backslashes"],
)
def test_archives_of_other_tools_are_read(
    tmp_path: Path, method: int, name: Callable[[str], str]
) -> None:
    known = parts(tmp_path / "s", "houses")
    members = {name(one): content for one, content in known.items()}
    members |= {"__MACOSX/._houses.shp": b"\0", "readme.txt": b"who made it"}
    found = read_objects(archive(tmp_path / "truth.zip", members, method))
    assert found.crs == CRS.from_epsg(32645)
    assert [shape.bounds for shape in found.polygon] == [shape.bounds for shape in HOUSES]
    assert found.label is not None
    assert found.label.tolist() == ["houses0", "houses1", "houses2"]


def test_one_of_several_layers_is_named(tmp_path: Path) -> None:
    members = parts(tmp_path / "s", "houses") | parts(tmp_path / "s", "sheds", HOUSES[:1])
    members |= parts(tmp_path / "s", "wells", [shapely.Point(0, 0)])
    path = archive(tmp_path / "two.zip", members)
    choice = LayerChoice(option="--truth-layer")
    with pytest.raises(ConfigError, match=r"2 layers, houses, sheds; choose one: --truth-layer N"):
        read_objects(path, choice=choice)
    with pytest.raises(ConfigError, match=r"no layer 'barns'; its layers are houses, sheds, wells"):
        read_objects(path, choice=LayerChoice(name="barns"))
    assert len(read_objects(path, choice=LayerChoice(name="sheds"))) == 1
    area = read_area(path, choice=LayerChoice(name="houses"))
    assert area.geometry.area == pytest.approx(75)
    assert len(read_vectors(path, choice=LayerChoice(name="wells")).geometry) == 1


def test_what_is_no_zipped_shapefile_is_refused(tmp_path: Path) -> None:
    known = parts(tmp_path / "s", "houses")

    def told(members: dict[str, bytes]) -> str:
        with pytest.raises(ConfigError) as error:
            read_objects(archive(tmp_path / "a.zip", members))
        return str(error.value)

    assert "without a Shapefile; unpack it and name the file inside" in told({"doc.kml": b"<kml/>"})
    for missing, reason in ((".prj", "its CRS is not known"), (".shx", ".shx not in it beside")):
        few = {name: content for name, content in known.items() if not name.endswith(missing)}
        assert reason in told(few)
    assert "lies outside it" in told({f"../{name}": content for name, content in known.items()})
    twice = known | {"houses.SHX": known["houses.shx"]}
    assert "are one file; keep one of them" in told(twice)
    assert "cannot be read as shp" in told(known | {"houses.shx": b"nonsense"})
    bomb = known | {"houses.dbf": bytes(2**25)}
    assert "times larger than its" in told(bomb)
    path = archive(tmp_path / "a.zip", known)
    with pytest.raises(ConfigError, match=r"bytes unpacked; the limit is 1,000; cut it into parts"):
        read_objects(path, limits=Limits(memory_bytes=1000))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ConfigError, match="it is not a whole ZIP archive"):
        read_objects(path)


def test_damaged_members_are_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", parts(tmp_path / "s", "houses"), zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as made:
        at = made.getinfo("houses.dbf").header_offset
    raw[at + 100] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"its member 'houses\.dbf' is damaged"):
        read_objects(path)
