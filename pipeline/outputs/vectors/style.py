"""What makes QGIS show mask and polygons in their colours, with the ground seen through."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

from pipeline.outputs.atomic import write_atomically
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
_POLYGONS = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology">
  <renderer-v2 type="categorizedSymbol" attr="class" enableorderby="0" symbollevels="0">
    <categories>
{categories}
    </categories>
    <symbols>
{symbols}
    </symbols>
  </renderer-v2>
  <blendMode>0</blendMode>
  <layerGeometryType>2</layerGeometryType>
</qgis>
"""
_SYMBOL = """      <symbol type="fill" name="{at}" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="{rgb},64"/>
            <Option type="QString" name="style" value="solid"/>
            <Option type="QString" name="outline_color" value="{rgb},255"/>
            <Option type="QString" name="outline_style" value="solid"/>
            <Option type="QString" name="outline_width" value="0.4"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
      </symbol>"""


def write_mask_style(path: Path, classes: tuple[MapClass, ...]) -> None:
    """Write a QGIS style in which 0 is transparent, which TIFF's colour table cannot express.

    QGIS loads it by itself if it is called as the raster and lies beside it: ``mask.qml``.

    Raises:
        ExportError: The file could not be written.
    """
    ground = _entry(0, colour=(255, 255, 255), alpha=0, label="background")
    named = [_entry(c.value, colour=c.colour, alpha=255, label=c.name) for c in classes]
    with write_atomically(path) as part:
        part.write_text(_STYLE.format(entries="\n".join([ground, *named])), encoding="utf-8")


def write_polygon_style(path: Path, classes: tuple[MapClass, ...]) -> None:
    """Write `polygon_style`, which QGIS loads by itself for files called as it: ``polygons.*``.

    Raises:
        ExportError: The file could not be written.
    """
    with write_atomically(path) as part:
        part.write_text(polygon_style(classes), encoding="utf-8")


def polygon_style(classes: tuple[MapClass, ...]) -> str:
    """Return a QGIS style that draws each class of polygons in its colour, a quarter filled."""
    named = [
        f'      <category value={quoteattr(c.name)} symbol="{at}" label={quoteattr(c.name)} '
        'render="true" type="string"/>'
        for at, c in enumerate(classes)
    ]
    drawn = [
        _SYMBOL.format(at=at, rgb=",".join(map(str, c.colour))) for at, c in enumerate(classes)
    ]
    return _POLYGONS.format(categories="\n".join(named), symbols="\n".join(drawn))


def _entry(value: int, *, colour: tuple[int, int, int], alpha: int, label: str) -> str:
    shade = "#{:02x}{:02x}{:02x}".format(*colour)
    return (
        f'        <paletteEntry value="{value}" color="{shade}" alpha="{alpha}" '
        f"label={quoteattr(label)}/>"
    )
