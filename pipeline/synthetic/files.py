"""Made scenes as files: a GeoTIFF and its truth."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.synthetic.character import Style
from pipeline.synthetic.scene import SyntheticScene, settlement

CRS = "EPSG:32645"
CORNER = (354000.0, 3057500.0)  # easting, northing: near 27.63 N 85.52 E


def write_settlement(
    folder: Path,
    *,
    seed: int,
    height: int = 1536,
    width: int = 2048,
    pixel_size_m: float = 0.3,
    style: Style | None = None,
) -> tuple[Path, Path]:
    """Write a made scene as GeoTIFF and its roofs as GeoJSON; return both paths.

    The scene is tiled, compressed and lies in UTM zone 45 north; the truth is RFC 7946,
    longitude and latitude.
    """
    made = settlement(seed=seed, height=height, width=width, pixel_size_m=pixel_size_m, style=style)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scene, truth = folder / f"made_{seed}.tif", folder / f"made_{seed}.geojson"
    away = Affine(pixel_size_m, 0, CORNER[0], 0, -pixel_size_m, CORNER[1])
    draft = scene.with_name(f".{scene.name}.{os.getpid()}")
    with rasterio.open(
        draft,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=3,
        dtype="uint8",
        crs=CRS,
        transform=away,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        predictor=2,
        photometric="RGB",
    ) as sink:
        sink.write(made.image)
    draft.replace(scene)
    draft = truth.with_name(f".{truth.name}.{os.getpid()}")
    draft.write_text(json.dumps(_collection(made)) + "\n", encoding="utf-8")
    draft.replace(truth)
    return scene, truth


def _collection(made: SyntheticScene) -> dict[str, object]:
    """Return the roofs as an RFC 7946 feature collection, to 1e-8 degrees."""
    to_earth = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)

    def lonlat(points: NDArray[np.float64]) -> NDArray[np.float64]:
        east, north = (
            CORNER[0] + points[:, 0] * made.pixel_size_m,
            CORNER[1] - points[:, 1] * made.pixel_size_m,
        )
        return np.round(np.stack(to_earth.transform(east, north), axis=1), 8)

    features = []
    for number, outline in enumerate(made.polygons, start=1):
        earth = shapely.orient_polygons(shapely.transform(outline, lonlat))
        properties = {
            "class": "building",
            "area_m2": round(outline.area * made.pixel_size_m**2, 2),
        }
        features.append(
            {
                "type": "Feature",
                "id": number,
                "properties": properties,
                "geometry": shapely.geometry.mapping(earth),
            }
        )
    return {"type": "FeatureCollection", "features": features}
