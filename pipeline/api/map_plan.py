"""The result of a dry run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlan(Sequence[Mapping[str, Any]]):
    """A plan of a call of `map`: a mapping for each scene.

    Example:
        >>> overtile.plan("scene.tif")[0]["peak_memory_bytes"]          # doctest: +SKIP
    """

    model: Mapping[str, Any]
    """Name of the model, and its receptive-field radius."""
    scenes: tuple[Mapping[str, Any], ...]
    """State (``ready`` or ``refused``), tiles, memory, estimated time and complaints of each."""

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> MapPlan:
        """Return the plan that the dry run's summary describes."""
        return cls(model=summary["model"], scenes=tuple(summary["scenes"]))

    @property
    def refused(self) -> tuple[Mapping[str, Any], ...]:
        """Scenes that could not be mapped, with the reason."""
        return tuple(row for row in self.scenes if row["state"] == "refused")

    @property
    def table(self) -> pd.DataFrame:
        """A row for each scene."""
        import pandas as pd

        return pd.DataFrame(list(self.scenes))

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return the plan of a scene."""
        return self.scenes[index]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.scenes)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Iterate over the scenes."""
        return iter(self.scenes)

    def _repr_html_(self) -> str:
        return str(self.table.to_html())
