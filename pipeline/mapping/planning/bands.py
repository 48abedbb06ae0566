"""Choice of bands for a model: by colour, by name, or by option."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config import Task
from pipeline.errors import SceneError
from pipeline.mapping.planning.band_names import COLOURS, BandColours, colour_word, named_colours
from pipeline.models.card import ModelCard
from pipeline.scenes.scene import Band, SceneInfo

UNSUITED = {"palette", "cyan", "magenta", "yellow", "black", "inverted gray", "lightness"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BandChoice:
    """The bands for a model's channels, and how they were chosen."""

    bands: tuple[int, ...]
    """Indices, in the order of the channels."""
    notes: tuple[str, ...] = ()
    """What was chosen on the user's behalf, and is sure."""
    warnings: tuple[str, ...] = ()
    """What was chosen, and may be wrong."""


def choose_bands(info: SceneInfo, card: ModelCard, task: Task) -> BandChoice:
    """Return the bands for a model's channels: as asked, else by colour, by name, by order.

    Raises:
        SceneError: The scene's bands are unknown, or one is missing.
    """
    wanted = card.inputs.bands
    have = ", ".join(f"{band.index} {band.name}" for band in info.bands) or "none"
    if task.bands is not None:
        return BandChoice(bands=_asked(info, card, task.bands, have))
    if wanted == ("any",):
        if info.bands[0].colour == "palette":
            raise SceneError(
                info.source,
                "its values are places in a colour table, and no brightness",
                "convert it (gdal_translate -expand rgb), or take them as they are with --bands 1",
            )
        return BandChoice(bands=(info.bands[0].index,))
    unsuited = sorted({band.colour for band in info.bands} & UNSUITED)
    by_colour = {band.colour: band.index for band in reversed(info.bands)}
    for found in (by_colour, {band.name: band.index for band in reversed(info.bands)}):
        if not unsuited and all(colour in found for colour in wanted):
            return BandChoice(bands=tuple(found[colour] for colour in wanted))
    colours = tuple(colour_word(name) or name for name in wanted)
    named = named_colours(info, colours)
    by_name = {colour: index for index, colour in sorted(named.colours.items(), reverse=True)}
    if not unsuited and all(colour in by_name for colour in colours):
        return _by_name(info, wanted, tuple(by_name[colour] for colour in colours), named)
    # Bands that are named as other colours than those needed are not taken by their order.
    silent = not named.colours and not named.numbered
    colourless = silent and {band.colour for band in info.bands} <= {"undefined", "gray"}
    if colourless and len(info.bands) == len(wanted) > 1 and not unsuited:
        return BandChoice(
            bands=tuple(band.index for band in info.bands),
            warnings=(
                f"neither colours nor names identify its bands ({have}); taken as "
                f"{', '.join(wanted)} by their order alone: if that is wrong, choose them with "
                "--bands",
            ),
        )
    what = f"it has {len(info.bands)} band{'s' * (len(info.bands) != 1)} ({have})"
    hint = "name the bands with --bands, such as --bands 3,2,1"
    if unsuited:
        what, hint = f"its colours are {', '.join(unsuited)}", "convert it to RGB"
    elif len(info.bands) < len(wanted):
        hint = "give imagery with these bands, or a model that takes what it has"
    raise SceneError(info.source, f"{what}; model {card.name!r} takes {', '.join(wanted)}", hint)


def _asked(
    info: SceneInfo, card: ModelCard, asked: Sequence[str | int], have: str
) -> tuple[int, ...]:
    wanted = card.inputs.bands
    if len(asked) != len(wanted):
        raise SceneError(
            info.source,
            f"--bands names {len(asked)} bands, model {card.name!r} takes {len(wanted)} "
            f"({', '.join(wanted)})",
            f"name {len(wanted)}; the scene has {have}",
        )
    return tuple(_named(info, band, have) for band in asked)


def _by_name(
    info: SceneInfo, wanted: Sequence[str], bands: tuple[int, ...], named: BandColours
) -> BandChoice:
    if not named.sensor:
        return BandChoice(bands=bands)
    names = {band.index: band.name for band in info.bands}
    text = (
        f"its bands {', '.join(names[index] for index in bands)} are taken as "
        f"{', '.join(wanted)}, as {named.sensor} number them"
    )
    if not named.ambiguity:
        return BandChoice(bands=bands, notes=(text,))
    warning = (
        f"{text}; {named.ambiguity} number bands otherwise: if it is one of those, choose them with"
    )
    return BandChoice(bands=bands, warnings=(f"{warning} --bands",))


def band_warnings(
    info: SceneInfo, bands: tuple[int, ...], card: ModelCard, task: Task
) -> tuple[str, ...]:
    """Return warnings about the chosen bands."""
    known = {band.index: band for band in info.bands}
    alpha = Band(index=info.alpha, name="alpha", colour="alpha")
    chosen = [known.get(index, alpha) for index in bands]
    warnings = []
    wanted = tuple(colour_word(name) or name for name in card.inputs.bands)
    named = named_colours(info, wanted).colours
    others = [
        f"{band.index} {band.name!r}"
        for band, colour in zip(chosen, wanted, strict=True)
        if colour in COLOURS and named.get(band.index, colour) != colour
    ]
    if others and task.bands is None:
        warnings.append(
            f"taken as {', '.join(card.inputs.bands)} by their colours, its bands have other "
            f"names ({', '.join(others)}); choose them with --bands"
        )
    meant = {f"{band.scale:g} * value + {band.offset:g}" for band in chosen}
    if len(meant) > 1 or any(band.scale < 0 for band in chosen):
        warnings.append(
            f"its bands mean {', '.join(sorted(meant))}, which is not applied; "
            "if that matters, write what they mean first (gdal_translate -unscale)"
        )
    return tuple(warnings)


def _named(info: SceneInfo, wanted: str | int, have: str) -> int:
    named = named_colours(info, (str(wanted).lower(),)).colours

    def fits(band: Band) -> bool:
        if isinstance(wanted, int) or wanted.isdecimal():
            return band.index == int(wanted)
        return wanted.lower() in (band.name, band.colour)

    for band in info.bands:
        if fits(band):
            return band.index
    detail = [index for index, colour in named.items() if colour == str(wanted).lower()]
    if len(detail) == 1:
        return detail[0]
    if info.alpha and str(wanted).lower() in (str(info.alpha), "alpha"):
        return info.alpha
    raise SceneError(info.source, f"it has no band {wanted!r}", f"choose among {have}")
