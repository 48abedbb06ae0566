"""Reports for machines: JSON without NaN, and CSV tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.outputs.atomic import write_atomically

_GROUPS = ("sweep", "by_class", "by_size", "by_confidence")


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as JSON; NaN and infinity are refused.

    Raises:
        ExportError: The file could not be written.
        ValueError: A figure is not finite.
    """
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with write_atomically(path) as part:
        part.write_text(text, encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows under the columns that any of them has; None is an empty cell.

    Raises:
        ExportError: The file could not be written.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with write_atomically(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def figure_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every figure of a report in long form: group, name, figure, value, low, high."""
    rows = [
        {"group": "headline", "name": "", "figure": name, **value}
        for name, value in report["headline"].items()
    ]
    objects = report["objects"]
    tables = [(group, objects[group]) for group in _GROUPS]
    tables.append(("seams", objects["seams"]["rows"]))
    tables.append(("pixels", [report["pixels"]["all"], *report["pixels"]["by_class"]]))
    for group, table in tables:
        for row in table:
            name = row.get("name", row.get("iou", f"{row.get('from')} to {row.get('to')}"))
            rows += [
                {"group": group, "name": name, "figure": key, "value": value}
                for key, value in row.items()
                if key not in ("name", "from", "to", "unit", "reason")
            ]
    for measure, value in report["outlines"].items():
        if isinstance(value, Mapping):
            rows += [
                {"group": "outlines", "name": measure, "figure": key, "value": one}
                for key, one in value.items()
            ]
    for group in ("merged", "split", "near"):
        rows += _flat(group, "", objects[group])
    for name in ("polygons", "pixels", "mapping_challenge"):
        rows += _flat("coco", name, report["coco"].get(name, {}))
    rows += _flat("salt", "", report["salt"])
    for name in ("objects", "pixels"):
        rows += _flat("calibration", name, report["calibration"][name] or {})
        for point, value in (report["operating_point"][name] or {}).items():
            rows += _flat("operating_point", f"{name} {point}", value)
    return rows


def _flat(group: str, name: str, table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the numbers of a table, those of tables within it under both names."""
    rows: list[dict[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(group, f"{name} {key}".strip(), value)
        elif not isinstance(value, list | str) and key != "reason":
            rows.append({"group": group, "name": name, "figure": key, "value": value})
    return rows


def _cell(value: object) -> object:
    """Return a cell that a spreadsheet does not take for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value
    return "" if value is None else value
