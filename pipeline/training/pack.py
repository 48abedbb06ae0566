"""From what a training exported to a model that ships: half precision, with its card.

``python -m pipeline.training.pack RUN/buildings_ema.safetensors`` writes
``pipeline/models/shipped/buildings/``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from safetensors.torch import load_file

from pipeline.models.card import Class, Inputs, ModelCard, Network, Outputs, Terms
from pipeline.models.checkpoint import save
from pipeline.models.networks import build
from pipeline.models.reach import reach
from pipeline.models.shelf import SHIPPED

CREDITS = (
    "Banepa and Kavre, Nepal: imagery OpenAerialMap / HOTOSM (CC-BY-4.0), "
    "labels (c) OpenStreetMap contributors (ODbL)",
    "Zanzibar: imagery OpenAerialMap (CC-BY-4.0), labels (ODbL)",
    "Encoder's starting weights: MobileNetV2 on ImageNet (Apache-2.0)",
    "Made scenes: Overtile itself",
)
FAILURES = (
    "Touching buildings come out as one where no gap or edge shows between their roofs.",
    "Trained on Nepal, Tanzania and made scenes only: other roof materials may be missed.",
    "Bare concrete yards, containers and parked lorries can be taken for buildings.",
    "Pixels coarser than 0.6 m blur houses into their surroundings.",
)


def buildings_card(summary: dict[str, Any], *, threshold: float) -> ModelCard:
    """Return the card of the buildings model; its reach is computed from the network.

    Args:
        summary: What the training wrote beside its export.
        threshold: Probability from which a pixel is a building.
    """
    network = Network(architecture="smp_unet", arguments=summary["arguments"], stride=16, reach=0)
    found = reach(
        build(network.architecture, network.arguments), in_channels=3, stride=16, limit=240
    )
    return ModelCard(
        name="buildings",
        network=network.model_copy(update={"reach": found}),
        inputs=Inputs(
            bands=("red", "green", "blue"), pixel_size_m=(0.1, 0.6), mean=(0.5,) * 3, std=(0.5,) * 3
        ),
        outputs=Outputs(
            classes=(Class(name="building", colour="#e6550d"),),
            separating=("interior",),
            threshold=threshold,
        ),
        bytes_per_pixel=370.0,
        pixels_per_s=8e5,
        terms=Terms(license="CC-BY-4.0", credits=CREDITS),
        training={
            key: summary[key]
            for key in ("steps", "minutes", "config", "seed", "note")
            if key in summary
        },
        scores={key: summary[key] for key in ("val", "test", "made") if key in summary},
        known_failures=FAILURES,
    )


def main(
    export: Annotated[Path, typer.Argument(help="Averaged weights; a .json lies beside them.")],
    threshold: Annotated[float, typer.Option(help="Probability of a building.")] = 0.5,
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = SHIPPED / "buildings",
) -> None:
    """Pack the buildings model."""
    summary = json.loads(export.with_suffix(".json").read_text("utf-8"))
    card = buildings_card(summary, threshold=threshold)
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(export).items()
    }
    out.mkdir(parents=True, exist_ok=True)
    card = save(out / "model.safetensors", tensors, card)
    (out / "card.json").write_text(card.model_dump_json(indent=2) + "\n", "utf-8")
    typer.echo(f"{out}: reach {card.network.reach}, sha256 {card.sha256[:12]}")


if __name__ == "__main__":
    typer.run(main)
