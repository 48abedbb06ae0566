"""What a run publishes: the layer of all scenes, what changed in it, and its other forms."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, SceneError
from pipeline.mapping.planning.plan import classes_of
from pipeline.models.registry import card_of
from pipeline.regions.layer.changes import changes
from pipeline.regions.layer.layer import LayerScene, LayerSummary, build_layer
from pipeline.regions.layer.sinks import write_sinks
from pipeline.regions.ledger.ledger import Ledger
from pipeline.regions.ledger.records import RunRow, SceneRow
from pipeline.regions.publish import current_run, publish_run, run_folder
from pipeline.regions.removal import is_dropped
from pipeline.regions.resolved_region import LAYER, SCENES, ResolvedRegion, settings_digest
from pipeline.regions.scenes import footprint_file

RULES = 2
"""Raised when the same scenes make another layer: 2 joins buildings at borders of scenes."""


def publish_layer(
    site: ResolvedRegion, ledger: Ledger, run: RunRow
) -> tuple[RunRow, dict[str, Any]]:
    """Build the layer and what follows from it, unless it would be the one that is there.

    Returns:
        The run with its layer, and the summary's lines about it.

    Raises:
        SceneError: The footprints of a scene are damaged; the next run maps it again.
        ConfigError: The layer before is damaged.
        ExportError: A file could not be written.
    """
    rows = _in_layer(site, ledger.scenes())
    policies = site.region.policies
    key = settings_digest(
        [
            RULES,
            policies.overlap,
            list(site.region.outputs),
            [[row.scene, row.key, row.last_run, row.off_nadir] for row in rows],
        ]
    )
    before = ledger.published()
    standing = _standing(site, before)
    if before is not None and standing is not None and before.layer_key == key:
        return replace(run, layer=before.layer, layer_key=key), {"layer_built": False}
    if not rows:
        return run, {"layer_built": False}
    name = f"{run.run:06d}"
    folder = run_folder(site.out, name)
    previous = None if standing is None else standing / LAYER
    layer = _layer(site, ledger, rows, previous=previous, out=folder / LAYER)
    made: dict[str, Any] = {"layer_built": True, "layer": asdict(layer)}
    if previous is not None:
        found = changes(
            previous, folder / LAYER, folder / "changes", name=f"{site.region.name}_changes"
        )
        made["changes"] = asdict(found)
    items = {row.scene: site.out / SCENES / str(row.folder) / "item.json" for row in rows}
    write_sinks(
        folder / LAYER,
        folder,
        names=site.region.outputs,
        region=site.region.name,
        classes=classes_of(card_of(site.task.model)),
        items=items,
    )
    publish_run(site.out, name, {"region": site.region.name, "footprints": layer.footprints})
    made["folder"] = str(folder)
    return replace(run, layer=f"runs/{name}", layer_key=key), made


def _standing(site: ResolvedRegion, before: RunRow | None) -> Path | None:
    """Return the folder of the layer before; where the ledger was lost, what the region shows."""
    if before is not None and before.layer is not None:
        folder = site.out / before.layer
    else:
        try:
            shown = current_run(site.out)
        except ConfigError:
            return None
        if shown is None:
            return None
        folder = shown.folder
    return folder if (folder / LAYER).is_file() else None


def _layer(
    site: ResolvedRegion, ledger: Ledger, rows: list[SceneRow], *, previous: Path | None, out: Path
) -> LayerSummary:
    scenes = [_layer_scene(site, row) for row in rows]
    try:
        return build_layer(scenes, previous=previous, out=out, policy=site.region.policies.overlap)
    except SceneError as error:
        torn = next((row for row in rows if error.scene == str(footprint_file(site, row))), None)
        if torn is None:
            raise
        # All that share the folder: the next run maps one of them, and links the others.
        ledger.put(
            [
                _forgotten(row, error.reason)
                for row in ledger.scenes().values()
                if row.folder == torn.folder
            ]
        )
        raise SceneError(
            torn.scene, f"its results are damaged ({error})", "run again: it is mapped anew"
        ) from error


def _forgotten(row: SceneRow, reason: str) -> SceneRow:
    """Return a scene without results."""
    return replace(
        row, state="failed", attempts=0, reason=reason, key=None, folder=None, coverage=None
    )


def _in_layer(site: ResolvedRegion, rows: dict[str, SceneRow]) -> list[SceneRow]:
    """Return the scenes of the layer; of several with the same content the one known longest."""
    chosen: dict[str, SceneRow] = {}
    for row in sorted(rows.values(), key=lambda row: (row.first_run or 0, row.scene)):
        if row.folder is None or not footprint_file(site, row).is_file():
            continue
        if is_dropped(site, row):
            continue
        chosen.setdefault(row.folder, row)
    return sorted(chosen.values(), key=lambda row: row.scene)


def _layer_scene(site: ResolvedRegion, row: SceneRow) -> LayerScene:
    return LayerScene(
        key=row.scene,
        parquet=footprint_file(site, row),
        coverage=bytes.fromhex(row.coverage or ""),
        datetime=row.datetime,
        off_nadir=row.off_nadir,
    )
