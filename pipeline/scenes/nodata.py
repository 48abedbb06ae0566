"""Which value marks missing pixels: the one a file declares, none, or one that the user names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import SceneError
from pipeline.scenes.pam import Pam
from pipeline.scenes.scene import SceneInfo, SceneRef
from pipeline.scenes.validity import fits

OPTION = "nodata"
"""Name of the scene option; left out where what the file declares holds."""


def with_nodata(ref: SceneRef, nodata: float | str) -> SceneRef:
    """Return a scene that is read with a nodata value of the user's; its files as well.

    Args:
        ref: The scene.
        nodata: ``declared``: the file's own; ``none``: no value; ``nan`` or a number.

    Raises:
        SceneError: Scenes of this kind have no nodata value.
    """
    if nodata == "declared" or (nodata == "none" and ref.kind == "segy"):
        return ref
    if ref.kind == "segy":
        raise SceneError(
            ref.href, f"it is a volume, which has no nodata value {nodata}", "leave --nodata out"
        )
    text = nodata if isinstance(nodata, str) else _written(nodata)
    mosaic = ref.mosaic
    if mosaic is not None:
        parts = tuple(
            replace(part, options=_set(part.options, text), nodata=()) for part in mosaic.parts
        )
        mosaic = replace(mosaic, parts=parts, nodata=())
    stack = tuple(with_nodata(one, nodata) for one in ref.stack)
    return replace(ref, options=_set(ref.options, text), mosaic=mosaic, stack=stack)


def _set(options: tuple[tuple[str, str], ...], text: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({**dict(options), OPTION: text}.items()))


def _written(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else repr(number)


def is_given(ref: SceneRef) -> bool:
    """Return whether the user names a value; then it counts beside alpha and masks too."""
    return dict(ref.options).get(OPTION, "none") != "none"


def given(ref: SceneRef, *, name: str, dtype: str) -> float | None:
    """Return the value that the user names, None where there is none.

    Raises:
        SceneError: Pixels of this type cannot hold it.
    """
    if not is_given(ref):
        return None
    value = float(dict(ref.options)[OPTION])
    if not fits(value, dtype):
        raise SceneError(
            name,
            f"--nodata {value:g} is no value that its pixels ({dtype}) can hold",
            "give one that they can, or leave it out",
        )
    return value


def is_ignored(ref: SceneRef) -> bool:
    """Return whether declared values are not used: another or none is given."""
    return OPTION in dict(ref.options)


def of_bands(info: SceneInfo, bands: Sequence[int]) -> tuple[float, ...]:
    """Return the nodata value of each band that is read; empty where there is none."""
    if info.band_nodata:
        return tuple(info.band_nodata[index - 1] for index in bands)
    if info.nodata is None or not fits(info.nodata, info.dtype):
        return ()
    return (info.nodata,) * len(bands)


def of_pam(pam: Pam, *, count: int, dtype: str) -> tuple[tuple[float, ...], str]:
    """Return the nodata values that an ``.aux.xml`` file declares, and why not where it does.

    Args:
        pam: The file.
        count: Bands of the raster.
        dtype: Their type.

    Returns:
        A value for each band, or nothing and a warning (empty if it declares none).
    """
    known = {band: value for band, value in pam.nodata if 1 <= band <= count}
    if not known:
        return (), ""
    if len(known) < count:
        bands = ", ".join(map(str, sorted(known)))
        return (), f"the .aux.xml file beside it declares nodata for band {bands} alone"
    values = tuple(known[band] for band in range(1, count + 1))
    if not all(fits(value, dtype) for value in values):
        wrong = next(value for value in values if not fits(value, dtype))
        return (), f"the nodata {wrong:g} of the .aux.xml file beside it does not fit {dtype}"
    return values, ""
