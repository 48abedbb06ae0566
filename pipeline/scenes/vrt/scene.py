"""VRT mosaics as scenes: their files found below the VRT's own folder, their windows as parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rasterio.crs import CRS
from rasterio.errors import CRSError

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.geotiff.georeferencing import GeorefTags, georeference
from pipeline.scenes.geotiff.header import MAX_PIXELS
from pipeline.scenes.kinds import kind_of
from pipeline.scenes.parts import Mosaic, MosaicPart
from pipeline.scenes.scene import SceneRef
from pipeline.scenes.vrt.dataset import VrtBand, VrtDataset, VrtSource, parse_vrt
from pipeline.scenes.vrt.xml import VrtSyntaxError

SUFFIX = ".vrt"
MAX_BYTES = 256 * 2**20
"""Larger VRTs are refused; 20,000 files of three bands take 30 MB."""
_CONVERT = "write it as one file: rio convert {path} {stem}.tif"
_READ = (
    "only mosaics of whole windows are read (SimpleSource, ComplexSource with NODATA), as "
    "gdalbuildvrt writes them; "
)


def vrt_scene(path: str, options: Mapping[str, str]) -> SceneRef:
    """Return the scene that a local VRT file describes; GDAL does not open it.

    Files are taken from below the VRT's folder alone. Bands that are made of the same windows
    of the same files become one mosaic; others, as ``gdalbuildvrt -separate`` makes, a stack.

    Args:
        path: The file, links followed.
        options: Settings of the scene: ``crs`` where the VRT names none, ``georef``,
            ``datetime``.

    Raises:
        SceneError: It is no VRT mosaic, or one of a kind that is not read.
    """
    try:
        dataset = parse_vrt(_bytes(path))
        bands = [_Band(path, band, dataset) for band in dataset.bands]
    except VrtSyntaxError as error:
        raise _refused(path, str(error)) from error
    if dataset.height * dataset.width > MAX_PIXELS:
        raise SceneError(
            path,
            f"it has {dataset.height} x {dataset.width} pixels, the limit is {MAX_PIXELS}",
            "cut it into several",
        )
    base = _base(path, dataset, options)
    own = tuple(sorted({"georef": "none", **_only(options, "datetime")}.items()))
    imagery = [band for band in bands if not band.is_alpha]
    if not imagery:
        raise _refused(path, "all of its bands are alpha")
    chosen = tuple(sorted(options.items()))
    ref = SceneRef(kind="mosaic", href=path, options=chosen)
    if all(band.windows == imagery[0].windows for band in imagery):
        return replace(ref, mosaic=_mosaic(base, imagery, own))
    members = tuple(replace(ref, mosaic=_mosaic(base, [band], own)) for band in imagery)
    return replace(ref, kind="stack", stack=members)


class _Band:
    """A band and the windows that it is made of, the topmost first."""

    def __init__(self, path: str, band: VrtBand, dataset: VrtDataset) -> None:
        whole = Window(row=0, col=0, height=dataset.height, width=dataset.width)
        self.band = band
        self.numbers: list[int] = []
        self.nodata: list[float | None] = []
        self.windows: list[tuple[str, Window, int, int]] = []
        if band.colour == "alpha":
            return
        if not band.sources:
            raise VrtSyntaxError("a band has no sources")
        for source in reversed(band.sources):
            if source.constant:
                raise VrtSyntaxError("a source has <ScaleRatio>, which changes its values")
            placed = _placed(source, whole)
            if placed is not None:
                own, target = placed
                self.windows.append((_file(path, source), own, target.row, target.col))
                self.numbers.append(source.band)
                self.nodata.append(source.nodata)
        if not self.windows:
            raise VrtSyntaxError("none of a band's files lies inside it")

    @property
    def is_alpha(self) -> bool:
        """Whether it is alpha: its values follow from the files and where they lie."""
        return self.band.colour == "alpha"


def _placed(source: VrtSource, whole: Window) -> tuple[Window, Window] | None:
    """Return a source's pixels and where they lie, cut at the mosaic's edges; None outside."""
    target = source.target
    own = source.source
    if target is None:
        target = whole if own is None else replace(own, row=0, col=0)
    if own is None:
        own = replace(target, row=0, col=0)
    if own.row < 0 or own.col < 0:
        raise VrtSyntaxError(f"a <SrcRect> begins at row {own.row}, column {own.col}")
    if (own.height, own.width) != (target.height, target.width):
        raise VrtSyntaxError(f"'{source.file[:80]}' is resampled")
    outside = target.row >= whole.height or target.col >= whole.width
    if outside or min(target.bottom, target.right) <= 0:
        return None
    cut = target.clipped(height=whole.height, width=whole.width)
    shifted = replace(cut, row=own.row + cut.row - target.row, col=own.col + cut.col - target.col)
    return shifted, cut


def _mosaic(base: Mosaic, bands: Sequence[_Band], options: tuple[tuple[str, str], ...]) -> Mosaic:
    """Return the mosaic of bands that are made of the same windows."""
    parts = []
    kinds: dict[str, str] = {}
    for at, (file, own, row, col) in enumerate(bands[0].windows):
        values = [band.nodata[at] for band in bands]
        known = [value for value in values if value is not None]
        parts.append(
            MosaicPart(
                href=file,
                source=own,
                row=row,
                col=col,
                kind=kinds.setdefault(file, kind_of(file)),
                options=options,
                bands=tuple(band.numbers[at] for band in bands),
                nodata=tuple(known) if len(known) == len(values) else (),
            )
        )
    declared = [band.band.nodata for band in bands if not band.band.hides_nodata]
    known = [value for value in declared if value is not None]
    return replace(
        base,
        parts=tuple(parts),
        dtype=bands[0].band.dtype,
        nodata=tuple(known) if len(known) == len(bands) else (),
        names=tuple(band.band.name for band in bands),
        colours=tuple(band.band.colour for band in bands),
    )


def _base(path: str, dataset: VrtDataset, options: Mapping[str, str]) -> Mosaic:
    """Return a mosaic without parts: its size and its georeferencing.

    Raises:
        SceneError: The place is unknown or impossible.
    """
    empty = Mosaic(
        height=dataset.height,
        width=dataset.width,
        crs_wkt="",
        transform=dataset.transform,
        parts=(),
        file=path,
    )
    if options.get("georef") == "none":
        return empty
    claims = GeorefTags(
        height=dataset.height,
        width=dataset.width,
        crs_wkt=_wkt(path, dataset.crs),
        transform=dataset.transform,
    )
    georef, warnings = georeference(path, claims, assumed_crs=options.get("crs", ""))
    return replace(empty, crs_wkt=georef.crs_wkt, transform=georef.transform, warnings=warnings)


def _wkt(path: str, text: str) -> str:
    """Return a reference system as WKT as GDAL reads it from a GeoTIFF; empty for none.

    Raises:
        SceneError: It is none that is known.
    """
    if not text:
        return ""
    try:
        return str(CRS.from_user_input(text).to_wkt())
    except CRSError as error:
        raise _refused(path, f"its <SRS> '{text[:80]}' is no reference system") from error


def _file(path: str, source: VrtSource) -> str:
    """Return the absolute path of a source's file.

    Raises:
        VrtSyntaxError: It is no file below the VRT's folder, or a VRT itself.
    """
    named = source.file
    if "://" in named or named.startswith(("/vsi", "<", "{")) or "\0" in named:
        raise VrtSyntaxError(f"its source '{named[:120]}' is no file beside it")
    folder = Path(path).parent
    try:
        file = (folder / named if source.is_relative else Path(named)).resolve()
    except (OSError, RuntimeError) as error:
        raise VrtSyntaxError(f"its source '{named[:120]}' cannot be looked up") from error
    if not file.is_relative_to(folder.resolve()):
        raise VrtSyntaxError(f"its source '{named[:120]}' does not lie below its own folder")
    if file.name.lower().endswith(SUFFIX):
        raise VrtSyntaxError(f"its source '{named[:120]}' is a VRT itself")
    if not file.is_file():
        what = "does not exist" if not file.exists() else "is no regular file"
        raise VrtSyntaxError(f"its source '{named[:120]}' {what}")
    return str(file)


def _bytes(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SceneError(path, f"it cannot be read ({reason})", "check its rights") from error
    if len(data) > MAX_BYTES:
        raise SceneError(path, f"it takes more than {MAX_BYTES} bytes", "cut it into several")
    return data


def _only(options: Mapping[str, str], name: str) -> dict[str, str]:
    return {name: options[name]} if name in options else {}


def _refused(path: str, reason: str) -> SceneError:
    hint = _CONVERT.format(path=path, stem=Path(path).stem)
    return SceneError(path, f"{reason}: {_READ.rstrip('; ')}", hint)
