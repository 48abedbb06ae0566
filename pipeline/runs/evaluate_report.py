"""Write what an evaluation found: JSON, CSV and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.outputs.report.tables import figure_rows, write_csv, write_json
from pipeline.runs.evaluate_result import Evaluation


def write_report(evaluation: Evaluation, out: Path, *, scene: Path | None = None) -> None:
    """Write ``report.json``, ``report.csv`` and ``report.html`` into a folder.

    Args:
        evaluation: What was found.
        out: The folder; made where it is missing.
        scene: The imagery, where the prediction does not name it.

    Raises:
        ExportError: A file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "report.json", evaluation.report)
    write_csv(out / "report.csv", figure_rows(evaluation.report))


def write_summary(summary: dict[str, Any], out: Path) -> None:
    """Write ``summary.json``, ``summary.csv`` and ``summary.html`` into a folder.

    Raises:
        ExportError: A file cannot be written.
    """
    write_json(out / "summary.json", summary)
    rows = [
        {
            "system": row["system"],
            "scene": row["scene"],
            "truths": row["truths"],
            "predictions": row["predictions"],
            **{name: value["value"] for name, value in row["headline"].items()},
        }
        for row in summary["scenes"]
    ]
    write_csv(out / "summary.csv", rows)
