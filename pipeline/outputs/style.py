"""What makes QGIS show the mask in its colours, with the ground seen through."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

from pipeline.outputs.atomic import replacing
from pipeline.outputs.provenance import MapClass

_STYLE = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="">
      <rasterTransparency/>
      <colorPalette>
{entries}
      </colorPalette>
    </rasterrenderer>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
"""


def write_mask_style(path: Path, classes: tuple[MapClass, ...]) -> None:
    """Write a QGIS style in which 0 is transparent, which TIFF's colour table cannot say.

    QGIS loads it by itself if it is called as the raster and lies beside it: ``mask.qml``.

    Raises:
        ExportError: The file could not be written.
    """
    ground = _entry(0, colour=(255, 255, 255), alpha=0, label="background")
    named = [_entry(c.value, colour=c.colour, alpha=255, label=c.name) for c in classes]
    with replacing(path) as part:
        part.write_text(_STYLE.format(entries="\n".join([ground, *named])), encoding="utf-8")


def _entry(value: int, *, colour: tuple[int, int, int], alpha: int, label: str) -> str:
    shade = "#{:02x}{:02x}{:02x}".format(*colour)
    return (
        f'        <paletteEntry value="{value}" color="{shade}" alpha="{alpha}" '
        f"label={quoteattr(label)}/>"
    )
