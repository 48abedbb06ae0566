"""``overtile check``: validate output files against their formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.terminal import AsJson


def check(
    files: Annotated[list[Path], typer.Argument(help="Outputs, or folders of outputs.")],
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Validate outputs: COG, STAC, SEG-Y and every format of polygons."""
    from pipeline.cli.exits import failing, report
    from pipeline.cli.terminal import checked, print_result
    from pipeline.validation.validate import CHECKS, check_file

    missing = [str(file) for file in files if not file.exists()]
    if missing:
        report(f"error: there is no {', '.join(missing)}")
        raise typer.Exit(2)
    chosen = [
        inner
        for file in files
        for inner in (
            sorted(f for f in file.rglob("*") if f.suffix in CHECKS and not _hidden(f, file))
            if file.is_dir()
            else [file]
        )
    ]
    if not chosen:
        names = ", ".join(map(str, files))
        report(f"error: {names}: nothing to check; name OUT/<scene>, or a file")
        raise typer.Exit(2)
    with failing():
        complaints = {str(file): check_file(file) for file in chosen}
    wrong = {name: lines for name, lines in complaints.items() if lines}
    for name, lines in wrong.items():
        for line in lines:
            report(f"{name}: {line}")
    summary = {"checked": len(complaints), "wrong": len(wrong), "complaints": wrong}
    print_result(summary, lambda: checked(summary), as_json=as_json, ensure_ascii=True)
    raise typer.Exit(1 if wrong else 0)


def _hidden(file: Path, folder: Path) -> bool:
    """Return whether a file, or a folder on the way to it, is hidden: unfinished work, inputs."""
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
