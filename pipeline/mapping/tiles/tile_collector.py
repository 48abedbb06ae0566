"""A scene's tiles, given out in any order and joined in the order of the grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import shapely

from pipeline.core.redaction import redact
from pipeline.core.window import Window
from pipeline.errors import ConfigError, ExportError, ModelError, PipelineError, SceneError
from pipeline.mapping.finishing.stitch import Stitcher
from pipeline.mapping.planning.aoi import around, needs_tile
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.tiles.cached_tile import read_cached_tile
from pipeline.mapping.tiles.predict import overlapping_cores
from pipeline.mapping.tiles.tile_task import TileJob, TileRecord


class TileCollector:
    """Passes over a scene once, from its first tile to its last."""

    def __init__(self, plan: ScenePlan, joiner: Stitcher) -> None:
        """Begin before the first tile."""
        self.joiner = joiner
        self.failures: dict[int, str] = {}
        """Why tiles failed, by their place in the order of the grid."""
        self.log: list[dict[str, Any]] = []
        """Result and times of each tile, for ``log.jsonl``."""
        self._plan = plan
        self._cores = list(plan.grid.cores())
        self._area = None if plan.aoi is None else shapely.from_wkb(plan.aoi)
        self._wanted = [self._area is None or needs_tile(self._area, core) for core in self._cores]
        self._ended: set[int] = set()
        self._next = 0

    def jobs(self) -> Iterator[TileJob]:
        """Yield the tiles that are wanted."""
        for index, core in enumerate(self._cores):
            if self._wanted[index]:
                yield TileJob(
                    plan=self._plan,
                    index=index,
                    core=core,
                    aoi=None if self._area is None else around(self._area, core),
                    overlapping=self._overlapping(core),
                )

    @property
    def predict_s(self) -> float:
        """Seconds that forward passes took, all tiles together."""
        return float(sum(entry.get("seconds", {}).get("predict", 0.0) for entry in self.log))

    def account(self, job: TileJob, outcome: TileRecord | Exception) -> None:
        """Note the result of a tile.

        Raises:
            ModelError: The model is at fault, not the tile.
            ExportError: The disk is, and so would the next tile be.
        """
        if isinstance(outcome, TileRecord):
            entry = {"tile": job.index, "seconds": outcome.seconds, "reused": outcome.reused}
            self.log.append(entry | {"worker": outcome.worker})
            return
        if isinstance(outcome, ModelError | ExportError | ConfigError):
            raise outcome
        reason = redact(str(outcome) if isinstance(outcome, PipelineError) else repr(outcome))
        # Where tiles are blended a tile has two passes: the first that fails is the cause.
        self.failures.setdefault(job.index, reason)
        self.log.append({"tile": job.index, "failed": reason})

    def take(self, job: TileJob, outcome: TileRecord | Exception) -> None:
        """Note the result of a tile, and stitch all tiles that are next in order.

        Raises:
            ModelError: The model is at fault, not the tile.
            ExportError: The disk is full.
        """
        self.account(job, outcome)
        self._ended.add(job.index)
        while self._next < len(self._cores):
            if self._wanted[self._next] and self._next not in self._ended:
                return
            self._join(self._next)
            self._next += 1

    def end(self) -> None:
        """Finish rasters and polygons.

        Raises:
            SceneError: Not one tile could be mapped.
            ExportError: The disk is full.
        """
        for index in range(self._next, len(self._cores)):
            self._join(index)
        if self.failures and len(self.failures) == sum(self._wanted):
            raise SceneError(
                self._plan.info.source,
                f"none of its tiles could be mapped; the first: "
                f"{self.failures[min(self.failures)]}",
                "mend the scene, then run the same command again",
            )
        self.joiner.close()

    def _overlapping(self, core: Window) -> tuple[Window, ...]:
        blended = self._plan.card.context == "blend"
        return overlapping_cores(self._plan, core, self._cores) if blended else ()

    def _join(self, index: int) -> None:
        core = self._cores[index]
        if not self._wanted[index]:
            self.joiner.skip(core, failed=False)
            return
        self._ended.discard(index)
        arrays = read_cached_tile(self._plan.tiles / f"{self._plan.key(core)}.tile")
        if arrays is not None:
            self.joiner.add(core, arrays)
            return
        why = "its cached tile is not where the worker wrote it; is OUT shared?"
        self.failures.setdefault(index, why)
        self.joiner.skip(core, failed=True)
