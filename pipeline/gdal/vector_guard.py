"""pyogrio with a GDAL that follows no references."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

SKIPPED = (
    "OGR_VRT,GDALG,WFS,OAPIF,CSW,HTTP,OGCAPI,Elasticsearch,Carto,AmigoCloud,PLSCENES,NGW,EEDA,PDF,"
    "ADBC"
)
"""Drivers that read other files or servers than the one named."""
PINNED_TIME = "1970-01-01T00:00:00.000Z"
"""When files say they were written: the same inputs give the same bytes at any time."""
_SETTINGS = {
    "OGR_CURRENT_DATE": PINNED_TIME,
    "GDAL_NUM_THREADS": "1",
}


@cache
def pyogrio() -> Any:
    """Return pyogrio with the drivers of `SKIPPED` left out of its own GDAL.

    Its drivers are registered when it is imported, by what the environment says then;
    rasterio's GDAL, which is another one, must not see the same list.
    """
    before = os.environ.get("GDAL_SKIP")
    os.environ["GDAL_SKIP"] = SKIPPED
    try:
        import pyogrio as module  # the environment has to be set first
        import pyogrio.raw
    finally:
        if before is None:
            del os.environ["GDAL_SKIP"]
        else:
            os.environ["GDAL_SKIP"] = before
    module.set_gdal_config_options(_SETTINGS)
    return module
