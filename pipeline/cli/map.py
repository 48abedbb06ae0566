"""``overtile map``: scenes in, masks and polygons out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.terminal import AsJson


def map_(  # noqa: PLR0913 - the options of a command
    scenes: Annotated[list[str], typer.Argument(help="Files, folders, globs, STAC items or URLs.")],
    out: Annotated[Path, typer.Option(help="Folder in which each scene gets its own.")],
    task: Annotated[
        str, typer.Option(help="buildings, salt, bright, or a YAML file.")
    ] = "buildings",
    model: Annotated[str | None, typer.Option(help="Model name or file, not the task's.")] = None,
    aoi: Annotated[Path | None, typer.Option(help="Polygons to map within.")] = None,
    aoi_layer: Annotated[str | None, typer.Option(help="Layer of the AOI's file.")] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Cut polygons at the AOI.")] = False,  # noqa: FBT002 - a flag
    executor: Annotated[str, typer.Option(help="serial, local or tcp://HOST:PORT.")] = "local",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda; or an engine: openvino, onnxruntime, torch.")
    ] = "auto",
    tile: Annotated[
        int | None, typer.Option(min=1, help="Tile edge, halo included, in pixels.")
    ] = None,
    tile_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds a tile may take; then it is tried elsewhere.")
    ] = 1800,
    max_memory: Annotated[str, typer.Option(help="Memory of the process.")] = "4GB",
    datetime: Annotated[str | None, typer.Option(help="When the scenes were taken.")] = None,
    dry_run: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--dry-run", help="Only report what would be done.")
    ] = False,
    truth: Annotated[Path | None, typer.Option(help="True polygons: adds a report.")] = None,
    truth_layer: Annotated[str | None, typer.Option(help="Layer of the truth file.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Probability of a class.")] = None,
    bands: Annotated[str | None, typer.Option(help="Such as 3,2,1 or red,green,blue.")] = None,
    values: Annotated[
        str | None, typer.Option(help="LOW,HIGH that become black and white.")
    ] = None,
    nodata: Annotated[
        str | None,
        typer.Option(help="Of missing pixels: declared, none or a value such as 0."),
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="geojson, geojsonl, parquet, fgb, gpkg, shapefile, pmtiles; may be repeated.",
        ),
    ] = None,
    separate: Annotated[
        bool | None, typer.Option("--separate/--no-separate", help="Take touching objects apart.")
    ] = None,
    crs: Annotated[str | None, typer.Option(help="Of scenes without one; none: in pixels.")] = None,
    asset: Annotated[str | None, typer.Option(help="Which asset of a STAC item.")] = None,
    as_one_scene: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--as-one-scene", help="Map adjoining files as one scene.")
    ] = False,
    overlap: Annotated[
        str | None,
        typer.Option(
            help="Whose pixels count where such files overlap: first, last, newest, oldest."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Folder of such files' outputs.")] = None,
    slices: Annotated[
        str | None, typer.Option(help="Of SEG-Y volumes: inline, crossline, time, section.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Map scenes: a mask, probabilities and polygons for each."""
    from pipeline.cli.exits import failing, report, summary_code
    from pipeline.cli.streams import print_json, print_lines
    from pipeline.cli.terminal import is_terminal, mapped, planned, print_result
    from pipeline.gdal.environment import unused_settings
    from pipeline.mapping.plan_scene import dry_run as plan_only
    from pipeline.mapping.planning.request import MapRequest, memory, numbers
    from pipeline.mapping.run import map_scenes
    from pipeline.models.registry import DEVICES

    if device not in DEVICES:
        raise typer.BadParameter(
            f"{device!r} is none of {', '.join(DEVICES)}", param_hint="--device"
        )
    if overlap not in (None, "first", "last", "newest", "oldest"):
        raise typer.BadParameter(
            f"{overlap!r} is none of first, last, newest, oldest", param_hint="--overlap"
        )
    options = {"crs": crs, "datetime": datetime, "asset": asset, "slices": slices}
    with failing():
        request = MapRequest(
            scenes=tuple(scenes),
            out=out,
            task=task,
            model=model,
            executor=executor,
            device=device,
            tile=tile,
            tile_timeout_s=tile_timeout,
            max_memory=memory(max_memory),
            aoi=aoi,
            aoi_layer=aoi_layer,
            clip=clip,
            truth=truth,
            truth_layer=truth_layer,
            threshold=threshold,
            bands=tuple(bands.split(",")) if bands else None,
            values=numbers(values, option="--values") if values else None,
            nodata=nodata,
            separate=separate,
            formats=tuple(format_ or ()),
            as_one_scene=as_one_scene,
            overlap=overlap,  # type: ignore[arg-type]  # checked above
            name=name,
            scene_options=tuple(sorted((k, v) for k, v in options.items() if v is not None)),
        )
        summary = plan_only(request) if dry_run else map_scenes(request, report=report)
    if dry_run and (unused := unused_settings()):
        report(f"warning: settings of GDAL and PROJ that have no effect: {', '.join(unused)}")
    if not dry_run:
        print_result(summary, lambda: mapped(summary), as_json=as_json)
    else:
        print_json(summary)
        if is_terminal() and not as_json:
            print_lines(planned(summary))
    raise typer.Exit(summary_code(summary))
