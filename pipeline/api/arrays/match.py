"""Objects matched one to one, without files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.api.inputs import is_frame
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def match(predicted: Any, reference: Any, iou: float = 0.5) -> pd.DataFrame:
    """Match predicted and reference polygons one to one, as SpaceNet and COCO do.

    Predictions take turns by descending ``confidence`` (where there is such a column, else in
    their order), and each takes the free reference object that it overlaps best.

    Args:
        predicted: A GeoDataFrame or GeoSeries of polygons.
        reference: Another one; reprojected to the CRS of ``predicted`` where it has another.
        iou: IoU that a match must rf_radius, above 0 and at most 1.

    Returns:
        A row for each pair, in the order of the predictions: ``predicted`` and ``reference``
        (index labels) and ``iou``. What is in no row is a false positive, or missed.

    Raises:
        ConfigError: Something is no GeoDataFrame, only one of both has a CRS, or ``iou`` is no
            share.

    Example:
        >>> import geopandas as gpd, shapely
        >>> one = gpd.GeoSeries([shapely.box(0, 0, 2, 2)], index=["a"])
        >>> other = gpd.GeoSeries([shapely.box(0, 0, 2, 1)], index=[7])
        >>> match(one, other).values.tolist()
        [['a', 7, 0.5]]
    """
    import pandas as pd

    from pipeline.core.metrics.matching import match_objects

    if not 0 < iou <= 1:
        raise ConfigError(f"iou={iou:g}: give a share above 0, at most 1")
    for name, frame in (("predicted", predicted), ("reference", reference)):
        if not is_frame(frame):
            raise ConfigError(f"{name}: {type(frame).__name__} is no GeoDataFrame or GeoSeries")
    if (predicted.crs is None) != (reference.crs is None):
        raise ConfigError("only one of predicted and reference has a CRS; set it with .set_crs()")
    if predicted.crs is not None and predicted.crs != reference.crs:
        reference = reference.to_crs(predicted.crs)
    ones, others = _polygons(predicted), _polygons(reference)
    found = match_objects(ones, others, confidence=_confidence(predicted), iou=float(iou))
    rows = np.flatnonzero(found.reference_of >= 0)
    return pd.DataFrame(
        {
            "predicted": predicted.index[rows],
            "reference": reference.index[found.reference_of[rows]],
            "iou": found.iou[rows],
        }
    )


def _polygons(frame: Any) -> npt.NDArray[Any]:
    """Return valid polygons, empty where there is none."""
    shapes = np.array(frame.geometry.array, object)
    shapes[shapely.is_missing(shapes)] = shapely.Polygon()
    return np.asarray(
        np.where(shapely.is_valid(shapes), shapes, shapely.make_valid(shapes)), object
    )


def _confidence(predicted: Any) -> npt.NDArray[Any] | None:
    if "confidence" not in getattr(predicted, "columns", ()):
        return None
    values = predicted["confidence"].to_numpy(np.float64, na_value=np.nan)
    return np.asarray(np.nan_to_num(values, nan=-np.inf, neginf=-np.inf), np.float64)
