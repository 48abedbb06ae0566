"""``overtile models``: what there is to predict with."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

models = typer.Typer(no_args_is_help=True)


@models.command("list")
def list_() -> None:
    """List the models that come with Overtile."""
    from pipeline.models.shelf import card_of, shipped

    rows = []
    for name in shipped():
        card = card_of(name)
        rows.append(
            {
                "name": name,
                "bands": list(card.inputs.bands),
                "pixel_size_m": card.inputs.pixel_size_m,
                "classes": [known.name for known in card.outputs.classes],
                "reach_px": card.network.reach,
                "license": card.terms.license,
            }
        )
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")


@models.command("show")
def show(name: Annotated[str, typer.Argument(help="Name or file of a model.")]) -> None:
    """Print a model's card."""
    from pipeline.cli.exits import failing
    from pipeline.models.shelf import card_of

    with failing():
        card = card_of(name)
    sys.stdout.write(card.model_dump_json(indent=2) + "\n")
