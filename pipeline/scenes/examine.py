"""Everything that is asked of a GeoTIFF before its pixels are used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from pipeline.core.georef import Georef
from pipeline.errors import SceneError
from pipeline.scenes import moment, tiff
from pipeline.scenes.location import Bytes, content_digest, is_remote, open_bytes
from pipeline.scenes.names import redacted, slug
from pipeline.scenes.placing import Claims, place
from pipeline.scenes.scene import Band, SceneInfo, SceneRef
from pipeline.scenes.validity import fits

MAX_PIXELS = 2**34
MAX_BANDS = 256
MAX_BLOCK_BYTES = 128 * 2**20
ZEROS_LOOKED_AT = 64 * 2**20

_AGAIN = "fetch or export it again"
_LOOKS_LIKE: Mapping[bytes, str] = {
    b"<VRTDataset": "a virtual raster (VRT)",
    b"<MRF_META": "an MRF header",
    b"<!doctype html": "an HTML page",
    b"<!DOCTYPE": "an HTML or XML page",
    b"<html": "an HTML page",
    b"<HTML": "an HTML page",
    b"<?xml": "an XML page",
    b"<": "an XML or HTML page",
    b"{": "JSON",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\0\0\0\x0cjP": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"PK": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"CDF": "a NetCDF file",
    b"NITF": "a NITF file",
}
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_UNUSABLE = frozenset({4, 5, 8, 9, 10, 32803, 32844, 32845})


def options(ref: SceneRef) -> dict[str, str]:
    """Return the settings of a reference by name."""
    return dict(ref.options)


def stem(ref: SceneRef) -> str:
    """Return what a scene is called: an option, or its file's name without suffix."""
    path = unquote(urlsplit(ref.href).path) if is_remote(ref.href) else ref.href
    return options(ref).get("name") or os.path.splitext(os.path.basename(path))[0]


def examine_bytes(ref: SceneRef) -> tiff.Layout:
    """Return the images of a TIFF, having proved that all of their blocks are there.

    Raises:
        SceneError: It is no TIFF, is cut off, or claims more than is allowed.
    """
    name = redacted(ref.href)
    data = open_bytes(ref.href)
    try:
        _check_magic(name, data)
        layout = tiff.read_layout(data.read, data.size)
        _check_limits(name, layout.scene, ref)
        for page in layout.pages:
            tiff.check_blocks(page, data.size)
    except tiff.BrokenTiff as error:
        raise SceneError(name, f"it is not a whole TIFF: {error}", _AGAIN) from error
    except OSError as error:
        raise SceneError(name, f"it cannot be read ({error})", _AGAIN) from error
    finally:
        data.close()
    return layout


def _check_magic(name: str, data: Bytes) -> None:
    if data.size == 0:
        raise SceneError(name, "it is empty (0 bytes)", "wait for its upload to end, or " + _AGAIN)
    head = data.read(0, 256)
    if head[:4] in _MAGIC:
        return
    if data.size < 8:
        raise SceneError(name, f"it ends after {data.size} bytes", _AGAIN)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((what for start, what in _LOOKS_LIKE.items() if text.startswith(start)), "")
    seen = f"it looks like {kind}" if kind else f"it starts with the bytes {head[:8].hex(' ')}"
    raise SceneError(name, f"it is not a TIFF; {seen}", "name a GeoTIFF, or convert it to one")


def _check_limits(name: str, page: tiff.Page, ref: SceneRef) -> None:
    most = int(options(ref).get("max_pixels", MAX_PIXELS))
    if page.height * page.width > most:
        raise SceneError(
            name,
            f"it claims {page.height} x {page.width} pixels, the limit is {most}",
            "cut it into parts (gdal_retile.py)",
        )
    if page.samples > MAX_BANDS:
        raise SceneError(
            name,
            f"it claims {page.samples} bands, the limit is {MAX_BANDS}",
            "choose some (gdal_translate -b ...)",
        )
    if page.block_bytes > MAX_BLOCK_BYTES:
        raise SceneError(
            name,
            f"a single block of it takes {page.block_bytes / 2**20:.0f} MiB, "
            f"the limit is {MAX_BLOCK_BYTES // 2**20} MiB",
            "store it in tiles (gdal_translate -co TILED=YES)",
        )


def zero_tail(href: str, page: tiff.Page) -> int:
    """Return how many blocks at the file's end hold nothing but zero bytes."""
    present = np.flatnonzero(page.counts[: page.blocks])
    order = present[np.argsort(page.offsets[present])][::-1]
    data = open_bytes(href)
    count, looked_at = 0, 0
    try:
        for block in order:
            length = int(page.counts[block])
            if looked_at > ZEROS_LOOKED_AT or data.read(int(page.offsets[block]), length).strip(b"\0"):
                break
            count, looked_at = count + 1, looked_at + length
    finally:
        data.close()
    return count


def split_alpha(source: DatasetReader) -> tuple[tuple[int, ...], int | None]:
    """Return the indices of the bands that carry imagery, and of the one that is alpha."""
    colours = source.colorinterp
    alpha = None
    if ColorInterp.alpha in colours and source.count > 1:
        alpha = colours.index(ColorInterp.alpha) + 1
    return tuple(index for index in source.indexes if index != alpha), alpha


def _bands(source: DatasetReader, page: tiff.Page) -> tuple[Band, ...]:
    bands = []
    for index in split_alpha(source)[0]:
        colour = source.colorinterp[index - 1].name.lower()
        plain = f"band_{index}" if colour in ("undefined", "gray", "grey") else colour
        if colour in ("gray", "grey") and page.photometric == 0:
            colour = "inverted gray"
        described = (source.descriptions[index - 1] or "").strip().lower()
        scale, offset = source.scales[index - 1], source.offsets[index - 1]
        bands.append(
            Band(index=index, name=described or plain, colour=colour, scale=scale, offset=offset)
        )
    return tuple(bands)


def has_mask(source: DatasetReader) -> bool:
    """Return whether an internal or external mask says where the scene is valid."""
    flags = source.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _claims(source: DatasetReader) -> Claims:
    points, points_crs = source.gcps
    return Claims(
        height=source.height,
        width=source.width,
        crs_wkt=source.crs.to_wkt() if source.crs else "",
        transform=tuple(source.transform)[:6],
        gcps=[(point.col, point.row, point.x, point.y) for point in points],
        gcps_wkt=points_crs.to_wkt() if points_crs else "",
        rpcs=source.rpcs is not None,
    )


def examine(ref: SceneRef, source: DatasetReader, layout: tiff.Layout) -> SceneInfo:
    """Return what is known of a GeoTIFF, or why it cannot be mapped.

    Raises:
        SceneError: Pixels or place are of a kind that nobody could map.
    """
    name, chosen, page = redacted(ref.href), options(ref), layout.scene
    dtype = source.dtypes[0]
    if dtype.startswith("complex"):
        raise SceneError(
            name, f"its pixels are complex numbers ({dtype})", "write their magnitude first"
        )
    if page.photometric in _UNUSABLE:
        model = tiff.PHOTOMETRIC[page.photometric]
        raise SceneError(
            name, f"its colours are {model}", "convert it to RGB or gray (keeping its georeference)"
        )
    warnings: list[str] = []
    georef: Georef | None = None
    if chosen.get("georef") != "none":
        if page.orientation not in (0, 1):
            raise SceneError(
                name,
                f"its orientation tag is {page.orientation}: its rows do not run as its "
                "georeference says",
                "write it upright (orientation 1)",
            )
        georef, warnings[:] = place(name, _claims(source), assumed_crs=chosen.get("crs", ""))
    alpha = split_alpha(source)[1]
    warnings.extend(_pixel_doubts(ref, source, layout, alpha))
    return SceneInfo(
        name=slug(stem(ref)),
        source=name,
        height=source.height,
        width=source.width,
        bands=_bands(source, page),
        dtype=dtype,
        georef=georef,
        fingerprint=content_digest(ref.href),
        datetime=moment.taken(
            option=chosen.get("datetime", ""), tags=source.tags(), name=stem(ref)
        ),
        block=page.block,
        stored_bytes=page.stored_bytes,
        nodata=source.nodata,
        warnings=tuple(warnings),
        bits=page.bits,
        sparse=page.sparse,
    )


def _pixel_doubts(
    ref: SceneRef, source: DatasetReader, layout: tiff.Layout, alpha: int | None
) -> list[str]:
    doubts: list[str] = []
    page, nodata, local = layout.scene, source.nodata, not is_remote(ref.href)
    if layout.other_scenes:
        doubts.append(f"it holds {layout.other_scenes + 1} images; only the first is mapped")
    if alpha and nodata is not None:
        doubts.append(f"it has an alpha band and nodata {nodata:g}; alpha decides where it is valid")
    elif has_mask(source) and nodata is not None:
        doubts.append(f"it has a mask and nodata {nodata:g}; the mask decides where it is valid")
    if nodata is not None and not fits(nodata, source.dtypes[0]):
        doubts.append(f"its nodata {nodata:g} does not fit {source.dtypes[0]}; it is not used")
    declared = source.tags().get("GDAL_NODATA")
    if nodata is None and declared:
        doubts.append(f"its nodata {declared} does not fit {source.dtypes[0]}; it is not used")
    if page.photometric == 0:
        doubts.append("its gray is stored inverted: 0 is white")
    if local:
        covered = alpha or has_mask(source) or nodata == 0
        tail = 0 if covered else zero_tail(ref.href, page)
        if tail and page.compression != 1:
            fault = f"the last {tail} of its {page.blocks} blocks hold only zero bytes"
            raise SceneError(redacted(ref.href), fault, _AGAIN)
        if tail:
            doubts.append(
                f"the last {tail} of its {page.blocks} blocks hold only zero bytes: "
                "was it written or copied to its end?"
            )
        doubts.extend(_ignored_sidecars(ref.href, source))
    return doubts


def _ignored_sidecars(path: str, source: DatasetReader) -> list[str]:
    doubts = []
    if os.path.exists(path + ".msk") and path + ".msk" not in source.files:
        doubts.append("the .msk file beside it is not a mask of it, and is ignored")
    if os.path.exists(path + ".aux.xml"):
        doubts.append("the .aux.xml file beside it is ignored")
    return doubts
