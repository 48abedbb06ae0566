"""``overtile check``: are outputs what their formats promise?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def check(
    files: Annotated[list[Path], typer.Argument(help="Outputs, or folders of outputs.")],
) -> None:
    """Validate outputs: COG, GeoJSON, GeoParquet, FlatGeobuf, GeoPackage, PMTiles, STAC, SEG-Y."""
    from pipeline.cli.exits import failing
    from pipeline.outputs.check import CHECKS, check_file

    missing = [str(file) for file in files if not file.exists()]
    if missing:
        sys.stderr.write(f"error: there is no {', '.join(missing)}\n")
        raise typer.Exit(2)
    chosen = [
        inner
        for file in files
        for inner in (
            sorted(f for f in file.rglob("[!.]*") if f.suffix in CHECKS)
            if file.is_dir()
            else [file]
        )
    ]
    if not chosen:
        names = ", ".join(map(str, files))
        sys.stderr.write(f"error: {names}: nothing to check; name OUT/<scene>, or a file\n")
        raise typer.Exit(2)
    with failing():
        complaints = {str(file): check_file(file) for file in chosen}
    wrong = {name: lines for name, lines in complaints.items() if lines}
    for name, lines in wrong.items():
        sys.stderr.writelines(f"{name}: {line}\n" for line in lines)
    summary = {"checked": len(complaints), "wrong": len(wrong), "complaints": wrong}
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    raise typer.Exit(1 if wrong else 0)
