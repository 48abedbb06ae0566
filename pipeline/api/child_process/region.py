"""The functions of regions that a child process runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.api.child_process.shown import shown

Report = Callable[[str], None]


def region(
    *, verb: str, file: str, root: str | None, given: Mapping[str, Any], report: Report
) -> dict[str, Any]:
    """Plan, run, report on or compare a region.

    Args:
        verb: ``plan``, ``run``, ``status``, ``changes`` or ``layer``.
        file: The region's YAML.
        root: Folder that its paths start at.
        given: What the verb takes.
        report: Takes progress lines.

    Raises:
        ConfigError: The region's file must be changed; and as each verb does.
    """
    from pipeline.regions.resolved_region import resolve_region

    site = resolve_region(Path(file), root=None if root is None else Path(root))
    found: dict[str, Any] = shown(_REGION[verb](site, report=report, **given))
    return found


def _plan_region(site: Any, *, report: Report) -> dict[str, Any]:  # noqa: ARG001
    from pipeline.regions.clock import utc_now
    from pipeline.regions.plan import plan_summary

    return plan_summary(site, now=utc_now().timestamp())


def _run_region(site: Any, *, report: Report, scenes: list[str], retry: bool) -> dict[str, Any]:
    from pipeline.regions.resolved_region import without_backoff
    from pipeline.regions.run import run_region
    from pipeline.regions.selected import map_selected

    site = without_backoff(site) if retry else site
    return map_selected(site, scenes, report=report) if scenes else run_region(site, report=report)


def _region_status(site: Any, *, report: Report) -> dict[str, Any]:  # noqa: ARG001
    from pipeline.regions.clock import utc_now
    from pipeline.regions.report.status import status

    return status(site, now=utc_now())


def _region_changes(site: Any, *, report: Report, out: str, **given: Any) -> dict[str, Any]:  # noqa: ARG001
    from pipeline.core.conflation.compare import Tolerance
    from pipeline.regions.layer.history import changes_between

    tolerance = Tolerance(iou=given.pop("iou"), area=given.pop("area"))
    return changes_between(site, out=Path(out), tolerance=tolerance, **given)


def _region_layer(site: Any, *, report: Report) -> dict[str, Any]:  # noqa: ARG001
    from pipeline.errors import ConfigError
    from pipeline.regions.publish import current_run
    from pipeline.regions.resolved_region import LAYER

    published = current_run(site.out)
    if published is None:
        raise ConfigError(f"no run of {site.region.name} has a layer yet; run it first")
    return {"layer": str(published.folder / LAYER)}


_REGION: dict[str, Callable[..., dict[str, Any]]] = {
    "plan": _plan_region,
    "run": _run_region,
    "status": _region_status,
    "changes": _region_changes,
    "layer": _region_layer,
}
