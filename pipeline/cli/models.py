"""``overtile models``: what there is to predict with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(no_args_is_help=True)


@models.command("list")
def list_() -> None:
    """List the models that come with Overtile."""
    from pipeline.cli.exits import failing
    from pipeline.cli.streams import print_json
    from pipeline.models.registry import card_of, shipped

    rows = []
    with failing():
        cards = {name: card_of(name) for name in shipped()}
    for name, card in cards.items():
        rows.append(
            {
                "name": name,
                "bands": list(card.inputs.bands),
                "gsd_range_m": card.inputs.gsd_range_m,
                "classes": [known.name for known in card.outputs.classes],
                "rf_radius_px": card.network.rf_radius,
                "license": card.terms.license,
            }
        )
    print_json(rows, ensure_ascii=True)


@models.command("show")
def show(name: Annotated[str, typer.Argument(help="Name or file of a model.")]) -> None:
    """Print a model's card."""
    from pipeline.cli.exits import failing
    from pipeline.models.registry import card_of

    with failing():
        card = card_of(name)
    sys.stdout.write(card.model_dump_json(indent=2) + "\n")


@models.command("export")
def export_(
    name: Annotated[str, typer.Argument(help="Name or file of a model.")],
    out: Annotated[Path, typer.Option(help="File: .onnx, or .xml with a .bin beside it.")],
    format_: Annotated[str, typer.Option("--format", help="onnx or openvino.")] = "onnx",
) -> None:
    """Write a model for another engine, checked against torch."""
    from pipeline.cli.exits import failing

    if format_ not in ("onnx", "openvino"):
        raise typer.BadParameter(f"{format_!r} is none of onnx, openvino", param_hint="--format")
    from pipeline.cli.streams import print_json

    with failing():
        try:
            from pipeline.models.export import export
        except ModuleNotFoundError as error:
            from pipeline.errors import ConfigError

            raise ConfigError(f"{error}; exports need: pip install 'overtile[train]'") from error
        written = export(name, kind=format_, out=out)  # type: ignore[arg-type]  # checked above
    print_json(written, ensure_ascii=True)
