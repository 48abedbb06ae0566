"""Which bands of a scene a model is shown: by colour, by name, or as the user says."""

from __future__ import annotations

import re

from pipeline.config import Task
from pipeline.errors import SceneError
from pipeline.models.card import ModelCard
from pipeline.scenes.scene import Band, SceneInfo

UNSUITED = {"palette", "cyan", "magenta", "yellow", "black", "inverted gray", "lightness"}
COLOURS = ("red", "green", "blue", "nir")
# As bands are described: "Red", "B04 (Red)", "R".
_WORDS = {word: colour for colour in COLOURS for word in (colour, colour[0])}
_EDGE = {"edge", "re"}


def choose_bands(info: SceneInfo, card: ModelCard, task: Task) -> tuple[tuple[int, ...], list[str]]:
    """Return the bands for a model's channels, and what was chosen on the user's behalf.

    Raises:
        SceneError: The scene does not tell which they are, or lacks one.
    """
    wanted = card.inputs.bands
    have = ", ".join(f"{band.index} {band.name}" for band in info.bands) or "none"
    if task.bands is not None:
        if len(task.bands) != len(wanted):
            raise SceneError(
                info.source,
                f"--bands names {len(task.bands)} bands, model {card.name!r} takes {len(wanted)} "
                f"({', '.join(wanted)})",
                f"name {len(wanted)}; the scene has {have}",
            )
        return tuple(_named(info, band, have) for band in task.bands), []
    if wanted == ("any",):
        if info.bands[0].colour == "palette":
            raise SceneError(
                info.source,
                "its values are places in a colour table, and no brightness",
                "convert it (gdal_translate -expand rgb), or take them as they are with --bands 1",
            )
        return (info.bands[0].index,), []
    unsuited = sorted({band.colour for band in info.bands} & UNSUITED)
    for name in (lambda band: band.colour, lambda band: band.name, _told):
        found = {name(band): band.index for band in reversed(info.bands)}
        if not unsuited and all(colour in found for colour in wanted):
            return tuple(found[colour] for colour in wanted), []
    # Bands whose names tell other colours than are wanted are not taken by their order.
    silent = not any(map(_told, info.bands))
    colourless = silent and {band.colour for band in info.bands} <= {"undefined", "gray"}
    if colourless and len(info.bands) == len(wanted) > 1 and not unsuited:
        note = f"its bands have no colours; taken as {', '.join(wanted)} in this order"
        return tuple(band.index for band in info.bands), [note]
    what = f"it has {len(info.bands)} band{'s' * (len(info.bands) != 1)} ({have})"
    way_out = "name the bands with --bands, such as --bands 3,2,1"
    if unsuited:
        what, way_out = f"its colours are {', '.join(unsuited)}", "convert it to RGB"
    elif len(info.bands) < len(wanted):
        way_out = "give imagery with these bands, or a model that takes what it has"
    raise SceneError(info.source, f"{what}; model {card.name!r} takes {', '.join(wanted)}", way_out)


def _told(band: Band) -> str:
    """Return the colour that a band's name tells, empty where it tells none or several."""
    words = set(re.findall(r"[a-z]+\d*", band.name))
    found = {_WORDS[word] for word in words & set(_WORDS)}
    return found.pop() if len(found) == 1 and not words & _EDGE else ""


def doubts_of(
    info: SceneInfo, bands: tuple[int, ...], card: ModelCard, task: Task
) -> tuple[str, ...]:
    """Return what a user should know of the bands that were chosen."""
    known = {band.index: band for band in info.bands}
    alpha = Band(index=info.alpha, name="alpha", colour="alpha")
    chosen = [known.get(index, alpha) for index in bands]
    doubts = []
    others = [
        f"{band.index} {band.name!r}"
        for band, wanted in zip(chosen, card.inputs.bands, strict=True)
        if wanted in COLOURS and _told(band) not in ("", wanted)
    ]
    if others and task.bands is None:
        doubts.append(
            f"taken as {', '.join(card.inputs.bands)} by their colours, its bands have other "
            f"names ({', '.join(others)}); say which with --bands"
        )
    meant = {f"{band.scale:g} * value + {band.offset:g}" for band in chosen}
    if len(meant) > 1 or any(band.scale < 0 for band in chosen):
        doubts.append(
            f"its bands mean {', '.join(sorted(meant))}, which is not applied; "
            "if that matters, write what they mean first (gdal_translate -unscale)"
        )
    return tuple(doubts)


def _named(info: SceneInfo, wanted: str | int, have: str) -> int:
    def fits(band: Band) -> bool:
        if isinstance(wanted, int) or wanted.isdecimal():
            return band.index == int(wanted)
        return wanted.lower() in (band.name, band.colour)

    for band in info.bands:
        if fits(band):
            return band.index
    if info.alpha and str(wanted).lower() in (str(info.alpha), "alpha"):
        return info.alpha
    raise SceneError(info.source, f"it has no band {wanted!r}", f"choose among {have}")
