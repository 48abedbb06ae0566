"""A scene made of many files on one grid, read as if they were one."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes import validity
from pipeline.scenes.names import slug, source_of, stem
from pipeline.scenes.open_file import file_fingerprint, open_file
from pipeline.scenes.parts import Mosaic, MosaicPart
from pipeline.scenes.scene import Band, Scene, SceneInfo, SceneRef

MOST_OPEN = 32
"""Files that an open mosaic holds open at a time; the one not read for longest is closed."""
_AT_ONCE = 4
_WARNED = 5
"""Different warnings of the parts that are passed on."""
_known: OrderedDict[tuple[SceneRef, str], SceneInfo] = OrderedDict()
_known_lock = threading.Lock()
_REMEMBERED = 20_000


def part_ref(part: MosaicPart) -> SceneRef:
    """Return how the file of a part is opened."""
    return SceneRef(kind=part.kind, href=part.href, options=part.options)


def part_info(ref: SceneRef) -> SceneInfo:
    """Return what is known of a part's file; examined once a process while it does not change.

    Raises:
        SceneError: It cannot be mapped.
    """
    with _known_lock:
        found = _known.get((ref, file_fingerprint(ref)))
    if found is None:
        scene = open_file(ref)
        found = scene.info
        scene.close()
        with _known_lock:
            _known[ref, found.fingerprint] = found
            while len(_known) > _REMEMBERED:
                _known.popitem(last=False)
    return found


def part_infos(refs: Sequence[SceneRef]) -> list[SceneInfo]:
    """Return what is known of many files, in their order.

    Raises:
        SceneError: One of them cannot be mapped; the first in order.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(part_info, refs))


def mosaic_fingerprint(mosaic: Mosaic) -> str:
    """Return a digest of the content of all parts, and of where their pixels lie.

    Raises:
        SceneError: A part cannot be read any more.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        digests = list(pool.map(lambda part: file_fingerprint(part_ref(part)), mosaic.parts))
    return _fingerprint(mosaic, digests)


def _fingerprint(mosaic: Mosaic, digests: Sequence[str]) -> str:
    rows = [
        [
            digest,
            *(part.source.row, part.source.col, part.source.height, part.source.width),
            *(part.row, part.col, part.kind),
            [list(option) for option in part.options],
            list(part.bands),
            list(part.nodata),
        ]
        for digest, part in zip(digests, mosaic.parts, strict=True)
    ]
    grid: list[object] = [mosaic.height, mosaic.width, mosaic.crs_wkt, list(mosaic.transform)]
    if mosaic.file:
        grid += [mosaic.dtype, list(mosaic.nodata), list(mosaic.names), list(mosaic.colours)]
    text = json.dumps([grid, rows], separators=(",", ":"))
    return "mosaic:" + hashlib.sha256(text.encode()).hexdigest()


class MosaicScene:
    """Many files read as one scene; each is opened when a window first needs it.

    A pixel is that of the first part with valid data there, and is not valid where none
    has. Validity is each file's own: alpha, mask or nodata.
    """

    def __init__(self, ref: SceneRef, *, known: SceneInfo | None = None) -> None:
        """Examine the parts, unless ``known`` holds what was found before.

        Raises:
            SceneError: A part cannot be mapped, or is of another type or other bands.
        """
        if ref.mosaic is None or not ref.mosaic.parts:
            raise ValueError(f"{ref.href} names no parts")
        self._mosaic = ref.mosaic
        self._info = known or _examine(ref, ref.mosaic)
        self._open: OrderedDict[SceneRef, Scene] = OrderedDict()
        self._boxes = _boxes(ref.mosaic.parts)

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        return self._info

    def close(self) -> None:
        """Close all files; reading afterwards opens them again."""
        while self._open:
            self._open.popitem()[1].close()

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`.

        Raises:
            SceneError: A part cannot be read; names its file.
        """
        known = {band.index for band in self._info.bands} | {self._info.alpha}
        if not set(bands) <= known:
            raise ValueError(f"bands {bands} are not all among {sorted(known)}")
        if window.clipped(height=self._info.height, width=self._info.width) != window:
            raise ValueError(f"{window} is not inside {self._info.height} x {self._info.width}")
        pixels = np.zeros((len(bands), window.height, window.width), self._info.dtype)
        for plane, value in zip(pixels, _of(self._mosaic.nodata, bands), strict=False):
            # As one file would hold it: bands that are stacked are missing where all hold it.
            if validity.fits(value, self._info.dtype):
                plane[:] = value
        valid = np.zeros((window.height, window.width), bool)
        top, left, bottom, right = self._boxes
        meets = (top < window.bottom) & (bottom > window.row)
        meets &= (left < window.right) & (right > window.col)
        for number in np.flatnonzero(meets).tolist():
            part = self._mosaic.parts[number]
            shared = _shared(window, part.target)
            rows, cols = shared.within(window)
            wanted = ~valid[rows, cols]
            if not wanted.any():
                continue
            found, fine = self._read_part(part, shared, bands)
            wanted &= fine
            pixels[:, rows, cols][:, wanted] = found[:, wanted]
            valid[rows, cols] |= wanted
        if self._mosaic.nodata:
            valid &= ~validity.missing(pixels, _of(self._mosaic.nodata, bands))
        return pixels, valid

    def _read_part(
        self, part: MosaicPart, shared: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        own = tuple(part.bands[band - 1] for band in bands) if part.bands else bands
        window = replace(
            shared,
            row=shared.row - part.row + part.source.row,
            col=shared.col - part.col + part.source.col,
        )
        found, fine = self._opened(part_ref(part)).read(window, own)
        if part.nodata:
            fine &= ~validity.missing(found, _of(part.nodata, bands))
        return found, fine

    def _opened(self, ref: SceneRef) -> Scene:
        """Return the open file, closing another where too many are open."""
        scene = self._open.get(ref)
        if scene is None:
            while len(self._open) >= MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            scene = self._open[ref] = open_file(ref, known=part_info(ref))
        self._open.move_to_end(ref)
        return scene


def _examine(ref: SceneRef, mosaic: Mosaic) -> SceneInfo:
    """Return what is known of a mosaic.

    Raises:
        SceneError: A part cannot be mapped, does not hold the pixels that are taken from
            it, or is of another type or other bands than the first.
    """
    infos = part_infos([part_ref(part) for part in mosaic.parts])
    first, part = infos[0], mosaic.parts[0]
    chosen = part.bands or tuple(band.index for band in first.bands)
    by_index = {band.index: band for band in first.bands}
    bands = tuple(
        _named(replace(by_index[index], index=place if part.bands else index), mosaic, place)
        for place, index in enumerate(chosen, start=1)
        if index in by_index
    )
    for info, own in zip(infos, mosaic.parts, strict=True):
        _check_part(info, own, dtype=mosaic.dtype or first.dtype, bands=len(chosen))
    georef = Georef(crs_wkt=mosaic.crs_wkt, transform=mosaic.transform) if mosaic.crs_wkt else None
    same = len(set(mosaic.nodata)) == 1
    return replace(
        first,
        name=slug(stem(ref)),
        source=source_of(ref) if infos[1:] or mosaic.file else first.source,
        height=mosaic.height,
        width=mosaic.width,
        bands=bands,
        georef=georef,
        fingerprint=_fingerprint(mosaic, [info.fingerprint for info in infos]),
        datetime=_datetime(infos),
        stored_bytes=sum({info.source: info.stored_bytes for info in infos}.values()),
        warnings=(*mosaic.warnings, *_warnings(infos)),
        bits=max(info.bits for info in infos),
        sparse=False,
        alpha=0 if part.bands or len({info.alpha for info in infos}) > 1 else first.alpha,
        nodata=mosaic.nodata[0] if same else first.nodata,
        band_nodata=() if part.bands else first.band_nodata,
        validity=first.validity or ("nodata" if mosaic.nodata else ""),
    )


def _named(band: Band, mosaic: Mosaic, place: int) -> Band:
    """Return a band with the name and colour that the mosaic gives it, where it gives any."""
    name = mosaic.names[place - 1].lower() if mosaic.names else ""
    colour = mosaic.colours[place - 1] if mosaic.colours else ""
    # GDAL's defaults for bands without metadata hold less than the files.
    colour = "" if colour in ("undefined", "gray") else colour
    return replace(band, name=name or colour or band.name, colour=colour or band.colour)


def _of(values: Sequence[float], bands: Sequence[int]) -> list[float]:
    return [values[band - 1] for band in bands] if values else []


def _check_part(info: SceneInfo, part: MosaicPart, *, dtype: str, bands: int) -> None:
    if info.dtype != dtype:
        raise SceneError(
            info.source,
            f"its pixels are {info.dtype}, those of the mosaic {dtype}",
            "convert it, or leave it out",
        )
    wanted = part.bands or tuple(range(1, bands + 1))
    if not set(wanted) <= {band.index for band in info.bands}:
        have = ", ".join(str(band.index) for band in info.bands)
        raise SceneError(
            info.source, f"it has the bands {have}, and {wanted} are needed", "leave it out"
        )
    if part.source.bottom > info.height or part.source.right > info.width:
        raise SceneError(
            info.source,
            f"it has {info.height} x {info.width} pixels, and {part.source} is taken from it",
            "correct the window, or leave it out",
        )


def _datetime(infos: Sequence[SceneInfo]) -> str | None:
    """Return the time of acquisition, where it is the same for all parts."""
    times = {info.datetime for info in infos}
    return times.pop() if len(times) == 1 else None


def _warnings(infos: Sequence[SceneInfo]) -> tuple[str, ...]:
    """Return the warnings of the parts, each once with how many have it."""
    counts = Counter(text for info in infos for text in dict.fromkeys(info.warnings))
    found = [
        text if len(infos) == 1 else f"{count} of its {len(infos)} files: {text}"
        for text, count in counts.most_common(_WARNED)
    ]
    if len(counts) > _WARNED:
        found.append(f"{len(counts) - _WARNED} other warnings of its files are left out")
    times = sorted({info.datetime for info in infos if info.datetime})
    if len(times) > 1:
        found.append(
            f"its files were taken from {times[0]} to {times[-1]}; it has no time of its own "
            "unless --datetime gives one"
        )
    return tuple(found)


def _boxes(parts: Sequence[MosaicPart]) -> Int64[np.ndarray, "4 parts"]:
    targets = [part.target for part in parts]
    return np.array([[t.row, t.col, t.bottom, t.right] for t in targets], np.int64).T


def _shared(one: Window, two: Window) -> Window:
    top, left = max(one.row, two.row), max(one.col, two.col)
    bottom, right = min(one.bottom, two.bottom), min(one.right, two.right)
    return Window(row=top, col=left, height=bottom - top, width=right - left)


_: type[Scene] = MosaicScene
