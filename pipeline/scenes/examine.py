"""Everything that is asked of a GeoTIFF before its pixels are used."""

from __future__ import annotations

import stat
from pathlib import Path

from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from pipeline.core.georef import Georef
from pipeline.errors import SceneError
from pipeline.scenes import moment, tiff
from pipeline.scenes.blocks import zero_tail
from pipeline.scenes.location import is_remote, mode_of
from pipeline.scenes.names import redacted, slug, stem
from pipeline.scenes.placing import Claims, place
from pipeline.scenes.scene import Band, SceneInfo, SceneRef
from pipeline.scenes.validity import fits, is_number

_AGAIN = "fetch or export it again"
_UNUSABLE = frozenset({4, 5, 8, 9, 10, 32803, 32844, 32845})


def split_alpha(source: DatasetReader) -> tuple[tuple[int, ...], int | None]:
    """Return the indices of the bands that carry imagery, and of the one that is alpha."""
    colours = source.colorinterp
    alpha = None
    if ColorInterp.alpha in colours and source.count > 1:
        alpha = colours.index(ColorInterp.alpha) + 1
    return tuple(index for index in source.indexes if index != alpha), alpha


def image_bands(source: DatasetReader, *, inverted: bool = False) -> tuple[Band, ...]:
    """Return the bands that carry imagery; ``inverted`` where 0 is white."""
    bands = []
    imagery, _ = split_alpha(source)
    for index in imagery:
        colour = source.colorinterp[index - 1].name.lower()
        # Of several bands "gray" is only what GDAL calls the first.
        nameless = colour == "undefined" or (colour in ("gray", "grey") and len(imagery) > 1)
        plain = f"band_{index}" if nameless else colour
        if colour in ("gray", "grey") and inverted:
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


def _affine(source: DatasetReader) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f = (float(number) for number in tuple(source.transform)[:6])
    return a, b, c, d, e, f


def _claims(source: DatasetReader, *, rpcs: bool) -> Claims:
    points, points_crs = source.gcps
    return Claims(
        height=source.height,
        width=source.width,
        crs_wkt=source.crs.to_wkt() if source.crs else "",
        transform=_affine(source),
        gcps=[(point.col, point.row, point.x, point.y) for point in points],
        gcps_wkt=points_crs.to_wkt() if points_crs else "",
        rpcs=rpcs,
    )


def examine(ref: SceneRef, source: DatasetReader, layout: tiff.Layout, digest: str) -> SceneInfo:
    """Return what is known of a GeoTIFF, or why it cannot be mapped.

    Raises:
        SceneError: Pixels or place are of a kind that nobody could map.
    """
    name, chosen, page = redacted(ref.href), dict(ref.options), layout.scene
    dtype = source.dtypes[0]
    if dtype.startswith("complex"):
        raise SceneError(
            name, f"its pixels are complex numbers ({dtype})", "write their magnitude first"
        )
    if page.kind & 0b101 and layout.other_scenes:
        what = "a mask" if page.kind & 0b100 else "a reduced copy"
        raise SceneError(
            name,
            f"its first image is {what} of one that follows, and only the first would be mapped",
            "write that one alone (gdal_translate GTIFF_DIR:2:SCENE.tif ...)",
        )
    if page.photometric in _UNUSABLE:
        model = tiff.PHOTOMETRIC[page.photometric]
        raise SceneError(
            name, f"its colours are {model}", "convert it to RGB or gray (keeping its georeference)"
        )
    owed = chosen.get("sha256")
    if owed and digest.startswith("sha256:") and digest != f"sha256:{owed}":
        raise SceneError(name, f"its content is not what its item states (sha256 {owed})", _AGAIN)
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
        georef, warnings[:] = place(
            name, _claims(source, rpcs=page.rpcs), assumed_crs=chosen.get("crs", "")
        )
    alpha = split_alpha(source)[1]
    warnings.extend(_pixel_doubts(ref, source, layout, alpha))
    return SceneInfo(
        name=slug(stem(ref)),
        source=name,
        height=source.height,
        width=source.width,
        bands=image_bands(source, inverted=page.photometric == 0),
        dtype=dtype,
        georef=georef,
        fingerprint=digest,
        datetime=moment.taken(
            option=chosen.get("datetime", ""), tags=source.tags(), name=stem(ref)
        ),
        block=page.block,
        stored_bytes=page.stored_bytes,
        nodata=_nodata(source, page),
        warnings=tuple(warnings),
        bits=page.bits,
        sparse=page.sparse,
    )


def _nodata(source: DatasetReader, page: tiff.Page) -> float | None:
    # GDAL reads what is no number as 0.
    if source.nodata is None or (page.nodata and not is_number(page.nodata)):
        return None
    return float(source.nodata)


def _pixel_doubts(
    ref: SceneRef, source: DatasetReader, layout: tiff.Layout, alpha: int | None
) -> list[str]:
    doubts: list[str] = []
    page = layout.scene
    if layout.other_scenes:
        doubts.append(f"it holds {layout.other_scenes + 1} images; only the first is mapped")
    doubts.extend(_validity_doubts(source, layout, alpha))
    if page.photometric == 0:
        doubts.append("its gray is stored inverted: 0 is white")
    if not is_remote(ref.href):
        covered = alpha or has_mask(source) or source.nodata == 0
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


def _validity_doubts(source: DatasetReader, layout: tiff.Layout, alpha: int | None) -> list[str]:
    doubts: list[str] = []
    page, nodata = layout.scene, source.nodata
    if alpha and nodata is not None:
        doubts.append(f"it has alpha and nodata {nodata:g}; alpha decides where it is valid")
    elif has_mask(source) and nodata is not None:
        doubts.append(f"it has a mask and nodata {nodata:g}; the mask decides where it is valid")
    elif not alpha and not has_mask(source) and any(p.kind & 7 == 4 for p in layout.pages[1:]):
        doubts.append("the mask inside it is not of its size, and is ignored")
    if page.nodata and not is_number(page.nodata):
        doubts.append(f"its nodata {page.nodata!r} is no number; it is not used")
    elif page.nodata and (nodata is None or not fits(nodata, source.dtypes[0])):
        doubts.append(f"its nodata {page.nodata} does not fit {source.dtypes[0]}; it is not used")
    return doubts


def _ignored_sidecars(path: str, source: DatasetReader) -> list[str]:
    doubts = []
    if mode_of(Path(path + ".msk")) and not has_mask(source):
        doubts.append("the .msk file beside it is not a mask of it, and is ignored")
    aside = Path(path + ".aux.xml")
    if stat.S_ISREG(mode_of(aside)):
        with aside.open("rb") as file:
            said = file.read(2**20)
        if b"<SRS" in said or b"<GeoTransform" in said or b"<GCPList" in said:
            doubts.append("the .aux.xml file beside it would place it elsewhere; it is ignored")
    return doubts
