"""The first batch of a training, drawn instead of learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.training.config import read_config
from pipeline.training.dataloader import batch_at
from pipeline.training.read_data import read_splits
from pipeline.training.show_batch import show_batch
from pipeline.training.step.network import check_network


def show(config_path: Path, out_dir: Path, picture: Path) -> dict[str, Any]:
    """Draw what the network would see in its first step; return what was drawn.

    Args:
        config_path: YAML, see `TrainingConfig`.
        out_dir: Where synthetic scenes are kept, as in the training.
        picture: The PNG to be.

    Raises:
        ConfigError: Config or data are unusable.
        SceneError: A scene cannot be trained on.
        ExportError: The picture could not be written.
    """
    config = read_config(config_path)
    check_network(config, config_path)
    out_dir.mkdir(parents=True, exist_ok=True)
    batch = batch_at(read_splits(config, cache=out_dir).draws(config), 0)
    interior = ["interior"] if config.targets.interior else []
    show_batch(batch, picture, names=[*(known.name for known in config.classes), *interior])
    return {"picture": str(picture), "crops": len(batch.image), "skipped_crops": batch.skipped}
