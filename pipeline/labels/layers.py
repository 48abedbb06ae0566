"""Which layer of a file with several is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.labels.vectors import refusal

_NAMED_AT_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChoice:
    """A layer as the user names it, and how."""

    name: str | None = None
    """Its name; None for the only one with polygons."""
    option: str = "layer"
    """The option (``--aoi-layer``) or the key of a file (``aoi.layer``) that names it."""

    @property
    def hint(self) -> str:
        """What to do where there are several."""
        name = f"{self.option} NAME" if self.option.startswith("--") else f"`{self.option}: NAME`"
        return f"choose one: {name}"

    def refuse(self, path: Path) -> None:
        """Refuse a name where a file has no layers.

        Raises:
            ConfigError: There is a name.
        """
        if self.name is not None:
            reason = f"it has no layers, and so no {self.name!r}"
            raise refusal(path, reason, f"leave {self.option} out")

    def of(self, path: Path, layers: Sequence[tuple[str, str | None]]) -> str:
        """Return the layer's name.

        Args:
            path: The file, for messages.
            layers: Names and types of geometry, None where a layer has none.

        Raises:
            ConfigError: There is no such layer, or it is not clear which.
        """
        names = [name for name, _ in layers]
        if self.name is not None:
            if self.name in names:
                return self.name
            reason = f"it has no layer {self.name!r}"
            raise refusal(path, reason, f"its layers are {_listed(names)}")
        spatial = [name for name, kind in layers if kind is not None]
        areal = [name for name, kind in layers if kind and "polygon" in kind.lower()] or spatial
        if len(areal) > 1:
            raise refusal(path, f"it has {len(areal)} layers, {_listed(areal)}", self.hint)
        if not areal:
            raise refusal(path, "it has no layer with geometries", "name another file")
        return areal[0]


def _listed(names: list[str]) -> str:
    shown = [name[:80] for name in names[:_NAMED_AT_MOST]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


ANY = LayerChoice()
"""The only layer with polygons."""
