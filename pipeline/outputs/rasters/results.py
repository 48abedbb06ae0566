"""The rasters of a mapped scene, read in windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import UInt8
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.outputs.rasters.mosaic import ignore_not_georeferenced


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskHeader:
    """Header of a mask: grid, classes, model and fingerprint of its scene."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    georef: Georef | None
    """Where its pixels lie."""
    classes: Mapping[int, str]
    """Names of the classes by value."""
    model: str
    """Name and version of the model."""
    fingerprint: str
    """Digest of the scene's content."""


def read_mask_header(mask: Path) -> MaskHeader:
    """Read the header of a mask.

    Raises:
        SceneError: It cannot be read.
    """
    try:
        with ignore_not_georeferenced(), rasterio.open(mask) as file:
            tags, crs = file.tags(), file.crs
            classes = {int(key[6:]): name for key, name in tags.items() if key[:6] == "CLASS_"}
            place = None
            if crs is not None:
                place = Georef(
                    crs_wkt=crs.to_wkt(version="WKT2_2019"), transform=tuple(file.transform)[:6]
                )
            return MaskHeader(
                height=file.height,
                width=file.width,
                georef=place,
                classes=classes,
                model=tags.get("MODEL", ""),
                fingerprint=tags.get("SCENE_FINGERPRINT", ""),
            )
    except (RasterioError, ValueError) as error:
        raise SceneError(
            str(mask), f"it cannot be read ({error})", "map the scene again"
        ) from error


class ResultRasters:
    """Mask, probabilities and, where it was kept, interior of a mapped scene; open until closed."""

    def __init__(self, folder: Path) -> None:
        """Open the rasters of a folder.

        Raises:
            SceneError: One cannot be opened.
        """
        names = ["mask.tif", "probability.tif"]
        if (folder / "interior.tif").is_file():
            names.append("interior.tif")
        self._folder = folder
        self._files: list[rasterio.io.DatasetReader] = []
        try:
            with ignore_not_georeferenced():
                self._files.extend(rasterio.open(folder / name) for name in names)
        except RasterioError as error:
            self.close()
            raise self._error(error) from error

    def read(
        self, window: Window
    ) -> tuple[
        UInt8[np.ndarray, "rows cols"],
        UInt8[np.ndarray, "classes rows cols"],
        UInt8[np.ndarray, "rows cols"] | None,
    ]:
        """Return mask, probabilities and interior of a window inside the scene.

        Raises:
            SceneError: They cannot be read.
        """
        others = RasterioWindow(window.col, window.row, window.width, window.height)
        try:
            mask, probability, *interior = (file.read(window=others) for file in self._files)
        except RasterioError as error:
            raise self._error(error) from error
        return mask[0], probability, interior[0][0] if interior else None

    def close(self) -> None:
        """Give the files back."""
        for file in self._files:
            file.close()

    def _error(self, error: RasterioError) -> SceneError:
        # Named as the layer names a scene's results, so that they are mapped anew.
        path = str(self._folder / "polygons.parquet")
        return SceneError(path, f"its rasters cannot be read ({error})", "map the scene again")
