"""``.aux.xml`` files beside rasters (GDAL's persistent auxiliary metadata).

GDAL itself is kept from reading these files: they would override nodata and georeference
without a word. Nodata values and georeference are parsed here, with bounds.
"""

from __future__ import annotations

import math
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

MAX_BYTES = 4 * 2**20
"""Larger files are not read; statistics and colour tables take kilobytes."""
_DEEPEST = 64
_WKT = re.compile(r"[A-Z][A-Z_]{4,}\s*[\[(]|[A-Za-z]{2,12}:\d{1,9}$", re.IGNORECASE)
_NUMBER = r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*"
_SIX = re.compile(",".join([_NUMBER] * 6), re.IGNORECASE)

Affine = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pam:
    """Nodata values and georeference of an ``.aux.xml`` file."""

    nodata: tuple[tuple[int, float], ...] = ()
    """Band, from 1, and its value."""
    crs: str = ""
    """Reference system as WKT or ``EPSG:...``; empty where there is none."""
    transform: Affine | None = None
    """``(a, b, c, d, e, f)`` as in `Georef.transform`; None where there is none."""
    gcps: bool = False
    """Whether it has ground control points."""
    fault: str = ""
    """Why it, or a part of it, cannot be read."""

    @property
    def georeference(self) -> str:
        """What of a georeference it has, for messages; empty where it has none."""
        parts = {
            "a coordinate reference system": bool(self.crs),
            "a geotransform": self.transform is not None,
            "ground control points": self.gcps,
        }
        return " and ".join(name for name, there in parts.items() if there)


class _Refused(Exception):  # noqa: N818 - not an error of the pipeline
    """Stops the parser."""


class _Reader:
    """Collects the text of the elements that count."""

    def __init__(self) -> None:
        self.found: list[tuple[tuple[str, ...], int, str]] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._band = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            raise _Refused(f"its elements are nested more than {_DEEPEST} deep")
        if self._path == ["PAMDataset", "PAMRasterBand"]:
            number = attributes.get("band", "")
            self._band = int(number) if re.fullmatch(r"[0-9]{1,6}", number) else 0
        self._text.clear()

    def end(self, _name: str) -> None:
        """Take the end of an element."""
        self.found.append((tuple(self._path), self._band, "".join(self._text).strip()))
        self._path.pop()
        self._text.clear()

    def text(self, data: str) -> None:
        """Take a piece of text."""
        self._text.append(data)


def looks_like_crs(text: str) -> bool:
    """Return whether a text begins as WKT does, or is a code such as ``EPSG:32651``."""
    return _WKT.match(text) is not None


def read_pam(raster: str) -> Pam:
    """Read the ``.aux.xml`` file beside a local raster; empty where there is none."""
    path = Path(raster + ".aux.xml")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Pam()
        if status.st_size > MAX_BYTES:
            return Pam(fault=f"it takes {status.st_size} bytes, the limit is {MAX_BYTES}")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
    except FileNotFoundError:
        return Pam()
    except OSError as error:
        # A name too long to have anything beside it.
        there = path.parent.is_dir() and len(path.name.encode()) <= 255
        return Pam(fault=f"it cannot be read ({error.strerror})") if there else Pam()
    return parse_pam(data)


def parse_pam(data: bytes) -> Pam:
    """Parse the bytes of an ``.aux.xml`` file; document types are refused."""
    reader, parser = _Reader(), expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise _Refused("it has a document type, which such files have not")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)  # noqa: FBT003 - the last piece
    except _Refused as refused:
        return Pam(fault=str(refused))
    except (expat.ExpatError, ValueError, LookupError) as error:
        return Pam(fault=f"it is no sound XML ({error})"[:200])
    return _understood(reader)


def _understood(reader: _Reader) -> Pam:
    nodata: dict[int, float] = {}
    crs, esri, transform, gcps, faults = "", "", None, False, []
    for path, band, text in reader.found:
        match path:
            case ("PAMDataset", "PAMRasterBand", "NoDataValue"):
                try:
                    nodata[band] = float(text)
                except ValueError:
                    faults.append(f"its nodata {text[:40]!r} is no number")
            case ("PAMDataset", "SRS") if text:
                crs = text if looks_like_crs(text) else crs
                faults.extend([] if crs else ["its reference system is no WKT"])
            case ("PAMDataset", "GeoTransform"):
                transform = _affine(text)
                faults.extend([] if transform else [f"its geotransform {text[:60]!r} is none"])
            case ("PAMDataset", "GCPList"):
                gcps = True
            # As ArcGIS writes it.
            case ("PAMDataset", "Metadata", *_, "SpatialReference", "WKT") if looks_like_crs(text):
                esri = esri or text
    return Pam(
        nodata=tuple(sorted(nodata.items())),
        crs=crs or esri,
        transform=transform,
        gcps=gcps,
        fault="; ".join(dict.fromkeys(faults))[:300],
    )


def _affine(text: str) -> Affine | None:
    """Return ``(a, b, c, d, e, f)`` of GDAL's order ``c, a, b, f, d, e``."""
    found = _SIX.fullmatch(text)
    if found is None:
        return None
    c, a, b, f, d, e = (float(number) for number in found.groups())
    return (a, b, c, d, e, f) if all(map(math.isfinite, (a, b, c, d, e, f))) else None
