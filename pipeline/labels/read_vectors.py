"""Vector files of others, read in a child process without trusting them.

A file is opened once; what it is follows from its first bytes and never from its name: an OGR
VRT called ``truth.geojson`` would read any file or URL of this machine. GeoJSON, COCO,
GeoParquet and GeoPackage are decoded by us; Shapefile, FlatGeobuf, KML and GML by a GDAL that
is left with the one driver. Reading and repairing have limits of memory and time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pyproj import CRS

from pipeline.gdal.child import (
    ChildCall,
    ChildError,
    ChildLimits,
    ChildMemoryError,
    ChildTimeError,
    call_in_child,
)
from pipeline.labels.child_read import COLUMN, GEOMETRY
from pipeline.labels.formats.columns import column_values, decode_geometries
from pipeline.labels.layers import ANY, LayerChoice
from pipeline.labels.limits import DEFAULT, Limits
from pipeline.labels.opened import VectorFile, open_vector_file
from pipeline.labels.sniff import guess
from pipeline.labels.vectors import KEPT, Vectors, refusal
from pipeline.labels.zipped import ZIP, unzipped

_MODULES: Mapping[str, tuple[str, ...]] = {
    "parquet": ("pipeline.labels.formats.geoparquet",),
    "gpkg": ("pipeline.labels.formats.geopackage",),
    "coco": ("pipeline.labels.formats.coco:compile_tracing",),
    **dict.fromkeys(
        ("shp", "fgb", "xml"),
        ("pipeline.labels.formats.ogr", "pipeline.gdal.vector_guard:configure_vector_gdal"),
    ),
}
"""What decodes each format: imported once, before a child is forked."""
_OF_COCO = (b'"annotations"', b'"images"', b'"categories"', b'"licenses"')


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorQuery:
    """What is asked of a vector file."""

    what: Literal["vectors", "objects", "area"]
    """Geometries as they stand, cleaned polygons, or their union."""
    choice: LayerChoice = ANY
    """Which layer."""
    image: str | None = None
    """Which image of a COCO file."""
    wanted: tuple[str, ...] = KEPT
    """Attributes that are read."""
    limits: Limits = DEFAULT
    """What reading may take."""


def read_vectors(
    path: Path,
    *,
    choice: LayerChoice = ANY,
    wanted: tuple[str, ...] = KEPT,
    limits: Limits = DEFAULT,
) -> Vectors:
    """Return the geometries of a vector file.

    Args:
        path: A local file.
        choice: Which layer, where the file has several with polygons.
        wanted: Attributes to return.
        limits: What reading may take.

    Raises:
        ConfigError: It is no vector file, is damaged, takes more than its limits, or does not
            say what its coordinates mean, or not in a way that leads to the Earth.
    """
    question = VectorQuery(what="vectors", choice=choice, wanted=wanted, limits=limits)
    header, table = read_in_child(path, question)
    columns = {
        one.name.removeprefix(COLUMN): column_values(table.column(one.name), one)
        for one in table.schema
        if one.name != GEOMETRY
    }
    return Vectors(
        source=str(path),
        geometry=decode_geometries(table.column(GEOMETRY)),
        crs=crs_of(header),
        columns=columns,
        fields=tuple(header["fields"]),
        notes=tuple(header["notes"]),
    )


def read_in_child(path: Path, question: VectorQuery) -> tuple[dict[str, Any], pa.Table]:
    """Read a file in a child process; returns the result of `pipeline.labels.child_read`.

    Raises:
        ConfigError: As `read_vectors`.
    """
    limits = question.limits
    with open_vector_file(path) as file, ExitStack() as stack:
        folder = _folder(stack, path)
        if file.head.startswith(ZIP):
            unpacked = unzipped(file, question.choice, limits, Path(_folder(stack, path)))
            file = stack.enter_context(unpacked)
        call = ChildCall(
            function="pipeline.labels.child_read:read",
            arguments=arguments_for(file, question, folder=folder),
            preload=("numpy.ma", "pipeline.labels.child_read", *_modules(file)),
        )
        allowed = ChildLimits(
            memory_bytes=limits.memory_bytes,
            seconds=limits.time(file.size),
            answer_bytes=limits.memory_bytes,
        )
        try:
            header, stream = call_in_child(call, files=file.handles, limits=allowed)
        except ChildMemoryError as error:
            memory = limits.memory_bytes / 1e9
            reason = f"reading it takes more than {memory:.3g} GB of memory, which is the limit"
            raise refusal(path, reason, limits.hint) from error
        except ChildTimeError as error:
            reason = f"reading it takes more than {allowed.seconds:.3g} s, which is the limit"
            raise refusal(path, reason, limits.hint) from error
        except ChildError as error:
            raise refusal(path, f"it cannot be read ({error})", "export it again") from error
    with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
        return header, reader.read_all()


def arguments_for(file: VectorFile, question: VectorQuery, *, folder: str) -> dict[str, Any]:
    """Return the arguments of `pipeline.labels.child_read.read`."""
    return {
        "path": str(file.path),
        "beside": tuple(file.beside),
        "what": question.what,
        "wanted": question.wanted,
        "layer": question.choice.name,
        "option": question.choice.option,
        "image": question.image,
        "limits": asdict(question.limits),
        "folder": folder,
    }


def crs_of(header: Mapping[str, Any]) -> CRS | None:
    """Return the reference system of an answer."""
    return None if header["crs"] is None else CRS.from_user_input(header["crs"])


def _folder(stack: ExitStack, path: Path) -> str:
    """Return a new empty folder, removed at the end."""
    try:
        return stack.enter_context(tempfile.TemporaryDirectory(prefix="overtile-"))
    except OSError as error:
        reason = f"there is no folder for temporary files ({error})"
        raise refusal(path, reason, "name one that can be written: TMPDIR") from error


def _modules(file: VectorFile) -> tuple[str, ...]:
    kind = guess(file.head)
    coco = kind == "geojson" and any(name in file.head for name in _OF_COCO)
    return _MODULES.get("coco" if coco else kind, ())
