"""pyogrio with a GDAL that follows no references."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from pipeline.gdal.environment import data_folders, isolate_environment
from pipeline.gdal.proj import check_positions, set_search_path
from pipeline.gdal.settings import set_vector_options

SKIPPED = (
    "OGR_VRT,GDALG,WFS,OAPIF,CSW,HTTP,OGCAPI,Elasticsearch,Carto,AmigoCloud,PLSCENES,NGW,EEDA,PDF,"
    "ADBC"
)
"""Drivers that read other files or servers than the one named."""


@cache
def pyogrio() -> Any:
    """Return pyogrio with the drivers of `SKIPPED` left out of its own GDAL.

    Its drivers are registered when it is imported, by what the environment says then;
    rasterio's GDAL, which is another one, must not see the same list.
    """
    isolate_environment()
    before = os.environ.get("GDAL_SKIP")
    os.environ["GDAL_SKIP"] = SKIPPED
    try:
        import pyogrio as module  # the environment has to be set first
        import pyogrio.raw
    finally:
        if before is None:
            os.environ.pop("GDAL_SKIP", None)
        else:
            os.environ["GDAL_SKIP"] = before
    library = module._ogr.__file__
    set_vector_options(library)
    set_search_path(library, data_folders("PROJ_DATA")["pyogrio"])
    check_positions(library, "pyogrio")
    return module
