"""Scenes that are an array: the fake for tests and dry runs."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
from jaxtyping import Bool, Shaped

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.scene import Band, Scene, SceneInfo, SceneRef

_kept: dict[str, MemoryScene] = {}
_kept_lock = threading.Lock()


class MemoryScene:
    """An array that is read as a scene."""

    def __init__(
        self,
        array: Shaped[np.ndarray, "bands rows cols"],
        *,
        valid: Bool[np.ndarray, "rows cols"] | None = None,
        georef: Georef | None = None,
        bands: tuple[str, ...] = (),
        name: str = "memory",
    ) -> None:
        """Make a scene of an array.

        Args:
            array: Pixels; not copied.
            valid: Where they are valid; everywhere if not given, apart from NaN.
            georef: Where they lie.
            bands: Names, and colours, of the bands; red, green, blue for three,
                gray for one.
            name: What the scene is called.
        """
        usual = {1: ("gray",), 3: ("red", "green", "blue")}.get(len(array), ())
        titles = bands or usual or tuple(f"band_{i}" for i in range(1, len(array) + 1))
        self._array = array
        self._valid = np.ones(array.shape[1:], bool) if valid is None else valid.copy()
        if array.dtype.kind == "f":
            self._valid &= np.isfinite(array).all(axis=0)
        digest = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self._valid.tobytes())
        self._info = SceneInfo(
            name=name,
            source=f"memory:{name}",
            height=array.shape[1],
            width=array.shape[2],
            bands=tuple(
                Band(index=index, name=title, colour=title)
                for index, title in enumerate(titles, start=1)
            ),
            dtype=array.dtype.name,
            georef=georef,
            fingerprint="memory:" + digest.hexdigest(),
            stored_bytes=array.nbytes,
        )

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        return self._info

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`."""
        whole = Window(row=0, col=0, height=self._info.height, width=self._info.width)
        rows, cols = window.within(whole)
        planes = [index - 1 for index in bands]
        return self._array[planes][:, rows, cols].copy(), self._valid[rows, cols].copy()

    def close(self) -> None:
        """Do nothing: an array needs no closing."""

    def keep(self) -> SceneRef:
        """Return a reference for which `kept_scene` returns this scene, in this process only."""
        key = f"{self._info.name}:{self._info.fingerprint}"
        with _kept_lock:
            _kept[key] = self
        return SceneRef(kind="memory", href=key, options=(("name", self._info.name),))


def kept_scene(ref: SceneRef) -> MemoryScene:
    """Return the scene that was kept under a reference.

    Raises:
        SceneError: It was kept in another process, or never.
    """
    with _kept_lock:
        scene = _kept.get(ref.href)
    if scene is None:
        raise SceneError(
            ref.href, "it lives in the memory of another process", "write it to a file first"
        )
    return scene


_: type[Scene] = MemoryScene
