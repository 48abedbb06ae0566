"""``overtile demo``: the whole pipeline on a scene that it makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.terminal import AsJson


def demo(
    out: Annotated[Path, typer.Option(help="Folder for scene, outputs and picture.")] = Path(
        "out/demo"
    ),
    model: Annotated[str | None, typer.Option(help="Model name or file.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Make a settlement, map it, score it against its truth, and draw the result."""
    from pipeline.cli.exits import failing, report
    from pipeline.cli.terminal import demonstrated, is_terminal, print_result
    from pipeline.mapping.demo import run_demo

    with failing():
        summary = run_demo(out, model=model, report=report)
    print_result(summary, lambda: demonstrated(summary), as_json=as_json, ensure_ascii=True)
    if as_json or not is_terminal():
        report(f"open {summary['picture']}")
    raise typer.Exit(3 if summary["failed"] else 0)
