"""Regions from Python: map again and again what is new."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.api.child_process.call import call
from pipeline.api.folders import TemporaryFolder
from pipeline.api.progress import Progress
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


class Region:
    """A region: a YAML file, its sources, and the layer of footprints that runs keep up to date.

    Example:
        >>> region = overtile.Region("town/region.yaml")                # doctest: +SKIP
        >>> region.run()["mapped"], len(region.layer)                   # doctest: +SKIP
    """

    def __init__(
        self, file: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
    ) -> None:
        """Name a region; the file is read by each call.

        Args:
            file: The region's YAML.
            root: Folder that its paths start at and stay in; the file's own if None.

        Raises:
            ConfigError: There is no such file.
        """
        self.file = Path(file)
        """The region's YAML."""
        self.root = None if root is None else Path(root)
        """Folder that its paths start at; None: the file's own."""
        if not self.file.is_file():
            raise ConfigError(f"{self.file} does not exist; name the YAML file of a region")

    def __repr__(self) -> str:
        """Return the call that makes it."""
        root = "" if self.root is None else f", root={str(self.root)!r}"
        return f"Region({str(self.file)!r}{root})"

    def plan(self) -> dict[str, Any]:
        """Plan a run: what would be mapped and why; nothing is written.

        Returns:
            ``counts`` by state, ``scenes``, ``faults`` and ``failed``.

        Raises:
            ConfigError: The region's file must be changed.

        Example:
            >>> overtile.Region("town/region.yaml").plan()["counts"]    # doctest: +SKIP
        """
        return self._call("plan")

    def run(
        self,
        *,
        scenes: Iterable[str] = (),
        retry: bool = False,
        progress: Progress = "auto",
    ) -> dict[str, Any]:
        """Map what is new or changed, and bring the layer up to date; safe to repeat.

        Args:
            scenes: Map these alone; the layer follows with the next whole run.
            retry: Try failed scenes now, also those that were given up.
            progress: As in `map`.

        Returns:
            The summary: ``mapped``, ``unchanged``, ``failed``, ``changes``, ...

        Raises:
            ConfigError: The region's file must be changed.
            ModelError: The model cannot be used.
            ExportError: The disk is full, or a database does not answer.
            LockedError: Another run holds the region.

        Example:
            >>> overtile.Region("town/region.yaml").run(retry=True)     # doctest: +SKIP
        """
        return self._call("run", progress=progress, scenes=list(scenes), retry=retry)

    def status(self) -> dict[str, Any]:
        """Report how the region stands: scenes, failures, runs, area mapped.

        Returns:
            The content of ``overtile region status --json``.

        Raises:
            ConfigError: The ledger cannot be used.
            ExportError: The database does not answer.

        Example:
            >>> overtile.Region("town/region.yaml").status()["failures"]  # doctest: +SKIP
        """
        return self._call("status")

    def changes(
        self,
        *,
        before: int | None = None,
        after: int | None = None,
        iou: float = 0.5,
        area: float = 0.25,
    ) -> GeoDataFrame:
        """Compare the layers of two runs.

        Args:
            before: Number of the earlier run; the last but one if None.
            after: Number of the later run; the last if None.
            iou: Outlines that overlap so much are the same.
            area: Areas that differ by this share are the same.

        Returns:
            What was added, removed or changed.

        Raises:
            ConfigError: A run has no layer.

        Example:
            >>> overtile.Region("town/region.yaml").changes()           # doctest: +SKIP
        """
        import geopandas as gpd

        folder = TemporaryFolder()
        given: dict[str, Any] = {
            "before": before,
            "after": after,
            "iou": float(iou),
            "area": float(area),
        }
        self._call("changes", out=str(folder.path), **given)
        return gpd.read_parquet(folder.path / "changes.parquet")

    @property
    def layer(self) -> GeoDataFrame:
        """The current layer: one footprint a building, with ``building_id`` and its history.

        Raises:
            ConfigError: No run has published a layer yet.
        """
        import geopandas as gpd

        return gpd.read_parquet(self._call("layer")["layer"])

    def _call(self, verb: str, *, progress: Progress = None, **given: Any) -> dict[str, Any]:
        arguments = {
            "verb": verb,
            "file": str(self.file),
            "root": None if self.root is None else str(self.root),
            "given": given,
        }
        found: dict[str, Any] = call("region", arguments, progress=progress)
        return found
