"""Models from Python: listed, loaded, and run on arrays in this process."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from pipeline.api.arrays.pixels import Pixels, pixels_from
from pipeline.core.blend import taper
from pipeline.core.grid import Sampling, TileGrid
from pipeline.core.tile import cut_window
from pipeline.errors import ConfigError
from pipeline.models.card import ModelCard
from pipeline.models.predictor import Predictor, Stretch
from pipeline.models.registry import (
    DEVICES,
    ModelRef,
    card_of,
    engines_for,
    load_predictor,
    shipped,
)

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
_lock = threading.Lock()
"""Held while a forward pass runs: a network is used by one thread at a time."""


class Model:
    """A model that is loaded: predicts arrays of any size, tile by tile.

    Example:
        >>> model = overtile.load_model("buildings")                    # doctest: +SKIP
        >>> probabilities = model.predict(rgb)                          # doctest: +SKIP
    """

    def __init__(self, predictor: Predictor) -> None:
        """Wrap a predictor; see `load_model`."""
        self._predictor = predictor

    @property
    def card(self) -> ModelCard:
        """The model card: inputs, outputs, licence, scores."""
        return self._predictor.card

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(one.name for one in self.card.outputs.classes)

    def __repr__(self) -> str:
        """Return name, bands and classes."""
        bands = ", ".join(self.card.inputs.bands)
        return f"Model({self.card.name!r}, bands: {bands}, classes: {', '.join(self.classes)})"

    def predict(
        self,
        pixels: Any,
        *,
        values: Sequence[float] | None = None,
        nodata: SupportsFloat | None = None,
        tile: int | None = None,
        max_memory: str | int = "4GB",
    ) -> Any:
        """Predict the probabilities of the classes.

        Tiles overlap by the network's receptive field, and the edges of the array are mirrored,
        so that the result equals one forward pass over the whole array, whatever the tile size.
        The array is not resampled: its pixels should have the size that the card asks for.

        Args:
            pixels: (bands, rows, cols) in the order of the model's bands, or (rows, cols) of one
                band; a NumPy array, a masked array or a DataArray.
            values: Values that become black and white; None: those of the card for uint8, else the
                1st and 99th percentile of the array.
            nodata: Value of pixels without data; None: that of the DataArray, if it has one. NaN
                and what is masked have no data anyway.
            tile: Edge of a tile with its halo, in pixels; None follows from the memory.
            max_memory: Memory of the process: ``"4GB"``, ``"512MB"``, or bytes.

        Returns:
            float32 (classes, rows, cols) in 0..1, NaN where there is no data; a DataArray with its
            coordinates and CRS where one was given.

        Raises:
            ConfigError: The array does not suit the model.
            ModelError: The network gives values that are not finite.

        Example:
            >>> import numpy as np
            >>> model = load_model("threshold")
            >>> model.predict(np.array([[0, 255]], "uint8")).tolist()
            [[[0.0, 1.0]]]
        """
        given = pixels_from(pixels, nodata=nodata)
        bands = self.card.inputs.bands
        if len(given.values) == len(set(bands)) == 1:
            # A gray picture, for a network that takes it as three channels.
            given = replace(given, values=np.repeat(given.values, len(bands), axis=0))
        if bands != ("any",) and len(given.values) != len(bands):
            hint = " (bands come first: (bands, rows, cols))" if _bands_last(given, bands) else ""
            raise ConfigError(
                f"the array has {len(given.values)} bands; {self.card.name!r} takes "
                f"{len(bands)}: {', '.join(bands)}{hint}"
            )
        self._warn_of_pixel_size(given)
        grid = _grid(self.card, given, tile=tile, max_memory=max_memory)
        found = self._predicted(given, grid, _stretch(self.card, given, values))
        found[:, ~given.valid] = np.nan
        return given.like(found, classes=self.classes)

    def _predicted(self, given: Pixels, grid: TileGrid, stretch: Stretch) -> Array:
        """Predict tile by tile; blend the tiles of networks with global context."""
        height, width = given.valid.shape
        total = np.zeros((len(self.classes), height, width), np.float32)
        weights = np.zeros((height, width)) if self.card.context == "blend" else None
        for core in grid.cores():
            tile = grid.tile(core)
            pixels, valid = cut_window(
                given.read, tile, height=height, width=width, edge=self.card.edge
            )
            if not valid.any():
                continue
            with _lock:
                probabilities = self._predictor.predict(pixels, valid, stretch)[: len(total)]
            if weights is None:
                rows, cols = core.within(tile)
                total[:, core.row : core.bottom, core.col : core.right] = probabilities[
                    :, rows, cols
                ]
                continue
            inside = tile.clipped(height=height, width=width)
            rows, cols = inside.within(tile)
            weight = taper(tile, core, halo=grid.halo)[rows, cols]
            place = slice(inside.row, inside.bottom), slice(inside.col, inside.right)
            total[:, *place] += (probabilities[:, rows, cols] * weight).astype(np.float32)
            weights[place] += weight
        return total if weights is None else total / np.where(weights > 0, weights, 1).astype("f4")

    def _warn_of_pixel_size(self, given: Pixels) -> None:
        limits, size = self.card.inputs.gsd_range_m, given.gsd_range_m()
        if limits is None or size is None or limits[0] * 0.99 <= size <= limits[1] * 1.01:
            return
        warnings.warn(
            f"pixels are {size:.3g} m; {self.card.name!r} is for {limits[0]:g} to {limits[1]:g} m: "
            "resample the array, or use overtile.map, which does",
            stacklevel=3,
        )


def load_model(
    name_or_file: str | os.PathLike[str],
    *,
    device: str = "auto",
) -> Model:
    """Load a model.

    Args:
        name_or_file: Name of a model that comes with Overtile (see `models`), or a
            ``model.safetensors`` or its folder.
        device: ``"auto"`` (CUDA where there is a device, else the CPU), ``"cpu"``, ``"cuda"``
            or ``"openvino"``.

    Returns:
        The model, ready to predict.

    Raises:
        ConfigError: Nothing is called so, it is a network of volumes, or the device is not there.
        ModelError: The file is no model, or is damaged.

    Example:
        >>> load_model("threshold").classes
        ('bright',)
    """
    name = os.fspath(name_or_file)
    card = card_of(name)
    if card.network.dims == 3:
        raise ConfigError(f"{card.name!r} is a network of volumes: use overtile.map")
    if device not in DEVICES:
        raise ConfigError(f"device={device!r} is none of {', '.join(DEVICES)}")
    found = engines_for(name, card, device)[0]
    return Model(load_predictor(ModelRef(name=name, sha256=card.sha256), device=found))


def models() -> pd.DataFrame:
    """List the models that come with Overtile.

    Returns:
        A row for each by name: bands, pixel size, classes, receptive-field radius, licence.

    Raises:
        ModelError: The card of one is damaged.

    Example:
        >>> "buildings" in models().index
        True
    """
    import pandas as pd

    cards = {name: card_of(name) for name in shipped()}
    rows = [
        {
            "bands": card.inputs.bands,
            "gsd_range_m": card.inputs.gsd_range_m,
            "classes": tuple(one.name for one in card.outputs.classes),
            "rf_radius_px": card.network.rf_radius,
            "license": card.terms.license,
        }
        for card in cards.values()
    ]
    return pd.DataFrame(rows, index=pd.Index(list(cards), name="name"))


def _bands_last(given: Pixels, bands: tuple[str, ...]) -> bool:
    return bool(given.valid.shape[1] == len(bands))


def _grid(card: ModelCard, given: Pixels, *, tile: int | None, max_memory: str | int) -> TileGrid:
    """Return tiles over the array: halos of the receptive field, cores that memory allows."""
    from pipeline.mapping.planning.request import memory
    from pipeline.mapping.planning.tile_size import make_grid

    height, width = given.valid.shape
    sampling = Sampling(height=height, width=width, net_height=height, net_width=width)
    channels = len(given.values) * given.values.dtype.itemsize + 8 * card.outputs.channels
    return make_grid(
        card,
        sampling,
        tile=tile,
        per_pixel=card.bytes_per_pixel + channels,
        max_memory=max_memory if isinstance(max_memory, int) else memory(max_memory),
    )


def _stretch(card: ModelCard, given: Pixels, values: Sequence[float] | None) -> Stretch:
    """Return which values become 0 and 1.

    Raises:
        ConfigError: The first is not below the second.
    """
    if values is not None:
        low, high = (float(one) for one in values)
        if not low < high or not np.isfinite(high - low):
            raise ConfigError(f"values={values}: both finite, the first less than the second")
        return Stretch(low=low, high=high)
    if given.values.dtype == np.uint8:
        return Stretch(low=card.inputs.low, high=card.inputs.high)
    known = given.values[:, given.valid]
    if not known.size:
        return Stretch(low=0.0, high=1.0)
    low, high = (float(one) for one in np.percentile(known, (1, 99)))
    return Stretch(low=low, high=high if high > low else low + 1.0)
