"""Bands in files of their own, on one grid, read as one scene."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Shaped

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.names import slug, source_of, stem
from pipeline.scenes.scene import Scene, SceneInfo, SceneRef
from pipeline.scenes.validity import is_sentinel


def stack_fingerprint(members: Sequence[str]) -> str:
    """Return a digest of the fingerprints of all bands, in order."""
    return "stack:" + hashlib.sha256("\n".join(members).encode()).hexdigest()


class StackScene:
    """Scenes of one band each that are the bands of one scene.

    A pixel is valid where any of the bands that are read is, as of one file whose pixels are
    nodata where all bands hold the value; where one holds a value that no imagery holds, such as
    -9999 or NaN, it is not.
    """

    def __init__(
        self, ref: SceneRef, members: Sequence[Scene], *, known: SceneInfo | None = None
    ) -> None:
        """Take the open scenes of the bands.

        Raises:
            SceneError: They do not have one size and one type of pixels.
        """
        if not members:
            raise ValueError(f"{ref.href} names no bands")
        self._members = members
        self._info = known or _examine(ref, [member.info for member in members])

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        return self._info

    def close(self) -> None:
        """Close all bands."""
        for member in self._members:
            member.close()

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`.

        Raises:
            SceneError: A file cannot be read.
        """
        if not set(bands) <= {band.index for band in self._info.bands}:
            raise ValueError(f"bands {bands} are not all among 1 to {len(self._members)}")
        pixels = np.zeros((len(bands), window.height, window.width), self._info.dtype)
        valid = np.zeros((window.height, window.width), bool)
        whole = np.ones_like(valid)
        for place, band in enumerate(bands):
            member = self._members[band - 1]
            found, fine = member.read(window, (1,))
            pixels[place] = found[0]
            valid |= fine
            nodata = member.info.nodata
            if pixels.dtype.kind == "f" or (
                nodata is not None and is_sentinel(nodata, self._info.dtype)
            ):
                whole &= fine
        return pixels, valid & whole


def _examine(ref: SceneRef, infos: Sequence[SceneInfo]) -> SceneInfo:
    first = infos[0]
    for info in infos:
        if (info.dtype, info.height, info.width) != (first.dtype, first.height, first.width):
            raise SceneError(
                info.source,
                f"its bands are {first.dtype} and {info.dtype}",
                "write all bands in one type (rio convert --dtype ...)",
            )
    times = {info.datetime for info in infos}
    nodata = {info.nodata for info in infos}
    warnings = dict.fromkeys(text for info in infos for text in info.warnings)
    return replace(
        first,
        name=slug(stem(ref)),
        source=source_of(ref),
        bands=tuple(
            replace(info.bands[0], index=number) for number, info in enumerate(infos, start=1)
        ),
        fingerprint=stack_fingerprint([info.fingerprint for info in infos]),
        datetime=times.pop() if len(times) == 1 else None,
        stored_bytes=sum(info.stored_bytes for info in infos),
        nodata=nodata.pop() if len(nodata) == 1 else None,
        band_nodata=(),
        alpha=0,
        warnings=tuple(warnings),
        bits=max(info.bits for info in infos),
    )


_: type[Scene] = StackScene
