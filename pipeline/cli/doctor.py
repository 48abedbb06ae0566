"""``overtile doctor``: check an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.terminal import AsJson


def doctor(
    out: Annotated[Path, typer.Option(help="Folder whose disk is looked at.")] = Path(),
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler: tcp://HOST:PORT.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Check libraries, engines, drivers, projections, memory, disk and a cluster's workers."""
    from dataclasses import asdict

    from pipeline.cli.exits import failing
    from pipeline.cli.terminal import diagnosed, print_result
    from pipeline.mapping.diagnose import diagnose

    with failing():
        checks = diagnose(out=out, cluster=cluster)
    failed = sum(check.state == "failed" for check in checks)
    summary = {"failed": failed, "checks": [asdict(check) for check in checks]}
    print_result(summary, lambda: diagnosed(summary), as_json=as_json)
    raise typer.Exit(1 if failed else 0)
