"""Objects of a file, whatever its format: polygons, COCO or a label raster."""

from __future__ import annotations

from pathlib import Path

from pipeline.labels.clean import cleaned
from pipeline.labels.geojson import load_json
from pipeline.labels.objects import Objects
from pipeline.labels.read_vectors import read_vectors
from pipeline.labels.sniff import sniff


def read_objects(path: Path, *, layer: str | None = None, image: str | None = None) -> Objects:
    """Return the polygons of a vector file, a COCO file or a label raster.

    Args:
        path: A local file.
        layer: Which layer, where a vector file has several.
        image: Which image, where a COCO file has several: its file name or stem.

    Raises:
        ConfigError: The file cannot be read, or holds no polygons but other things.
        SceneError: It is a raster that cannot be read.
    """
    from pipeline.labels.coco import read_coco
    from pipeline.labels.raster import is_raster, read_labels

    if is_raster(path):
        return read_labels(path)
    if sniff(path) == "geojson":
        value = load_json(path)
        if isinstance(value, dict) and "annotations" in value and "type" not in value:
            return read_coco(path, value, image=image)
    return cleaned(read_vectors(path, layer=layer))
