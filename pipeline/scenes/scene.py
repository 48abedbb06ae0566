"""The interface of scenes, whatever their format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Shaped

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.scenes.parts import Mosaic


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band of a scene."""

    index: int
    """Position in the file, from 1, as GDAL counts."""
    name: str
    """Description in the file, else the colour interpretation, else ``band_N``; lower case."""
    colour: str
    """Colour interpretation: red, green, blue, nir, gray, alpha, palette, undefined, ...

    ``inverted gray`` where 0 is white.
    """
    scale: float = 1.0
    """Declared meaning of the numbers: ``value = pixel * scale + offset``; not applied."""
    offset: float = 0.0
    """See ``scale``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneInfo:
    """What is known of a scene before its pixels are read."""

    name: str
    """Stem of the file or id of the item; safe as a folder name."""
    source: str
    """Path, URL or item as the user wrote it, without secrets; for messages and manifests."""
    height: int
    """Rows."""
    width: int
    """Columns."""
    bands: tuple[Band, ...]
    """The bands that carry imagery; alpha is not among them."""
    dtype: str
    """NumPy name of the pixels' type: ``uint8``, ``uint16``, ``float32``, ..."""
    georef: Georef | None
    """Where the pixels lie, or None for images that are not georeferenced."""
    fingerprint: str
    """Digest of the content: sha256 of a local file, ETag and size of a remote one."""
    datetime: str | None = None
    """Time of acquisition as RFC 3339 in UTC, where tag, item or file name holds it."""
    block: tuple[int, int] = (512, 512)
    """Rows and columns of the blocks in which the file stores its pixels."""
    stored_bytes: int = 0
    """Bytes that reading the whole scene fetches, as stored."""
    nodata: float | None = None
    """The value that marks missing pixels: that of the file, or of the user instead."""
    band_nodata: tuple[float, ...] = ()
    """Values of the file's bands, from 1, where they are not the same; ``nodata`` is None then."""
    alpha: int = 0
    """Index of the band that is tagged as alpha, which is not among ``bands``; 0: none."""
    validity: Literal["", "alpha", "mask", "nodata"] = ""
    """What decides where pixels are missing; nodata too where alpha is read as imagery."""
    warnings: tuple[str, ...] = field(default=())
    """Warnings for the user; the scene is mapped all the same."""
    bits: int = 0
    """Bits per sample that the file declares, such as 12 in ``uint16``; 0 where unknown."""
    sparse: bool = False
    """True where some blocks were never written; they have no data."""


@runtime_checkable
class Scene(Protocol):
    """An open scene. Not shared between threads: each thread opens its own."""

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        ...

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid.

        Args:
            window: Inside the scene.
            bands: Indices as in `Band.index`, in the order wanted.

        Returns:
            Pixels in the scene's own dtype, and a mask that is False where there is
            no data: by alpha, internal or external mask, nodata or NaN.

        Raises:
            SceneError: The pixels cannot be read.
        """
        ...

    def close(self) -> None:
        """Give the file back; reading afterwards is an error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRef:
    """How to open a scene again: small, hashable, and travels to a worker."""

    kind: str
    """Which module opens it: ``geotiff``, ``image``, ``jp2``, ``zipped``, ``segy``, ``mosaic``,
    ``stack``."""
    href: str
    """Absolute path or URL; of a mosaic, that of its first part."""
    options: tuple[tuple[str, str], ...] = ()
    """Settings of that module, sorted: assumed CRS, slice number, ..."""
    mosaic: Mosaic | None = None
    """What a mosaic is made of; None for a scene in one file."""
    stack: tuple[SceneRef, ...] = ()
    """Scenes of one band each on one grid, which are the bands of a stack."""
