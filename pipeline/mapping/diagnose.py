"""Checks of an installation: libraries, engines, drivers, memory, disk, caches, workers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.core.code_cache import SOURCE, choose_folder
from pipeline.errors import PipelineError
from pipeline.executors.environment import differences, environment
from pipeline.models.predictor import Stretch
from pipeline.models.registry import (
    ModelRef,
    card_of,
    cuda_is_there,
    find_files,
    load_predictor,
)

State = Literal["ok", "absent", "warning", "failed"]
MODEL = "buildings"
"""Predicts the tile with which engines are tried."""
EDGE = 128
"""Side of the tile in pixels."""
CLOSE = 1e-4
"""Largest difference in probability between two engines."""
LEAST_MEMORY, LEAST_DISK = 2e9, 2e9
"""Bytes below which a warning is given."""
OPTIONAL = {
    "onnxruntime": "pip install 'overtile[ort]'",
    "torch": "pip install 'overtile[gpu]', or 'overtile[train]'",
}
"""Engines that need not be there, and what adds them."""

ENGINES = ("openvino", *OPTIONAL, "cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of one check."""

    name: str
    """What was checked."""
    state: State
    """``ok``; ``absent``: optional, and not installed; ``warning``; ``failed``."""
    detail: str
    """What was found."""
    hint: str = ""
    """What to do; empty where there is nothing to do."""


def diagnose(*, out: Path, cluster: str | None = None) -> list[Check]:
    """Check an installation; a check that fails does not stop the others.

    Args:
        out: Folder whose disk is looked at.
        cluster: Address of a Dask scheduler whose workers are checked too.

    Returns:
        The checks in a fixed order.
    """
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("versions", _versions),
        ("drivers of rasterio", _raster_drivers),
        ("drivers of pyogrio", _vector_drivers),
        ("projections", _projections),
        *(
            (f"engine {name}", partial(engine_check, name))
            for name in ("openvino", *OPTIONAL, "cuda")
        ),
        ("memory", _memory),
        ("disk", partial(_disk, out)),
        ("compiled loops", _compiled_loops),
    ]
    if cluster is not None:
        checks.append(("cluster", partial(cluster_check, cluster)))
    return [run_check(name, check) for name, check in checks]


def run_check(name: str, check: Callable[[], Check]) -> Check:
    """Run a check; what it raises makes it a failed one."""
    try:
        return check()
    except PipelineError as error:
        text, _, hint = str(error).rpartition("; ")
        return Check(name=name, state="failed", detail=text or hint, hint=hint if text else "")
    except Exception as error:  # noqa: BLE001 - a broken library may raise anything
        detail = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Check(name=name, state="failed", detail=detail, hint="install Overtile anew")


def _versions() -> Check:
    found = environment()
    return Check(
        name="versions",
        state="ok",
        detail=", ".join(f"{name} {value}" for name, value in found.items()),
    )


def _raster_drivers() -> Check:
    from pipeline.gdal.raster_guard import ALLOWED, check_guard, install_guard

    install_guard()
    check_guard()
    import rasterio

    detail = f"GDAL {rasterio.__gdal_version__}: {', '.join(sorted(ALLOWED))}"
    return Check(name="drivers of rasterio", state="ok", detail=detail)


def _vector_drivers() -> Check:
    from pipeline.gdal.vector_guard import check_drivers, pyogrio, vector_drivers

    library = pyogrio()
    check_drivers()
    names = ", ".join(sorted(vector_drivers()))
    detail = f"GDAL {library.__gdal_version_string__}: {names}"
    return Check(name="drivers of pyogrio", state="ok", detail=detail)


def _projections() -> Check:
    """Transform a point from degrees to UTM zone 45 with both libraries, to a millimetre."""
    from pyproj import Transformer, proj_version_str
    from rasterio.warp import transform

    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32645", always_xy=True).transform(87.0, 27.0)
    (other,), (north,) = transform("EPSG:4326", "EPSG:32645", [87.0], [27.0])
    apart = max(abs(x - other), abs(y - north), abs(x - 500_000))
    if apart > 1e-3:
        return Check(
            name="projections",
            state="failed",
            detail=f"87 E 27 N lies {apart:.3g} m apart in pyproj and rasterio",
            hint="unset PROJ_DATA and PROJ_LIB",
        )
    return Check(name="projections", state="ok", detail=f"PROJ {proj_version_str}")


def engine_check(name: str, predict: Callable[[str], np.ndarray] | None = None) -> Check:
    """Predict a tile with an engine, and compare it with OpenVINO's prediction.

    Args:
        name: ``openvino``, ``onnxruntime``, ``torch`` or ``cuda``.
        predict: Returns the probabilities of an engine; the shipped model's by default.
    """
    predict = predict or _predicted
    title = f"engine {name}"
    module = "torch" if name == "cuda" else name
    if find_spec(module) is None:
        hint = OPTIONAL.get(module, "pip install openvino")
        state: State = "absent" if module in OPTIONAL else "failed"
        return Check(name=title, state=state, detail=f"{module} is not installed", hint=hint)
    if name == "cuda" and not cuda_is_there():
        return Check(name=title, state="absent", detail="there is no CUDA device that torch sees")
    found = predict("cpu" if name == "torch" else name)
    if name != "openvino" and find_spec("openvino") is not None:
        apart = float(np.abs(found - predict("openvino")).max())
        if apart > CLOSE:
            return Check(
                name=title,
                state="failed",
                detail=f"its probabilities are {apart:.2g} apart from those of OpenVINO",
                hint=f"use --device openvino, and report {_version(module)}",
            )
    detail = f"{_version(module)} predicts a tile of {EDGE} x {EDGE} px"
    return Check(name=title, state="ok", detail=detail)


def _predicted(device: str) -> np.ndarray:
    files = find_files(MODEL)
    if files is None or files.onnx is None:
        raise FileNotFoundError(f"the files of model {MODEL!r}")
    ref = ModelRef(name=MODEL, sha256=card_of(MODEL).sha256)
    pixels = np.random.default_rng(0).integers(0, 256, (3, EDGE, EDGE), np.uint8)
    valid = np.ones((EDGE, EDGE), bool)
    predictor = load_predictor(ref, device=device)
    return predictor.predict(pixels, valid, Stretch(low=0.0, high=255.0))


def _version(module: str) -> str:
    try:
        return f"{module} {version(module)}"
    except PackageNotFoundError:
        return module


def _memory() -> Check:
    import psutil

    found = psutil.virtual_memory()
    small = found.available < LEAST_MEMORY
    return Check(
        name="memory",
        state="warning" if small else "ok",
        detail=f"{found.available / 1e9:.1f} GB of {found.total / 1e9:.1f} GB available",
        hint="close other programs, or map with --max-memory" if small else "",
    )


def _disk(out: Path) -> Check:
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    free, writable = shutil.disk_usage(there).free, os.access(there, os.W_OK)
    if not writable:
        detail, hint = f"{there} cannot be written to", "choose another --out"
        return Check(name="disk", state="failed", detail=detail, hint=hint)
    small = free < LEAST_DISK
    return Check(
        name="disk",
        state="warning" if small else "ok",
        detail=f"{free / 1e9:.1f} GB free at {there}",
        hint="free space, or choose another --out" if small else "",
    )


def _compiled_loops() -> Check:
    chosen = choose_folder(given=os.environ.get("NUMBA_CACHE_DIR", ""))
    if chosen is None:
        return Check(
            name="compiled loops",
            state="warning",
            detail="no folder can be written to: every run compiles them again",
            hint="set NUMBA_CACHE_DIR to a folder of your own",
        )
    folder = Path(chosen) if chosen else SOURCE
    count = sum(1 for _ in _indices(folder))
    detail = f"{count} kept in {folder}" if count else f"none yet; the first run fills {folder}"
    return Check(name="compiled loops", state="ok", detail=detail)


def _indices(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.nbi")


def cluster_check(address: str) -> Check:
    """Compare the versions of a cluster's workers with those of this process."""
    from pipeline.executors.dask import Dask
    from pipeline.gdal.raster_guard import install_guard

    with closing(Dask.connect(address, setup=install_guard)) as executor:
        found = executor.everywhere(environment)
    here = environment()
    unlike = sorted({text for there in found if (text := differences(there, here))})
    if unlike:
        return Check(
            name="cluster",
            state="failed",
            detail=f"{len(found)} workers, some of other versions: {'; '.join(unlike)}",
            hint="start all with this version of Overtile and its libraries",
        )
    return Check(name="cluster", state="ok", detail=f"{len(found)} workers of the same versions")
