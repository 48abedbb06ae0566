"""``overtile region``: places that are mapped again and again."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.terminal import AsJson

region = typer.Typer(no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="The region's YAML file.")]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder that the file's paths start at and stay in; its own if left out."),
]
Retry = Annotated[
    bool, typer.Option("--retry", help="Try failed scenes now, also those that were given up.")
]


class Scheduler(StrEnum):
    """Source of the current time."""

    SYSTEMD = "systemd"
    CRON = "cron"


@region.command("plan")
def plan(file: File, root: Root = None) -> None:
    """Print the plan of a run; maps nothing and writes nothing."""
    from pipeline.cli.exits import failing
    from pipeline.regions.clock import utc_now
    from pipeline.regions.plan import plan_summary
    from pipeline.regions.resolved_region import resolve_region

    with failing():
        summary = plan_summary(resolve_region(file, root=root), now=utc_now().timestamp())
    _print(summary)
    raise typer.Exit(3 if summary["failed"] else 0)


@region.command("run")
def run(
    file: File,
    root: Root = None,
    scene: Annotated[
        list[str] | None,
        typer.Option(help="Map only this scene; may be repeated. The layer follows with a run."),
    ] = None,
    retry: Retry = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Map what is new or changed, and bring the layer up to date; safe to repeat."""
    from pipeline.cli.exits import failing, report, summary_code
    from pipeline.cli.terminal import print_result, region_ran
    from pipeline.regions.resolved_region import resolve_region, without_backoff
    from pipeline.regions.run import run_region
    from pipeline.regions.selected import map_selected

    with failing():
        site = resolve_region(file, root=root)
        site = without_backoff(site) if retry else site
        summary = (
            map_selected(site, scene, report=report) if scene else run_region(site, report=report)
        )
    print_result(summary, lambda: region_ran(summary), as_json=as_json)
    raise typer.Exit(summary_code(summary))


@region.command("status")
def status(
    file: File,
    root: Root = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Print the status of a region: scenes, failures, runs, mapped area."""
    from pipeline.cli.exits import failing
    from pipeline.regions.clock import utc_now
    from pipeline.regions.report.status import lines
    from pipeline.regions.report.status import status as status_of
    from pipeline.regions.resolved_region import resolve_region

    with failing():
        found = status_of(resolve_region(file, root=root), now=utc_now())
    if as_json:
        _print(found)
    else:
        from pipeline.cli.streams import print_lines

        print_lines(lines(found))


@region.command("changes")
def changes(  # noqa: PLR0913 - an option each
    file: File,
    out: Annotated[Path, typer.Option(help="Folder for changes.geojson and changes.parquet.")],
    before: Annotated[int | None, typer.Option(help="Earlier run; the last but one.")] = None,
    after: Annotated[int | None, typer.Option(help="Later run; the last.")] = None,
    iou: Annotated[float, typer.Option(help="Outlines that overlap so much are the same.")] = 0.5,
    area: Annotated[float, typer.Option(help="Areas that differ by this share are the same.")] = (
        0.25
    ),
    root: Root = None,
) -> None:
    """Write what changed between the layers of two runs."""
    from pipeline.cli.exits import failing
    from pipeline.core.conflation.compare import Tolerance
    from pipeline.regions.layer.history import changes_between
    from pipeline.regions.resolved_region import resolve_region

    with failing():
        tolerance = Tolerance(iou=iou, area=area)
        site = resolve_region(file, root=root)
        found = changes_between(site, out=out, before=before, after=after, tolerance=tolerance)
    _print(found)


@region.command("units")
def units(
    file: File,
    root: Root = None,
    kind: Annotated[
        Scheduler, typer.Option(help="A systemd service and timer, or crontab lines.")
    ] = (Scheduler.SYSTEMD),
    out: Annotated[
        Path | None, typer.Option(help="Folder that the systemd files are written to.")
    ] = None,
) -> None:
    """Print what makes systemd or cron run a region on its schedule."""
    from pipeline.cli.exits import failing
    from pipeline.config import load_region
    from pipeline.errors import ConfigError
    from pipeline.regions.clock import utc_now
    from pipeline.regions.schedule.units import command_of, crontab, write_units
    from pipeline.regions.schedule.units import units as units_of

    with failing():
        found, command = load_region(file), command_of(file, root=root)
        if kind is Scheduler.CRON:
            if out is not None:
                raise ConfigError("--out is for --kind systemd; add the lines with `crontab -e`")
            sys.stdout.write(crontab(found, command, now=utc_now()))
            return
        made = units_of(found, command, now=utc_now())
        if out is None:
            sys.stdout.write("\n".join(f"# {name}\n{text}" for name, text in made.items()))
        else:
            sys.stdout.writelines(f"{path}\n" for path in write_units(made, out))


@region.command("serve")
def serve(
    places: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of regions, or region files; configs/regions if left out."),
    ] = None,
    at_once: Annotated[int, typer.Option(help="Regions mapped side by side.", min=1)] = 1,
) -> None:
    """Run regions on their schedules until stopped; each has its page, OUT/report.html."""
    from pipeline.cli.exits import failing, report
    from pipeline.regions.serve.serve import serve as serve_all
    from pipeline.regions.serve.served import served

    with failing():
        found = served(places or [Path("configs/regions")])
        serve_all(found, at_once=at_once, report=report)


def _print(value: dict[str, Any]) -> None:
    from pipeline.cli.streams import print_json

    print_json(value)
