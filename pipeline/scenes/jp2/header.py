"""Is a JPEG 2000 file whole, does it claim too much, does it hold what is not supported?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import SceneError
from pipeline.scenes.access.location import open_bytes
from pipeline.scenes.foreign import appearance, filled, hint
from pipeline.scenes.geotiff.header import MAX_BANDS, MAX_PIXELS
from pipeline.scenes.jp2.boxes import MAGIC, RAW_MAGIC, Container, read_container
from pipeline.scenes.jp2.codestream import BrokenJp2Error, Codestream, read_codestream
from pipeline.scenes.scene import SceneRef

MAX_BITS = 16
MAX_TILE_BYTES = 128 * 2**20
"""Decoded bytes of a tile: four for each sample, as OpenJPEG has them."""
MAX_STORED_BYTES = 256 * 2**20
"""Stored bytes of a tile, which OpenJPEG reads whole, for a window of it too."""
LARGE_STORED_BYTES = 32 * 2**20
"""Of a tile that is larger as stored a warning is given: each thread that reads holds it."""
MAX_UNITS = 1_000_000
"""Code blocks and precincts of a tile: each takes some hundred bytes."""
MAX_PACKETS = 50_000_000
"""Code blocks and precincts of a tile, times quality layers."""
MAX_TILES_BYTES = 256 * 2**20
"""What OpenJPEG takes for all tiles before one is decoded: see `_TILE` and `_TILE_BAND`."""
WINDOW = 1024
"""GDAL decodes an image of a single tile in windows of this edge."""
_TILE, _TILE_BAND = 6000, 1100
"""Bytes for a tile, and for each component of it (measured with OpenJPEG 2.5)."""
_COLOURS: Mapping[int, str] = {
    1: "YCbCr",
    3: "YCbCr",
    4: "YCbCr",
    12: "CMYK",
    13: "YCCK",
    14: "CIELab",
    18: "sYCC",
    19: "CIEJab",
    24: "e-sYCC",
}
_AGAIN = "fetch or export it again"
_SMALLER = (
    "write it with tiles of 1024 x 1024 pixels, or as a tiled GeoTIFF: {rio} convert {source} "
    "{target} --co tiled=yes --co blockxsize=512 --co blockysize=512"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jp2Layout:
    """Header of a JPEG 2000 file."""

    container: Container
    """Its boxes."""
    image: Codestream
    """Its image."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes it dear to read, and what in it is not mapped."""
        found, stored = [], self.image.largest_tile_bytes
        if stored > LARGE_STORED_BYTES:
            found.append(
                f"a tile of it takes {stored / 2**20:.0f} MiB as stored, which each thread that "
                "reads holds beside --max-memory; with tiles of 1024 x 1024 pixels it takes less "
                "memory and time"
            )
        if self.container.codestreams > 1:
            found.append(f"it holds {self.container.codestreams} images; only the first is mapped")
        return tuple(found)

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns that are decoded at a time."""
        rows, cols = self.image.tile
        return (min(rows, WINDOW), min(cols, WINDOW)) if self.image.tiles == 1 else (rows, cols)


def examine_jp2(ref: SceneRef) -> Jp2Layout:
    """Read the headers of a JPEG 2000 file, and check that all of it is there.

    Raises:
        SceneError: It is cut off, claims more than is allowed, or is of a kind that is not read.
    """
    data = open_bytes(ref.href)
    try:
        if data.size == 0:
            raise SceneError(ref.href, "it is empty (0 bytes)", f"wait for its upload, or {_AGAIN}")
        head = data.read(0, 256)
        if not head.startswith((MAGIC, RAW_MAGIC)):
            raise SceneError(
                ref.href,
                f"it is not a JPEG 2000; {appearance(ref.href, head)}",
                hint(ref.href, head),
            )
        container = read_container(data.read, data.size)
        _check_container(ref.href, container)
        image = read_codestream(data.read, *container.codestream)
    except BrokenJp2Error as error:
        raise SceneError(ref.href, f"it is not a whole JPEG 2000: {error}", _AGAIN) from error
    except OSError as error:
        raise SceneError(ref.href, f"it cannot be read ({error})", _AGAIN) from error
    finally:
        data.close()
    _check_size(ref, container, image)
    _check_components(ref.href, container, image)
    _check_memory(ref.href, image)
    return Jp2Layout(container=container, image=image)


def _check_container(name: str, container: Container) -> None:
    if container.links:
        boxes = ", ".join(repr(kind.strip()) for kind in container.links)
        raise SceneError(
            name,
            f"it is a JPX that refers to other files or to fragments (boxes {boxes}), which are "
            "not read",
            "write it as one plain JP2 or GeoTIFF",
        )
    if container.colours in _COLOURS:
        model = _COLOURS[container.colours]
        raise SceneError(name, f"its colours are {model}", "convert it to RGB or gray")


def _check_size(ref: SceneRef, container: Container, image: Codestream) -> None:
    most = int(dict(ref.options).get("max_pixels", MAX_PIXELS))
    claimed = (image.height, image.width, len(image.components))
    if container.size not in (None, claimed):
        raise SceneError(
            ref.href,
            f"its header claims rows, columns and bands of {container.size}, its codestream "
            f"{claimed}",
            _AGAIN,
        )
    if image.height * image.width > most:
        raise SceneError(
            ref.href,
            f"it claims {image.height} x {image.width} pixels, the limit is {most}",
            "cut it into parts (gdal_retile.py)",
        )
    if image.offset != (0, 0):
        raise SceneError(
            ref.href,
            f"its first pixel is at row {image.offset[0]}, column {image.offset[1]} of its grid, "
            "and only images and tiles that begin at 0, 0 are read",
            "write it again without an offset, or as a GeoTIFF",
        )


def _check_components(name: str, container: Container, image: Codestream) -> None:
    bands, first = image.components, image.components[0]
    if len(bands) > MAX_BANDS:
        raise SceneError(
            name,
            f"it claims {len(bands)} bands, the limit is {MAX_BANDS}",
            "choose some (gdal_translate -b ...)",
        )
    if image.extended:
        raise SceneError(
            name,
            "it is coded with extensions of JPEG 2000 (such as high throughput, HTJ2K), which are "
            "not read",
            "write it as a plain JP2 or as a GeoTIFF",
        )
    for number, band in enumerate(bands, start=1):
        if band.step != (1, 1):
            raise SceneError(
                name,
                f"its band {number} has a sample for every {band.step[0]} x {band.step[1]} pixels "
                "(subsampled colours)",
                "write it without subsampling, as RGB",
            )
        if band.bits > MAX_BITS:
            raise SceneError(
                name,
                f"its band {number} has {band.bits} bits, the limit is {MAX_BITS}",
                "convert it to 16 bits, or to a GeoTIFF",
            )
        mask = number - 1 in container.alpha and band.bits == 1
        if not mask and (band.bits, band.signed) != (first.bits, first.signed):
            raise SceneError(
                name,
                f"its band {number} has {_depth(band.bits, signed=band.signed)}, band 1 "
                f"{_depth(first.bits, signed=first.signed)}",
                "write all bands with the same type, or as separate files",
            )


def _depth(bits: int, *, signed: bool) -> str:
    return f"{bits} {'signed' if signed else 'unsigned'} bits"


def _check_memory(name: str, image: Codestream) -> None:
    count, (rows, cols) = len(image.components), image.tile
    tiles = image.tiles * (_TILE + count * _TILE_BAND)
    if tiles > MAX_TILES_BYTES:
        raise SceneError(
            name,
            f"it has {image.tiles} tiles of {rows} x {cols} pixels, which take "
            f"{tiles / 2**20:.0f} MiB before one is read, the limit is "
            f"{MAX_TILES_BYTES // 2**20} MiB",
            filled(_SMALLER, name),
        )
    decoded = 4 * count * rows * cols
    if image.tiles > 1 and decoded > MAX_TILE_BYTES:
        raise SceneError(
            name,
            f"a tile of it ({rows} x {cols} pixels, {count} bands) takes {decoded / 2**20:.0f} MiB "
            f"decoded, the limit is {MAX_TILE_BYTES // 2**20} MiB",
            filled(_SMALLER, name),
        )
    if image.largest_tile_bytes > MAX_STORED_BYTES:
        raise SceneError(
            name,
            f"a tile of it takes {image.largest_tile_bytes / 2**20:.0f} MiB as stored, which is "
            f"read for every window; the limit is {MAX_STORED_BYTES // 2**20} MiB",
            filled(_SMALLER, name),
        )
    if image.units > MAX_UNITS or image.units * image.layers > MAX_PACKETS:
        raise SceneError(
            name,
            f"a tile of it has {image.units} code blocks and precincts in {image.layers} quality "
            f"layers, the limits are {MAX_UNITS} and {MAX_PACKETS} with layers",
            filled(_SMALLER, name),
        )
