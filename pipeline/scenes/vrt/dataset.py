"""What a VRT file describes: bands, and the windows of files that they are made of.

Elements are those of GDAL's format description ("VRT -- GDAL Virtual Format"); those that would
compute, warp or reach out of the mosaic are refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.core.window import Window
from pipeline.scenes.vrt.xml import Element, ElementReader, VrtSyntaxError

MOST_SOURCES = 600_000
"""Sources of all bands: 150,000 files of four bands."""
MOST_BANDS = 256
LONGEST_EDGE = 2**31 - 1
_TOLERANCE = 1e-3
"""Pixels by which a window may miss whole pixels: rounding of its numbers."""
_TYPES = {
    "Byte": "uint8",
    "Int8": "int8",
    "UInt16": "uint16",
    "Int16": "int16",
    "UInt32": "uint32",
    "Int32": "int32",
    "Float32": "float32",
    "Float64": "float64",
}
_DATASET_IGNORED = {"Metadata", "OverviewList", "BlockXSize", "BlockYSize"}
_BAND_IGNORED = {"Metadata", "Histograms", "CategoryNames", "UnitType", "Overview", "ColorTable"}
_SOURCE_IGNORED = {"SourceProperties", "UseMaskBand"}
_ALPHA = {"ScaleOffset": 255.0, "ScaleRatio": 0.0}
"""How ``gdalbuildvrt -addalpha`` writes 255 wherever a file lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VrtSource:
    """A window of a band of a file, and where it lies in the mosaic."""

    file: str
    """As the VRT names it."""
    is_relative: bool
    """Whether the name counts from the VRT's folder."""
    band: int
    """Band of the file, from 1."""
    source: Window | None
    """Pixels of the file; None: all of them."""
    target: Window | None
    """Pixels of the mosaic, as many; None: all of them."""
    nodata: float | None = None
    """Value of the file that leaves what lies below to be seen."""
    constant: bool = False
    """Whether it stands for 255 wherever the file lies, not for the file's pixels."""


@dataclass(slots=True, kw_only=True)
class VrtBand:
    """A band of a mosaic."""

    dtype: str
    """NumPy name of its type."""
    colour: str = ""
    """Colour interpretation, lower case; empty where there is none."""
    name: str = ""
    """Description."""
    nodata: float | None = None
    """Value of pixels without data."""
    hides_nodata: bool = False
    """Whether that value is not declared to readers."""
    sources: list[VrtSource] = field(default_factory=list)
    """Later ones lie over earlier ones."""


@dataclass(slots=True, kw_only=True)
class VrtDataset:
    """A mosaic as a VRT describes it."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    crs: str = ""
    """Reference system as it is written there: WKT or ``EPSG:...``; empty where there is none."""
    transform: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    """``(a, b, c, d, e, f)`` as in `Georef.transform`; the identity where there is none."""
    bands: list[VrtBand] = field(default_factory=list)
    """In order."""


def parse_vrt(data: bytes) -> VrtDataset:
    """Parse a VRT mosaic.

    Raises:
        VrtSyntaxError: It is no VRT, or holds an element, type or window that is not read.
    """
    builder = _Builder()
    ElementReader(begin=builder.begin, child=builder.child).parse(data)
    found = builder.dataset
    if found is None or not found.bands:
        raise VrtSyntaxError("it has no bands")
    return found


class _Builder:
    """Collects a dataset from its elements."""

    def __init__(self) -> None:
        self.dataset: VrtDataset | None = None
        self._sources = 0

    @property
    def _known(self) -> VrtDataset:
        if self.dataset is None:
            raise VrtSyntaxError("it does not begin with <VRTDataset>")
        return self.dataset

    def begin(self, element: Element) -> None:
        """Take the beginning of the dataset or of a band."""
        given = element.attributes
        if "subClass" in given:
            raise VrtSyntaxError(f"it is a <{element.name} subClass='{given['subClass'][:40]}'>")
        if element.name == "VRTDataset":
            self.dataset = VrtDataset(
                height=_whole(given, "rasterYSize"), width=_whole(given, "rasterXSize")
            )
            return
        known = self._known
        kind = given.get("dataType", "Byte")
        if kind not in _TYPES:
            raise VrtSyntaxError(f"a band's dataType is '{kind[:40]}', not {', '.join(_TYPES)}")
        if len(known.bands) >= MOST_BANDS:
            raise VrtSyntaxError(f"it has more than {MOST_BANDS} bands")
        if given.get("band", str(len(known.bands) + 1)) != str(len(known.bands) + 1):
            raise VrtSyntaxError(f"band '{given['band'][:20]}' is out of order")
        known.bands.append(VrtBand(dtype=_TYPES[kind]))

    def child(self, band: Element | None, element: Element) -> None:
        """Take an element of the dataset or of a band."""
        if band is None:
            self._of_dataset(element)
        else:
            self._of_band(self._known.bands[-1], element)

    def _of_dataset(self, element: Element) -> None:
        match element.name:
            case "SRS":
                self._known.crs = element.text
            case "GeoTransform":
                self._known.transform = _affine(element.text)
            case name if name not in _DATASET_IGNORED:
                raise VrtSyntaxError(f"it has a <{name[:40]}>")

    def _of_band(self, band: VrtBand, element: Element) -> None:
        match element.name:
            case "NoDataValue":
                band.nodata = _number(element.text, element.name)
            case "HideNoDataValue":
                band.hides_nodata = element.text.lower() in ("1", "true", "yes")
            case "ColorInterp":
                band.colour = element.text.lower()
            case "Description":
                band.name = element.text
            case "Scale" | "Offset":
                neutral = 1.0 if element.name == "Scale" else 0.0
                if _number(element.text, element.name) != neutral:
                    raise VrtSyntaxError(f"a band has <{element.name}>{element.text[:40]}")
            case "SimpleSource" | "ComplexSource":
                self._sources += 1
                if self._sources > MOST_SOURCES:
                    raise VrtSyntaxError(f"it has more than {MOST_SOURCES} sources")
                band.sources.append(_source(element))
            case name if name not in _BAND_IGNORED:
                raise VrtSyntaxError(f"a band has a <{name[:40]}>")


def _source(element: Element) -> VrtSource:
    texts: dict[str, Element] = {}
    for child in element.children:
        if child.name in _SOURCE_IGNORED:
            continue
        if child.name in texts:
            raise VrtSyntaxError(f"a <{element.name}> has two <{child.name[:40]}>")
        texts[child.name] = child
    scaled = {name: _number(texts.pop(name).text, name) for name in _ALPHA if name in texts}
    constant = scaled == _ALPHA and element.name == "ComplexSource"
    if scaled and not constant:
        raise VrtSyntaxError(f"a source has <{next(iter(scaled))}>, which changes its values")
    file, band = texts.pop("SourceFilename", None), texts.pop("SourceBand", None)
    source, target = texts.pop("SrcRect", None), texts.pop("DstRect", None)
    nodata = texts.pop("NODATA", None) if element.name == "ComplexSource" else None
    if texts:
        raise VrtSyntaxError(f"a <{element.name}> has a <{next(iter(texts))[:40]}>")
    if file is None or not file.text:
        raise VrtSyntaxError(f"a <{element.name}> has no <SourceFilename>")
    number = "1" if band is None else band.text
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 100_000):
        raise VrtSyntaxError(f"a <SourceBand> is '{number[:40]}', not the number of a band")
    windows = [None if one is None else _window(one) for one in (source, target)]
    own, placed = windows
    if own and placed and (own.height, own.width) != (placed.height, placed.width):
        raise VrtSyntaxError(
            f"'{file.text[:80]}' is resampled: {own.height} x {own.width} pixels become "
            f"{placed.height} x {placed.width}"
        )
    return VrtSource(
        file=file.text,
        is_relative=file.attributes.get("relativeToVRT", "0").lower() in ("1", "true", "yes"),
        band=int(number),
        source=own,
        target=placed,
        nodata=None if nodata is None else _number(nodata.text, "NODATA"),
        constant=constant,
    )


def _window(element: Element) -> Window:
    values = []
    for name in ("yOff", "xOff", "ySize", "xSize"):
        value = _number(element.attributes.get(name, ""), f"{element.name} {name}")
        known = math.isfinite(value) and abs(value) <= LONGEST_EDGE
        if not known or abs(value - round(value)) > _TOLERANCE:
            raise VrtSyntaxError(f"the {name} of a <{element.name}> is {value:g}, no whole pixels")
        values.append(round(value))
    row, col, height, width = values
    if height <= 0 or width <= 0:
        raise VrtSyntaxError(f"a <{element.name}> has {height} x {width} pixels")
    return Window(row=row, col=col, height=height, width=width)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise VrtSyntaxError(f"{name} is '{text[:40]}', no number") from error


def _whole(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, "")
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= LONGEST_EDGE):
        raise VrtSyntaxError(f"{name} is '{text[:40]}', no number of pixels")
    return int(text)


def _affine(text: str) -> tuple[float, float, float, float, float, float]:
    """Return ``(a, b, c, d, e, f)`` of GDAL's order ``c, a, b, f, d, e``."""
    values = [_number(part.strip(), "GeoTransform") for part in text.split(",")]
    if len(values) != 6 or not all(map(math.isfinite, values)):
        raise VrtSyntaxError(f"its GeoTransform is '{text[:80]}', not six numbers")
    c, a, b, f, d, e = values
    return a, b, c, d, e, f
