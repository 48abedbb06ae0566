"""Bands of an open raster: which carry imagery, which is alpha, whether it has a mask."""

from __future__ import annotations

from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from pipeline.scenes.scene import Band


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
    """Return whether there is an internal or external validity mask."""
    flags = source.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
