"""Which colours bands have by their names: words, or the band numbers of common sensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pipeline.scenes.scene import Band, SceneInfo

COLOURS = ("red", "green", "blue", "nir", "rededge")
# As bands are described: "Red", "B04 (Red)", "R", "NearInfrared", "red_edge_1".
_WORDS = {
    **{colour: colour for colour in COLOURS},
    **{colour[0]: colour for colour in COLOURS[:4]},
    **dict.fromkeys(("nir1", "ir", "infrared", "nearinfrared"), "nir"),
    **dict.fromkeys(
        ("re", *(f"{word}{n}" for word in ("re", "rededge") for n in "1234")), "rededge"
    ),
}
# Beside one of the words these mean another part of the spectrum: "coastal_blue", "green_i".
_OTHERS = {"coastal", "aerosol", "narrow", "short", "shortwave", "swir", "thermal", "tir", "i"}

_NUMBERED = re.compile(
    r"(?<![a-z0-9])(?:(sr|toa)[ _-]?)?b(?:and)?[ _-]?([0-9]{1,2})(a?)(?![a-z0-9])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """The band numbers of a sensor."""

    name: str
    """What messages call it."""
    colours: Mapping[str, str]
    """Colour by number; those that no model asks for are empty."""
    files: str
    """Regular expression of its products' file names, in lower case."""


def _numbered(*colours: str) -> dict[str, str]:
    return {str(number): colour for number, colour in enumerate(colours, start=1)}


_SENTINEL_2 = Sensor(
    name="Sentinel-2",
    colours=_numbered("", "blue", "green", "red", *["rededge"] * 3, "nir", "", "", "", "")
    | {"8a": ""},
    files=r"s2[abc]?_|sentinel-?_?2|msil[12]",
)
_LANDSAT_8 = Sensor(
    name="Landsat 8 and 9",
    colours=_numbered("", "blue", "green", "red", "nir", *[""] * 6),
    files=r"l[co]0?[89]_|landsat-?_?[89]",
)
_LANDSAT_5 = Sensor(
    name="Landsat 4 to 7",
    colours=_numbered("blue", "green", "red", "nir", *[""] * 4),
    files=r"l[etm]0?[4-7]_|landsat-?_?[4-7]",
)
_SENSORS = (_SENTINEL_2, _LANDSAT_8, _LANDSAT_5)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandColours:
    """Colours and sensor of a scene's bands by their names."""

    colours: Mapping[int, str]
    """Colour by band, for names that contain one."""
    sensor: str = ""
    """Sensor whose band numbers they are; empty where words name colours."""
    ambiguity: str = ""
    """Which sensors number their bands in another way."""
    numbered: bool = False
    """Whether the names are numbers of a sensor that are not the bands' order in the file."""


def colour_word(name: str) -> str:
    """Return the colour that a name contains; empty for none or several."""
    words = set(re.findall(r"[a-z]+\d*", name.lower()))
    if words & {"edge"} and "red" in words:
        words = (words - {"red", "edge"}) | {"rededge"}
    found = {_WORDS[word] for word in words & set(_WORDS)}
    return found.pop() if len(found) == 1 and not words & _OTHERS else ""


def named_colours(info: SceneInfo, wanted: Sequence[str]) -> BandColours:
    """Return the colours of a scene's bands by their names.

    Band numbers are taken for a sensor's where one alone is possible, or where all that have
    what is wanted agree. Numbers that only count the bands are no convention's.

    Args:
        info: The scene.
        wanted: The colours that a model takes.
    """
    words = {band.index: word for band in info.bands if (word := colour_word(band.name))}
    if words:
        return BandColours(colours=words)
    numbers = _numbers(info.bands)
    if not numbers:
        return BandColours(colours={})
    file = PurePath(info.source).name.lower()
    known = [sensor for sensor in _SENSORS if re.search(rf"(?<![a-z0-9])({sensor.files})", file)]
    known = known if len(known) == 1 else []
    if not known and all(found == ("", str(index)) for index, found in numbers.items()):
        return BandColours(colours={})
    possible = _possible(numbers, known or _SENSORS)
    colours = [
        {index: sensor.colours[number.lstrip("0")] for index, (_, number) in numbers.items()}
        for sensor in possible
    ]
    fit = [
        (sensor, found)
        for sensor, found in zip(possible, colours, strict=True)
        if set(wanted) <= set(found.values())
    ]
    taken = [{index: c for index, c in found.items() if c in wanted} for _, found in fit]
    if not fit or any(found != taken[0] for found in taken):
        return BandColours(colours={}, numbered=True)
    names = [sensor.name for sensor, _ in fit]
    others = [sensor.name for sensor in possible if sensor.name not in names]
    return BandColours(
        colours={index: colour for index, colour in fit[0][1].items() if colour},
        sensor=" and ".join(names),
        ambiguity=" and ".join(others),
        numbered=True,
    )


def _numbers(bands: Sequence[Band]) -> dict[int, tuple[str, str]]:
    """Return prefix and number of the bands whose names have one: ``sr_b2``: ``sr`` and ``2``."""
    found = {}
    for band in bands:
        match = _NUMBERED.search(band.name)
        if match:
            found[band.index] = (match[1] or "", match[2] + match[3])
    numbers = [number for _, number in found.values()]
    return found if len(set(numbers)) == len(numbers) else {}


def _possible(numbers: Mapping[int, tuple[str, str]], sensors: Sequence[Sensor]) -> list[Sensor]:
    """Return those of the sensors that have bands of these numbers."""
    texts = [number for _, number in numbers.values()]
    surface = any(prefix == "sr" for prefix, _ in numbers.values())
    found = []
    for sensor in sensors:
        if not all(text.lstrip("0") in sensor.colours for text in texts):
            continue
        # Sentinel-2 alone writes B02 and B8A, and Landsat alone SR_B2.
        if sensor is _SENTINEL_2 and surface:
            continue
        if sensor is not _SENTINEL_2 and any(text[0] == "0" for text in texts):
            continue
        # Surface reflectance of Landsat 4 to 7 has no band 6, which is thermal.
        if sensor is _LANDSAT_5 and surface and "6" in texts:
            continue
        found.append(sensor)
    return found
