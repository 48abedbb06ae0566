"""Overtile from Python: map scenes, evaluate maps, train models.

>>> import overtile
>>> results = overtile.map("scene.tif")                       # doctest: +SKIP
>>> results.polygons.to_file("buildings.gpkg")                # doctest: +SKIP

Names are loaded when they are first used: importing this package loads neither torch nor GDAL.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.api.arrays.match import match
    from pipeline.api.arrays.model import Model, load_model, models
    from pipeline.api.arrays.polygonize import polygonize
    from pipeline.api.arrays.regularize import regularize
    from pipeline.api.check import Finding, validate
    from pipeline.api.evaluate import Evaluation, Metric, evaluate
    from pipeline.api.map import map, plan
    from pipeline.api.map_plan import MapPlan
    from pipeline.api.options import MapOptions
    from pipeline.api.region import Region
    from pipeline.api.results import MapResult, MapResults
    from pipeline.api.train import train
    from pipeline.errors import (
        ClusterError,
        ConfigError,
        ExportError,
        LockedError,
        ModelError,
        PipelineError,
        SceneError,
    )

__all__ = [
    "ClusterError",
    "ConfigError",
    "Evaluation",
    "ExportError",
    "Finding",
    "LockedError",
    "MapOptions",
    "MapPlan",
    "MapResult",
    "MapResults",
    "Metric",
    "Model",
    "ModelError",
    "PipelineError",
    "Region",
    "SceneError",
    "evaluate",
    "load_model",
    "map",
    "match",
    "models",
    "plan",
    "polygonize",
    "regularize",
    "train",
    "validate",
]

_MODULES = {
    "pipeline.api.check": ("Finding", "validate"),
    "pipeline.api.evaluate": ("Evaluation", "Metric", "evaluate"),
    "pipeline.api.map": ("map", "plan"),
    "pipeline.api.map_plan": ("MapPlan",),
    "pipeline.api.arrays.match": ("match",),
    "pipeline.api.arrays.model": ("Model", "load_model", "models"),
    "pipeline.api.options": ("MapOptions",),
    "pipeline.api.arrays.polygonize": ("polygonize",),
    "pipeline.api.region": ("Region",),
    "pipeline.api.arrays.regularize": ("regularize",),
    "pipeline.api.results": ("MapResult", "MapResults"),
    "pipeline.api.train": ("train",),
    "pipeline.errors": tuple(name for name in __all__ if name.endswith("Error")),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:
    # Type checkers would take any name for one of the package.
    def __getattr__(name: str) -> object:
        """Load a name of `__all__` from the module that defines it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        _check_package()
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _check_package() -> None:
    """Refuse another module called ``pipeline`` that hides Overtile's.

    Raises:
        ImportError: One is found first on ``sys.path``, or is imported already.
    """
    expected = Path(__file__).resolve().parents[1] / "pipeline"
    found = getattr(import_module("pipeline"), "__file__", None)
    if found is None or Path(found).resolve().parent != expected:
        raise ImportError(
            f"another module is called 'pipeline' ({found}) and hides that of Overtile "
            f"({expected}): rename it, or start Python in another folder"
        )
