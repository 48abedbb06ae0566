"""The ``overtile`` command."""

from __future__ import annotations

import sys
import traceback

import typer

from pipeline.cli.check import check
from pipeline.cli.demo import demo
from pipeline.cli.doctor import doctor
from pipeline.cli.evaluate import evaluate
from pipeline.cli.map import map_
from pipeline.cli.models import models
from pipeline.cli.region import region
from pipeline.cli.stop import run_under_init, spare_children
from pipeline.cli.streams import redacted_stderr
from pipeline.cli.train import train

app = typer.Typer(
    name="overtile",
    help="Map satellite and aerial scenes: GeoTIFF in, masks and polygons out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def begin() -> None:
    """Check before any command what all of them need."""
    from pipeline.cli.exits import report
    from pipeline.cli.open_files import raise_open_files
    from pipeline.errors import ConfigError
    from pipeline.gdal.environment import isolate_environment

    try:
        raise_open_files()
        # Before GDAL and PROJ are loaded.
        isolate_environment()
    except ConfigError as error:
        report(f"error: {error}")
        raise typer.Exit(2) from error


app.command("map", no_args_is_help=True)(map_)
app.command("evaluate", no_args_is_help=True)(evaluate)
app.command("check", no_args_is_help=True)(check)
app.command("demo")(demo)
app.command("doctor")(doctor)
app.command("train", no_args_is_help=True)(train)
app.add_typer(region, name="region", help="Map a region again and again.")
app.add_typer(models, name="models", help="List models and show their cards.")


def main() -> None:
    """Run the command line."""
    run_under_init()
    spare_children()
    with redacted_stderr():
        try:
            app()
        except Exception:  # noqa: BLE001 - told whole, but for what a URL in it holds
            traceback.print_exc()
            sys.exit(1)


if __name__ == "__main__":
    main()
