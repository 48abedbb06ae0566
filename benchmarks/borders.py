"""Borders of scenes: how far the layer of a scene cut in two is from that of the whole.

``python -m benchmarks.borders SCENE.tif`` cuts a scene down its middle, with overlaps of 0 to
400 px, maps the halves and the whole with the `buildings` model, and compares the layers:
footprints in all, and those within 200 px of the cut, matched one to one at IoU 0.5. The same
without joining (each half's footprints alone conflated) stands beside it. At the end both halves
are mapped as one scene.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine

from benchmarks._report import report
from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from pipeline.outputs.rasters.coverage import coverage
from pipeline.regions.layer.layer import LayerScene, build_layer

OVERLAPS = (0, 16, 100, 400)
NEAR_PX = 200


def write_part(scene: Path, path: Path, first: int, last: int) -> Path:
    """Write some columns of a scene, without loss."""
    with rasterio.open(scene) as source:
        window = rasterio.windows.Window(first, 0, last - first, source.height)
        profile = {
            "driver": "GTiff",
            "count": source.count,
            "dtype": source.dtypes[0],
            "height": source.height,
            "width": last - first,
            "crs": source.crs,
            "transform": source.transform @ Affine.translation(first, 0),
            "photometric": "RGB",
            "tiled": True,
            "compress": "deflate",
        }
        with rasterio.open(path, "w", **profile) as file:
            file.write(source.read(window=window))
    return path


def mapped(paths: list[Path], out: Path, *, as_one_scene: bool = False) -> list[LayerScene]:
    """Map scenes as a region does, and return what a layer takes in."""
    request = MapRequest(
        scenes=tuple(map(str, paths)),
        out=out,
        device="openvino",
        formats=("parquet",),
        keep_interior=not as_one_scene,
        as_one_scene=as_one_scene,
    )
    summary = map_scenes(request, report=lambda _: None)
    if summary["failed"]:
        raise SystemExit(str(summary["scenes"]))
    folders = [Path(row["folder"]) for row in summary["scenes"]]
    return [
        LayerScene(
            key=folder.name,
            parquet=folder / "polygons.parquet",
            coverage=coverage(folder / "mask.tif").wkb,
        )
        for folder in folders
    ]


def layer(scenes: list[LayerScene], out: Path) -> tuple[geopandas.GeoDataFrame, int, float]:
    """Return a layer, how many of its footprints were joined, and seconds of processor time."""
    began = time.process_time()
    summary = build_layer(scenes, previous=None, out=out, policy="newest")
    return geopandas.read_parquet(out), summary.joined, time.process_time() - began


def apart(scenes: list[LayerScene], folder: Path) -> list[LayerScene]:
    """Return the scenes without their rasters beside them: nothing can be joined."""
    folder.mkdir()
    copies = []
    for scene in scenes:
        copy = folder / f"{scene.key}.parquet"
        shutil.copyfile(scene.parquet, copy)
        copies.append(replace(scene, parquet=copy))
    return copies


def matched(
    whole: geopandas.GeoDataFrame,
    found: geopandas.GeoDataFrame,
    line: shapely.LineString,
    far: float,
) -> tuple[float, float, float]:
    """Return shares that match: the whole's near a line and across it, the halves' near it."""
    a = whole.geometry.to_crs(whole.estimate_utm_crs()).to_numpy()
    b = found.geometry.to_crs(whole.estimate_utm_crs()).to_numpy()
    one, two = shapely.STRtree(b).query(a, predicate="intersects")
    shared = shapely.area(shapely.intersection(a[one], b[two]))
    iou = shared / (shapely.area(a[one]) + shapely.area(b[two]) - shared)
    partner_a, partner_b = np.zeros(len(a), bool), np.zeros(len(b), bool)
    for at in np.argsort(-iou, kind="stable").tolist():
        if iou[at] < 0.5:
            break
        if not partner_a[one[at]] and not partner_b[two[at]]:
            partner_a[one[at]] = partner_b[two[at]] = True
    near_a, near_b = (shapely.dwithin(shapes, line, far) for shapes in (a, b))
    across = shapely.crosses(line, a)
    return (
        float(partner_a[near_a].mean()),
        float(partner_a[across].mean()),
        float(partner_b[near_b].mean()),
    )


def main() -> None:
    """Print the table."""
    install_guard()
    scene = Path(sys.argv[1])
    with rasterio.open(scene) as source:
        width, height, away, crs = source.width, source.height, source.transform, source.crs
    middle = width // 2
    ends = geopandas.GeoSeries(
        [shapely.LineString([away @ (middle, 0), away @ (middle, height)])], crs=crs
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        complete = write_part(scene, folder / "whole.tif", 0, width)
        whole, _, _ = layer(mapped([complete], folder / "out"), folder / "whole.parquet")
        utm = whole.estimate_utm_crs()
        line = ends.to_crs(utm).iloc[0]
        far = NEAR_PX * line.length / height
        rows = []
        for overlap in OVERLAPS:
            paths = [
                write_part(scene, folder / f"west_{overlap}.tif", 0, middle + overlap // 2),
                write_part(scene, folder / f"east_{overlap}.tif", middle - overlap // 2, width),
            ]
            scenes = mapped(paths, folder / "out")
            found, joined, seconds = layer(scenes, folder / f"layer_{overlap}.parquet")
            plain, _, _ = layer(
                apart(scenes, folder / f"apart_{overlap}"), folder / "plain.parquet"
            )
            share, across, back = matched(whole, found, line, far)
            without, across_without, _ = matched(whole, plain, line, far)
            row = {
                "overlap_px": overlap,
                "footprints": len(found),
                "of_whole": round(len(found) / len(whole), 4),
                "matched": round(share, 4),
                "matched_across": round(across, 4),
                "matched_back": round(back, 4),
                "joined": joined,
                "layer_s": round(seconds, 2),
                "not_joined_footprints": len(plain),
                "not_joined_matched": round(without, 4),
                "not_joined_across": round(across_without, 4),
            }
            rows.append(row)
        interior = sum(one.stat().st_size for one in (folder / "out").rglob("interior.tif"))
        both = [folder / "west_16.tif", folder / "east_16.tif"]
        one = mapped(both, folder / "one", as_one_scene=True)
        with (
            rasterio.open(one[0].parquet.parent / "mask.tif") as left,
            rasterio.open(folder / "out" / "whole" / "mask.tif") as right,
        ):
            equal = bool(np.array_equal(left.read(), right.read()))
        report("borders", rows)
        shapes = whole.geometry.to_crs(utm).to_numpy()
        near, crossing = shapely.dwithin(shapes, line, far), shapely.crosses(line, shapes)
        print(f"{near.sum()} near the cut, {crossing.sum()} across it")
        print(f"the whole has {len(whole)} footprints; as one scene the same mask: {equal}")
        print(f"interior.tif of all scenes: {interior / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
