"""Plans of scenes, as `overtile map` makes them."""

from __future__ import annotations

from pathlib import Path

from pipeline.gdal.raster_guard import install_guard
from pipeline.mapping.plan_scene import plan_scene
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.request import MapRequest
from pipeline.scenes.find import find_scenes


def planned(scene: str) -> ScenePlan:
    """Return the plan of a scene with the shipped buildings model, not yet put on a device."""
    install_guard()
    request = MapRequest(scenes=(scene,), out=Path("unused"))
    ref = find_scenes([scene]).refs[0]
    return plan_scene(request, request.chosen_task, ref, "scene").draft
