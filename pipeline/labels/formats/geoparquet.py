"""GeoParquet, decoded in pieces: metadata is checked before, content during decoding."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from pipeline.labels.limits import Count
from pipeline.labels.opened import VectorFile
from pipeline.labels.vectors import (
    Vectors,
    first_words,
    from_wkb,
    known_crs,
    not_georeferenced,
    refusal,
)

_ROWS_AT_ONCE = 1024


def read_geoparquet(file: VectorFile, *, wanted: tuple[str, ...], count: Count) -> Vectors:
    """Return the rows of a GeoParquet file.

    Args:
        file: An open file.
        wanted: Attributes to return; those of nested types are left out.
        count: What is decoded, against its limits.

    Raises:
        ConfigError: It is damaged, too large, or its geometry metadata are missing or wrong.
    """
    path = file.path
    try:
        with (
            file.bytes() as raw,
            pq.ParquetFile(raw, buffer_size=2**20, pre_buffer=False) as parquet,
        ):
            about, primary = _geometry(file, parquet.schema_arrow)
            schema = parquet.schema_arrow
            names = [
                name
                for name in wanted
                if name in schema.names and name != primary and _is_plain(schema.field(name).type)
            ]
            _check_claims(parquet.metadata, {primary, *names}, count)
            shapes, columns = _decoded(parquet, primary, names, count)
    except MemoryError:  # Arrow's is one of its other errors as well
        raise
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise refusal(
            path, "it is Parquet without usable geo metadata", "write GeoParquet"
        ) from error
    except (pa.ArrowException, shapely.errors.GEOSException, OSError) as error:
        raise refusal(path, f"it is damaged ({first_words(error)})", "export it again") from error
    if "crs" in about and about["crs"] is None:
        raise not_georeferenced(path)
    return Vectors(
        source=str(path),
        geometry=shapely.force_2d(shapes),
        # Without the key the standard says longitude and latitude.
        crs=known_crs(path, json.dumps(about["crs"]) if "crs" in about else "OGC:CRS84"),
        columns=columns,
        fields=tuple(name for name in schema.names if name != primary),
    )


def _geometry(file: VectorFile, schema: pa.Schema) -> tuple[dict[str, Any], str]:
    """Return the metadata of the geometry column, and its name."""
    meta = json.loads((schema.metadata or {})[b"geo"])
    primary = meta["primary_column"]
    about = meta["columns"][primary]
    if about["encoding"] != "WKB":
        raise refusal(file.path, f"its encoding is {about['encoding']}", "write it as WKB")
    kind = schema.field(primary).type
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if not (pa.types.is_binary(storage) or pa.types.is_large_binary(storage)):
        raise refusal(file.path, f"its geometry column is of type {kind}", "write it as WKB")
    return about, primary


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether a column holds single values: a list of a billion nulls takes few bytes."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_primitive(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    )


def _check_claims(meta: pq.FileMetaData, names: set[str], count: Count) -> None:
    """Check the numbers of rows and bytes in a file's metadata.

    Raises:
        ConfigError: They are more than the limits.
        ArrowInvalid: They do not agree.
    """
    groups = [meta.row_group(index) for index in range(meta.num_row_groups)]
    count.check_features(meta.num_rows)
    if any(group.num_rows < 0 for group in groups):
        raise pa.ArrowInvalid("a row group has fewer than no rows")
    if sum(group.num_rows for group in groups) != meta.num_rows:
        raise pa.ArrowInvalid(f"its row groups do not have the {meta.num_rows} rows of its footer")
    reported = Count(count.path, count.limits)
    for group in groups:
        for index in range(group.num_columns):
            column = group.column(index)
            if column.path_in_schema in names:
                reported.add_bytes(max(0, column.total_uncompressed_size))


def _decoded(
    parquet: pq.ParquetFile, primary: str, names: list[str], count: Count
) -> tuple[np.ndarray, dict[str, list[Any]]]:
    """Return geometries and columns; what repeats in the file takes its full size here."""
    shapes = [np.zeros(0, object)]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    rows = 0
    for batch in parquet.iter_batches(
        batch_size=_ROWS_AT_ONCE, columns=[primary, *names], use_threads=False
    ):
        count.add_bytes(batch.nbytes)
        rows += len(batch)
        shapes.append(from_wkb(_storage(batch.column(primary)).to_numpy(zero_copy_only=False)))
        count.add(shapes[-1])
        for name in names:
            columns[name] += batch.column(name).to_pylist()
    if rows != parquet.metadata.num_rows:
        raise pa.ArrowInvalid(f"{rows} rows instead of {parquet.metadata.num_rows}")
    return np.concatenate(shapes), columns


def _storage(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column
