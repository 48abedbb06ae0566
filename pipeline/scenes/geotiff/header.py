"""A file's first bytes: is it a TIFF, is it whole, does it claim too much?"""

from __future__ import annotations

from pipeline.errors import SceneError
from pipeline.scenes.access.location import TIFF_MAGIC, Bytes, open_bytes
from pipeline.scenes.foreign import appearance, hint
from pipeline.scenes.geotiff import tiff
from pipeline.scenes.geotiff.blocks import check_blocks
from pipeline.scenes.geotiff.directory import BrokenTiffError
from pipeline.scenes.names import redacted
from pipeline.scenes.scene import SceneRef

MAX_PIXELS = 2**34
MAX_BANDS = 256
MAX_BLOCK_BYTES = 128 * 2**20
MAX_SLACK_BYTES = 2**30
"""A file may hold this much, and seven times its images, that belongs to none of them."""
_AGAIN = "fetch or export it again"


def examine_bytes(ref: SceneRef) -> tiff.TiffLayout:
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
            check_blocks(page, data.size)
        _check_size(name, layout, data.size)
    except BrokenTiffError as error:
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
    if head[:4] in TIFF_MAGIC:
        return
    if data.size < 8:
        raise SceneError(name, f"it ends after {data.size} bytes", _AGAIN)
    raise SceneError(name, f"it is not a TIFF; {appearance(name, head)}", hint(name, head))


def _check_size(name: str, layout: tiff.TiffLayout, size: int) -> None:
    """Refuse a small image before terabytes of holes, all of which would be digested."""
    stored = sum(page.stored_bytes for page in layout.pages)
    if len(layout.pages) < tiff.MAX_PAGES and size > MAX_SLACK_BYTES + 8 * stored:
        raise SceneError(
            name,
            f"it takes {size / 1e9:.1f} GB, of which its images hold {stored / 1e9:.3f} GB",
            "copy it, so that only they are left (gdal_translate)",
        )


def _check_limits(name: str, page: tiff.Page, ref: SceneRef) -> None:
    most = int(dict(ref.options).get("max_pixels", MAX_PIXELS))
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
