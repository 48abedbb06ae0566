"""JPEG 2000 files on disk, as Sentinel-2 and many surveys deliver them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped
from rasterio.io import DatasetReader

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.gdal import bindings as gdal
from pipeline.gdal.raster_guard import install_guard
from pipeline.scenes import nodata
from pipeline.scenes.access.location import content_digest, gdal_path, is_regular
from pipeline.scenes.band_roles import has_mask, image_bands, split_alpha
from pipeline.scenes.geotiff import acquisition_time as moment
from pipeline.scenes.geotiff.georeferencing import GeorefTags, georeference
from pipeline.scenes.geotiff.sidecars import check_mask
from pipeline.scenes.jp2.header import Jp2Layout, examine_jp2
from pipeline.scenes.names import slug, stem
from pipeline.scenes.pam import read_pam
from pipeline.scenes.scene import Band, Scene, SceneInfo, SceneRef
from pipeline.scenes.validity import same
from pipeline.scenes.windowed import FAULTS, WindowedRaster, own_words
from pipeline.scenes.world_file import WorldGeoref, place_picture

PROBED_BYTES = 32 * 2**20
"""A scene that decodes to no more than this is decoded once when it is opened."""
_DRIVER = "JP2OpenJPEG"
_INTERNAL = "GEOREF_SOURCES=INTERNAL"
"""World files beside it are parsed by `pipeline.scenes.world_file`."""
_SRGB = 16
_AGAIN = "fetch or export it again"
_examined: OrderedDict[tuple[SceneRef, str], SceneInfo] = OrderedDict()
_examined_lock = threading.Lock()
_REMEMBERED = 512


class Jp2Scene:
    """A JPEG 2000 file, examined when opened, read in windows at full resolution.

    It is georeferenced by what is inside it (GeoJP2, GMLJP2), else by a world file or an
    ``.aux.xml`` file, as a picture is.
    """

    def __init__(self, ref: SceneRef, *, known: SceneInfo | None = None) -> None:
        """Open and examine a JPEG 2000 file.

        Args:
            ref: Of kind ``jp2``, a local path. Options as of a GeoTIFF.
            known: What an earlier opening found, to spare examining it again.

        Raises:
            SceneError: It cannot be mapped; the message names the reason and what to do.
        """
        install_guard()
        self._ref = ref
        layout = examine_jp2(ref)
        size = layout.image.height, layout.image.width
        check_mask(ref.href, height=size[0], width=size[1])
        digest = known.fingerprint if known else content_digest(ref.href)
        with _examined_lock:
            info = known or _examined.get((ref, digest))
        try:
            self._source = rasterio.open(
                gdal_path(ref.href), driver=_DRIVER, GEOREF_SOURCES="INTERNAL"
            )
        except FAULTS as error:
            raise self._error("it cannot be opened", error) from error
        try:
            self._info = info or _examine(ref, self._source, layout, digest)
            self._windows = WindowedRaster(ref, self._source, self._info, refuse=self._error)
            if info is None:
                self._windows.probe(whole=self._decoded_bytes() <= PROBED_BYTES)
                _remember(ref, self._info)
        except FAULTS as error:
            self._source.close()
            raise self._error("its metadata cannot be read", error) from error
        except BaseException:
            self._source.close()
            raise

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        return self._info

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`.

        Raises:
            SceneError: The pixels cannot be read; names the window's rows and columns.
        """
        return self._windows.read(window, bands)

    def close(self) -> None:
        """Give the file back; reading afterwards is an error."""
        self._source.close()

    def _decoded_bytes(self) -> int:
        itemsize = int(np.dtype(self._info.dtype).itemsize)
        return itemsize * self._info.height * self._info.width * int(self._source.count)

    def _error(self, what: str, error: BaseException) -> SceneError:
        return SceneError(self._ref.href, f"{what}: {own_words(error)}", _AGAIN)


def _remember(ref: SceneRef, info: SceneInfo) -> None:
    with _examined_lock:
        _examined[ref, info.fingerprint] = info
        while len(_examined) > _REMEMBERED:
            _examined.popitem(last=False)


def _examine(ref: SceneRef, source: DatasetReader, layout: Jp2Layout, digest: str) -> SceneInfo:
    """Return what is known of a JPEG 2000 file.

    Raises:
        SceneError: Its place or a nodata value is of a kind that cannot be mapped.
    """
    image, chosen = layout.image, dict(ref.options)
    if (source.height, source.width) != (image.height, image.width):
        raise SceneError(
            ref.href,
            f"GDAL reads {source.height} x {source.width} pixels of it, its codestream claims "
            f"{image.height} x {image.width}",
            _AGAIN,
        )
    expected = chosen.get("sha256")
    if expected and digest != f"sha256:{expected}":
        reason = f"its content is not what its item states (sha256 {expected})"
        raise SceneError(ref.href, reason, _AGAIN)
    value, by_band, warnings = _nodata(ref, source)
    placed = _place(ref, source)
    warnings.extend(layout.warnings)
    if is_regular(ref.href + ".msk") and not has_mask(source):
        warnings.append("the .msk file beside it is not a mask of it, and is ignored")
    alpha = split_alpha(source)[1]
    return SceneInfo(
        name=slug(stem(ref)),
        source=ref.href,
        height=image.height,
        width=image.width,
        bands=_bands(source, layout),
        dtype=source.dtypes[0],
        georef=placed.georef,
        fingerprint=digest,
        datetime=moment.acquisition_time(
            option=chosen.get("datetime", ""), tags=source.tags(), name=stem(ref)
        ),
        block=layout.block,
        stored_bytes=Path(ref.href).stat().st_size,
        nodata=value,
        band_nodata=by_band,
        alpha=alpha or 0,
        validity=_validity(source, declared=value is not None or bool(by_band)),
        warnings=(*placed.warnings, *warnings),
        bits=image.components[0].bits,
    )


def _bands(source: DatasetReader, layout: Jp2Layout) -> tuple[Band, ...]:
    """Return the bands that carry imagery, named by the colour space where the file names none."""
    bands = image_bands(source)
    nameless = all(band.colour == "undefined" for band in bands)
    if layout.container.colours != _SRGB or len(bands) != 3 or not nameless:
        return bands
    return tuple(
        Band(index=band.index, name=colour, colour=colour, scale=band.scale, offset=band.offset)
        for band, colour in zip(bands, ("red", "green", "blue"), strict=True)
    )


def _nodata(
    ref: SceneRef, source: DatasetReader
) -> tuple[float | None, tuple[float, ...], list[str]]:
    """Return the nodata value of all bands, else those of each, and warnings about them.

    Raises:
        SceneError: The user names a value that the pixels cannot hold.
    """
    dtype = source.dtypes[0]
    if nodata.is_ignored(ref):
        return nodata.given(ref, name=ref.href, dtype=dtype), (), []
    values, warning = nodata.of_pam(read_pam(ref.href), count=source.count, dtype=dtype)
    warnings = [f"{warning}; it is not used (choose one with --nodata)"] if warning else []
    if not values or all(same(value, values[0]) for value in values):
        return (values[0] if values else None), (), warnings
    return None, values, warnings


def _place(ref: SceneRef, source: DatasetReader) -> WorldGeoref:
    """Return where it lies: by the georeference inside it, else by files beside it.

    Raises:
        SceneError: It is placed off the Earth, or a file beside it is damaged.
    """
    chosen = dict(ref.options)
    if chosen.get("georef") == "none":
        return WorldGeoref(georef=None)
    points, points_crs = source.gcps
    crs, assumed = source.crs.to_wkt() if source.crs else "", chosen.get("crs", "")
    transform = gdal.geotransform(gdal_path(ref.href), driver=_DRIVER, options=(_INTERNAL,))
    if transform is None and not points:
        return place_picture(
            ref.href, height=source.height, width=source.width, assumed_crs=crs or assumed
        )
    claims = GeorefTags(
        height=source.height,
        width=source.width,
        crs_wkt=crs,
        transform=transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        gcps=[(point.col, point.row, point.x, point.y) for point in points],
        gcps_wkt=points_crs.to_wkt() if points_crs else "",
    )
    pam = read_pam(ref.href)
    georef, warnings = georeference(ref.href, claims, assumed_crs=assumed)
    if pam.georeference:
        warning = "the .aux.xml file beside it would place it elsewhere; it is ignored"
        warnings = (*warnings, warning)
    return WorldGeoref(georef=georef, warnings=warnings)


def _validity(source: DatasetReader, *, declared: bool) -> Literal["", "alpha", "mask", "nodata"]:
    if split_alpha(source)[1]:
        return "alpha"
    if has_mask(source):
        return "mask"
    return "nodata" if declared else ""


_: type[Scene] = Jp2Scene
