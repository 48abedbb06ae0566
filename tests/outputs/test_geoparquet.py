"""GeoParquet: groups that readers can skip, metadata that is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from shapely.geometry import Polygon

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors import geoparquet
from pipeline.outputs.vectors.geoparquet import to_crs_polygons, write_geoparquet
from pipeline.validation.validate import check_file

Make = Callable[..., Footprints]
Where = Callable[..., Provenance]


def test_polygons_read_back_in_the_crs_of_the_scene(
    footprints: Make, provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    batch = footprints(1)
    write_geoparquet(tmp_path / "p.parquet", [batch], provenance(georef))
    assert check_file(tmp_path / "p.parquet") == []
    table = geopandas.read_parquet(tmp_path / "p.parquet")
    assert table.crs == georef.crs
    assert table.is_valid.all()
    a, b, _, d, e, _ = georef.transform
    pixel = abs(a * e - b * d)
    np.testing.assert_allclose(
        shapely.area(table.geometry.to_numpy()) / pixel, shapely.area(batch.geometry), rtol=1e-3
    )
    assert str(table["datetime"].dtype) == "datetime64[ms, UTC]"


def test_batches_do_not_change_the_bytes(
    footprints: Make,
    provenance: Where,
    utm: Georef,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(geoparquet, "ROWS_PER_GROUP", 20)
    batch = footprints(1)
    write_geoparquet(tmp_path / "a.parquet", [batch], provenance(utm))
    pieces = [batch.take(slice(at, at + 7)) for at in range(0, len(batch), 7)]
    write_geoparquet(tmp_path / "b.parquet", iter(pieces), provenance(utm))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        assert file.num_row_groups == -(-len(batch) // 20)
        assert file.metadata.row_group(0).column(0).statistics is not None


def test_reading_a_box_gives_what_lies_in_it(
    footprints: Make, provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    write_geoparquet(tmp_path / "p.parquet", [footprints(2)], provenance(utm))
    whole = geopandas.read_parquet(tmp_path / "p.parquet")
    west, south, east, north = whole.total_bounds
    box = (west, south, (west + east) / 2, (south + north) / 2)
    some = geopandas.read_parquet(tmp_path / "p.parquet", bbox=box)
    assert 0 < len(some) < len(whole)
    assert set(some["id"]) == set(whole.cx[box[0] : box[2], box[1] : box[3]]["id"])


def test_no_polygons_make_a_readable_file(provenance: Where, utm: Georef, tmp_path: Path) -> None:
    write_geoparquet(tmp_path / "p.parquet", [], provenance(utm))
    assert check_file(tmp_path / "p.parquet") == []
    assert len(geopandas.read_parquet(tmp_path / "p.parquet")) == 0
    geo = json.loads(pq.read_schema(tmp_path / "p.parquet").metadata[b"geo"])
    assert "bbox" not in geo["columns"]["geometry"]


def test_what_the_grid_breaks_is_mended(utm: Georef) -> None:
    # A hole that touches its outline in the middle of an edge: off by a bit when rotated.
    turned = Georef(crs_wkt=utm.crs_wkt, transform=(0.26, 0.15, 3e5, 0.15, -0.26, 3e6))
    outline = [(0, 0), (30, 0), (30, 31), (0, 31)]
    polygons = [Polygon(outline, [[(0, 10 + k), (9, 5), (9, 9)]]) for k in range(10)]
    shapes = to_crs_polygons(np.array(polygons, dtype=object), turned)
    assert shapely.is_valid(shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(shapes))).all()
