"""``overtile train``: a configuration in, a model folder out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.terminal import AsJson


def train(
    config: Annotated[Path, typer.Argument(help="YAML, such as configs/training/buildings.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder of checkpoints, curves and the model.")],
    resume: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--resume", help="Go on from the newest checkpoint in it.")
    ] = False,
    show_batch: Annotated[
        Path | None, typer.Option(help="Only draw what the network would see, as a PNG.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Train a model: data, augmentation, network and schedule are one YAML file."""
    from pipeline.cli.exits import failing
    from pipeline.cli.terminal import print_result, trained

    with failing(again="the same command with --resume"):
        _log_to_stderr()
        try:
            import lightning
            import torchgeo
        except ModuleNotFoundError as error:
            from pipeline.errors import ConfigError

            raise ConfigError(f"{error}; training needs: pip install 'overtile[train]'") from error
        del lightning, torchgeo
        if show_batch is not None:
            from pipeline.training.show import show

            summary = show(config, out, show_batch)
        else:
            from pipeline.training.fit import fit

            summary = fit(config, out, resume=resume)
    if summary:
        print_result(summary, lambda: trained(summary, out), as_json=as_json)


def _log_to_stderr() -> None:
    import logging

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    # It warns where HOME cannot be written to, and keeps its fonts elsewhere.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    text = logging.getLogger("pipeline.training")
    text.handlers = [handler]
    text.setLevel(logging.INFO)
    text.propagate = False
