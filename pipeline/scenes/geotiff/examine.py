"""Everything that is asked of a GeoTIFF before its pixels are used."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rasterio.io import DatasetReader

from pipeline.core.georef import Georef
from pipeline.errors import SceneError
from pipeline.scenes import nodata
from pipeline.scenes.access.location import is_remote, mode_of
from pipeline.scenes.band_roles import has_mask, image_bands, split_alpha
from pipeline.scenes.geotiff import acquisition_time as moment
from pipeline.scenes.geotiff import tiff
from pipeline.scenes.geotiff.blocks import zero_tail
from pipeline.scenes.geotiff.georeferencing import GeorefTags, georeference
from pipeline.scenes.names import redacted, slug, stem
from pipeline.scenes.pam import Pam, read_pam
from pipeline.scenes.scene import SceneInfo, SceneRef
from pipeline.scenes.validity import fits, is_number, same

_AGAIN = "fetch or export it again"
_UNUSABLE = frozenset({4, 5, 8, 9, 10, 32803, 32844, 32845})


def _affine(source: DatasetReader) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f = (float(number) for number in tuple(source.transform)[:6])
    return a, b, c, d, e, f


def _claims(source: DatasetReader, *, rpcs: bool, aside: str) -> GeorefTags:
    points, points_crs = source.gcps
    return GeorefTags(
        height=source.height,
        width=source.width,
        crs_wkt=source.crs.to_wkt() if source.crs else "",
        transform=_affine(source),
        gcps=[(point.col, point.row, point.x, point.y) for point in points],
        gcps_wkt=points_crs.to_wkt() if points_crs else "",
        rpcs=rpcs,
        aside=aside,
    )


def examine(
    ref: SceneRef, source: DatasetReader, layout: tiff.TiffLayout, digest: str
) -> SceneInfo:
    """Return what is known of a GeoTIFF, or why it cannot be mapped.

    Raises:
        SceneError: Pixels or place are of a kind that cannot be mapped.
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
    expected = chosen.get("sha256")
    if expected and digest.startswith("sha256:") and digest != f"sha256:{expected}":
        raise SceneError(
            name, f"its content is not what its item states (sha256 {expected})", _AGAIN
        )
    warnings: list[str] = []
    georef: Georef | None = None
    pam = Pam() if is_remote(ref.href) else read_pam(ref.href)
    if chosen.get("georef") != "none":
        if page.orientation not in (0, 1):
            raise SceneError(
                name,
                f"its orientation tag is {page.orientation}: its rows do not run as its "
                "georeferencing states",
                "write it upright (orientation 1)",
            )
        claims = _claims(source, rpcs=page.rpcs, aside=pam.georeference)
        georef, warnings[:] = georeference(name, claims, assumed_crs=chosen.get("crs", ""))
    alpha = split_alpha(source)[1]
    value, band_nodata, about_nodata = _nodata(ref, source, page, pam)
    warnings.extend(_pixel_warnings(ref, source, layout, alpha))
    warnings.extend(about_nodata)
    warnings.extend(_ignored_sidecars(ref.href, source, pam))
    return SceneInfo(
        name=slug(stem(ref)),
        source=name,
        height=source.height,
        width=source.width,
        bands=image_bands(source, inverted=page.photometric == 0),
        dtype=dtype,
        georef=georef,
        fingerprint=digest,
        datetime=moment.acquisition_time(
            option=chosen.get("datetime", ""), tags=source.tags(), name=stem(ref)
        ),
        block=page.block,
        stored_bytes=page.stored_bytes,
        nodata=value,
        band_nodata=band_nodata,
        alpha=alpha or 0,
        validity=_validity(source, alpha, dtype, (value, band_nodata)),
        warnings=tuple(warnings),
        bits=page.bits,
        sparse=page.sparse,
    )


def _nodata(
    ref: SceneRef, source: DatasetReader, page: tiff.Page, pam: Pam
) -> tuple[float | None, tuple[float, ...], list[str]]:
    """Return the nodata value of all bands, else those of each, and warnings about them.

    Raises:
        SceneError: The user names a value that the pixels cannot hold.
    """
    dtype = source.dtypes[0]
    if nodata.is_ignored(ref):
        return nodata.given(ref, name=redacted(ref.href), dtype=dtype), (), []
    warnings: list[str] = []
    # GDAL reads what is no number as 0.
    if page.nodata and not is_number(page.nodata):
        warnings.append(f"its nodata {page.nodata!r} is no number; it is not used")
        own = None
    else:
        own = None if source.nodata is None else float(source.nodata)
        if page.nodata and (own is None or not fits(own, dtype)):
            warnings.append(f"its nodata {page.nodata} does not fit {dtype}; it is not used")
    usable = own is not None and fits(own, dtype)
    aside, warning = nodata.of_pam(pam, count=source.count, dtype=dtype)
    if warning:
        warnings.append(f"{warning}; it is not used (choose one with --nodata)")
    elif usable and any(not same(value, own) for value in aside):
        warnings.append(
            f"the .aux.xml file beside it declares another nodata than the {own:g} inside it; "
            "it is not used"
        )
    if usable or not aside:
        return own, (), warnings
    if all(same(value, aside[0]) for value in aside):
        return aside[0], (), warnings
    return None, aside, warnings


def _validity(
    source: DatasetReader,
    alpha: int | None,
    dtype: str,
    values: tuple[float | None, tuple[float, ...]],
) -> Literal["", "alpha", "mask", "nodata"]:
    if alpha:
        return "alpha"
    if has_mask(source):
        return "mask"
    value, by_band = values
    return "nodata" if by_band or (value is not None and fits(value, dtype)) else ""


def _pixel_warnings(
    ref: SceneRef, source: DatasetReader, layout: tiff.TiffLayout, alpha: int | None
) -> list[str]:
    warnings: list[str] = []
    page = layout.scene
    if layout.other_scenes:
        warnings.append(f"it holds {layout.other_scenes + 1} images; only the first is mapped")
    warnings.extend(_validity_warnings(source, layout, alpha, chosen=nodata.is_ignored(ref)))
    if page.photometric == 0:
        warnings.append("its gray is stored inverted: 0 is white")
    if not is_remote(ref.href):
        zeros = source.nodata == 0 or dict(ref.options).get(nodata.OPTION) == "0"
        covered = alpha or has_mask(source) or zeros
        tail = 0 if covered else zero_tail(ref.href, page)
        if tail and page.compression != 1:
            fault = f"the last {tail} of its {page.blocks} blocks hold only zero bytes"
            raise SceneError(redacted(ref.href), fault, _AGAIN)
        if tail:
            warnings.append(
                f"the last {tail} of its {page.blocks} blocks hold only zero bytes: "
                "was it written or copied to its end?"
            )
    return warnings


def _validity_warnings(
    source: DatasetReader, layout: tiff.TiffLayout, alpha: int | None, *, chosen: bool
) -> list[str]:
    warnings: list[str] = []
    value = None if chosen else source.nodata
    if alpha and value is not None:
        warnings.append(f"it has alpha and nodata {value:g}; alpha decides where it is valid")
    elif has_mask(source) and value is not None:
        warnings.append(f"it has a mask and nodata {value:g}; the mask decides where it is valid")
    elif not alpha and not has_mask(source) and any(p.kind & 7 == 4 for p in layout.pages[1:]):
        warnings.append("the mask inside it is not of its size, and is ignored")
    return warnings


def _ignored_sidecars(path: str, source: DatasetReader, pam: Pam) -> list[str]:
    if is_remote(path):
        return []
    warnings = []
    if mode_of(Path(path + ".msk")) and not has_mask(source):
        warnings.append("the .msk file beside it is not a mask of it, and is ignored")
    if pam.georeference:
        warnings.append("the .aux.xml file beside it would place it elsewhere; it is ignored")
    if pam.fault:
        warnings.append(f"the .aux.xml file beside it is not used: {pam.fault}")
    return warnings
