"""Slices of a SEG-Y volume: seismic amplitudes, one float32 band, not georeferenced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest, open_bytes
from pipeline.scenes.names import slug
from pipeline.scenes.scene import Band, Scene, SceneInfo, SceneRef

if TYPE_CHECKING:
    from segyio import SegyFile

SUFFIXES = (".sgy", ".segy")
DIRECTIONS = ("inline", "crossline", "time", "section")

_HEADERS = 3600
_TRACE_HEADER = 240
_SAMPLE_BYTES = {1: 4, 2: 4, 3: 2, 5: 4, 6: 8, 8: 1, 10: 4, 11: 2, 16: 1}
_AGAIN = "fetch or export it again"


def slices(path: str, direction: str = "inline") -> tuple[SceneRef, ...]:
    """Return a reference to every slice of a volume in one direction.

    Args:
        path: Absolute path of the volume.
        direction: ``inline``, ``crossline``, ``time``, or ``section``: all traces side
            by side in the file's order, for files that are no sorted volume.

    Raises:
        SceneError: It is no SEG-Y file, or not sorted into inlines and crosslines.
    """
    stem = Path(path).stem
    with opened(path, direction) as file:
        numbers = _numbers(file, direction)
    return tuple(
        SceneRef(
            kind="segy",
            href=path,
            options=(
                ("direction", direction),
                ("name", f"{stem}_{direction}_{number}"),
                ("number", str(number)),
            ),
        )
        for number in numbers
    )


class SegyScene:
    """One slice of a volume: rows are samples (crosslines of a time slice), columns are traces."""

    def __init__(self, ref: SceneRef, *, known: SceneInfo | None = None) -> None:
        """Open a slice and read it.

        Args:
            ref: Of kind ``segy``, with the options ``direction``, ``number`` and ``name``.
            known: What an earlier opening found.

        Raises:
            SceneError: The volume or the slice cannot be read.
        """
        chosen = dict(ref.options)
        direction, number = chosen.get("direction", "inline"), int(chosen.get("number", "0"))
        with opened(ref.href, direction) as file:
            numbers = _numbers(file, direction)
            if number not in numbers:
                raise SceneError(
                    ref.href,
                    f"it has no {direction} {number}",
                    f"choose one from {numbers[0]} to {numbers[-1]}",
                )
            self._pixels = _slice(file, direction, number)
        height, width = self._pixels.shape
        self._info = known or SceneInfo(
            name=slug(chosen.get("name", f"{direction}_{number}")),
            source=ref.href,
            height=height,
            width=width,
            bands=(Band(index=1, name="amplitude", colour="gray"),),
            dtype="float32",
            georef=None,
            fingerprint=f"{content_digest(ref.href)}#{direction}={number}",
            block=(height, width),
            stored_bytes=self._pixels.nbytes,
        )

    @property
    def info(self) -> SceneInfo:
        """What is known of the slice."""
        return self._info

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return samples of ``window``, see `Scene.read`; not finite ones are not valid."""
        whole = Window(row=0, col=0, height=self._info.height, width=self._info.width)
        rows, cols = window.within(whole)
        if set(bands) - {1}:
            raise ValueError(f"bands {bands}: a slice has one, 1")
        part = self._pixels[rows, cols]
        return np.stack([part] * len(bands)), np.isfinite(part)

    def close(self) -> None:
        """Give the samples back."""
        self._pixels = self._pixels[:0]


def _check_size(path: str) -> None:
    data = open_bytes(path)
    try:
        head = data.read(0, _HEADERS)
    finally:
        data.close()
    if len(head) < _HEADERS:
        raise SceneError(path, f"it ends after {data.size} bytes, within its headers", _AGAIN)
    samples, form = (int.from_bytes(head[at : at + 2], "big") for at in (3220, 3224))
    extended = max(0, int.from_bytes(head[3504:3506], "big", signed=True))
    if form not in _SAMPLE_BYTES or not samples:
        raise SceneError(
            path, f"it claims {samples} samples of format {form}", "name a SEG-Y file, rev. 0 or 1"
        )
    trace = _TRACE_HEADER + samples * _SAMPLE_BYTES[form]
    body = data.size - _HEADERS - 3200 * extended
    if body <= 0 or body % trace:
        raise SceneError(
            path,
            f"it is cut off: {max(body, 0)} bytes are no whole number of traces of {trace} bytes",
            _AGAIN,
        )


@contextmanager
def opened(path: str, direction: str) -> Iterator[SegyFile]:
    """Yield a volume, opened for slices of a direction.

    Raises:
        SceneError: It is no SEG-Y file, cut off, or not sorted so that it has such slices.
    """
    if direction not in DIRECTIONS:
        raise SceneError(path, f"'{direction}' is no direction", f"choose one of {DIRECTIONS}")
    _check_size(path)
    import segyio

    try:
        file = segyio.open(path, ignore_geometry=direction == "section")
    except (RuntimeError, ValueError, OSError) as error:
        raise SceneError(
            path,
            f"it is not a volume sorted into inlines and crosslines ({str(error)[:120]})",
            "sort it (trace header bytes 189 and 193), or map it as one image (--slices section)",
        ) from error
    try:
        if direction != "section" and len(file.offsets) > 1:
            raise SceneError(
                path,
                f"it holds {len(file.offsets)} offsets for each trace position",
                "stack it first",
            )
        yield file
    except (RuntimeError, ValueError, OSError, KeyError, IndexError) as error:
        raise SceneError(path, f"its traces cannot be read ({error})", _AGAIN) from error
    finally:
        file.close()


def _numbers(file: SegyFile, direction: str) -> list[int]:
    if direction == "inline":
        return [int(number) for number in file.ilines]
    if direction == "crossline":
        return [int(number) for number in file.xlines]
    return list(range(len(file.samples))) if direction == "time" else [0]


def _slice(file: SegyFile, direction: str, number: int) -> Float32[np.ndarray, "rows cols"]:
    if direction == "time":
        return np.ascontiguousarray(file.depth_slice[number].T, np.float32)
    if direction == "section":
        traces = file.trace.raw[:]
    else:
        traces = (file.iline if direction == "inline" else file.xline)[number]
    return np.ascontiguousarray(traces.T, np.float32)


_: type[Scene] = SegyScene
