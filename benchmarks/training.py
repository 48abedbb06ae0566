"""What a training step costs, per network: forward, backward, data, and Lightning around it.

``python -m benchmarks.training buildings`` (two minutes on two cores; without a name all networks,
some of which take many times as long). ``--device cuda`` measures a GPU instead, ``--workers 8``
has crops cut by so many processes meanwhile.
Data is one synthetic scene; drawing crops from larger scenes costs the same. ``given_back_s`` is a
step where the C library gives memory back after every layer, as it does by itself.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks._report import report
from pipeline.malloc import keep_freed_memory
from pipeline.synthetic import settlement
from pipeline.training.callbacks import TrainingTimer
from pipeline.training.config import TrainingConfig
from pipeline.training.dashboard.callback import Live
from pipeline.training.data.crop_sampling import CropDraws
from pipeline.training.data.sampler import CropSampler, loader
from pipeline.training.data.sources.places import level_of, make_place
from pipeline.training.export.finish import Run
from pipeline.training.fit import silence_lightning, trainer_of
from pipeline.training.module import Segmenter
from pipeline.training.read_data import Data
from pipeline.training.step.precision import precision_of

STEPS = 12
WARM = 3
"""Steps before the clock starts: compiling, first touches of memory."""
NETWORKS: dict[str, dict[str, Any]] = {
    "buildings": {"name": "smp_unet"},
    "unet 16": {"name": "unet", "width": 16, "depth": 4},
    "unet 64": {"name": "unet", "width": 64, "depth": 4},
    "dropout_unet": {"name": "dropout_unet"},
    "residual_unet": {"name": "residual_unet"},
    "attention_unet": {"name": "attention_unet", "width": 16},
    "multires_unet": {"name": "multires_unet"},
    "resnet18": {
        "name": "smp_unet",
        "encoder_name": "resnet18",
        "encoder_depth": 4,
        "decoder_channels": [128, 64, 32, 16],
    },
}


def config_of(network: dict[str, Any], *, steps: int, **chosen: Any) -> TrainingConfig:
    """Return the buildings recipe around a network; ``chosen`` are keys of the config."""
    return TrainingConfig.model_validate(
        {
            "places": [{"name": "synthetic", "scenes": ["synthetic"], "labels": "synthetic"}],
            "network": network,
            "schedule": {"steps": steps, "warmup": 0, "decay": 0},
            "log_every": steps,
            "save_every": steps + 1,
            **chosen,
        }
    )


def plain(draws: CropDraws, config: TrainingConfig) -> tuple[float, float]:
    """Return the seconds and the drawing of steps in a bare loop."""
    device = torch.device(config.device)
    cuda = device.type == "cuda"
    module = Segmenter(config, draws).to(device)
    module.on_fit_start()
    optimizer = module.configure_optimizers()
    sampler = CropSampler(draws, steps=range(WARM + STEPS))
    batches = iter(loader(sampler, workers=config.workers, pin=cuda))
    drawing = began = 0.0
    half = precision_of(config, cuda=cuda) == "bf16-mixed"
    for step in range(WARM + STEPS):
        if step == WARM:
            began, drawing = time.perf_counter(), 0.0
        asked = time.perf_counter()
        batch = next(batches)
        drawing += time.perf_counter() - asked
        batch = module.transfer_batch_to_device(batch, device, 0)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = module.training_step(batch, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        module.configure_gradient_clipping(optimizer)
        optimizer.step()
        module.advance()
    if cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / STEPS, drawing / STEPS


def driven(draws: CropDraws, config: TrainingConfig) -> float:
    """Return the seconds of a step that Lightning drives, the warm ones left out."""
    with tempfile.TemporaryDirectory() as folder:
        data = Data(train=tuple(draws.places), synthetic=(), validation=(), test=())
        live = Live(Path(folder), config)
        run = Run(config=config, data=data, folder=Path(folder), clock=TrainingTimer(), live=live)
        module = Segmenter(config, draws)
        with silence_lightning():
            trainer = trainer_of(run, None)
            ends = _Ends()
            trainer.callbacks.append(ends)  # type: ignore[attr-defined]  # a list
            trainer.fit(module)
    return (ends.at[-1] - ends.at[WARM - 1]) / STEPS


class _Ends(TrainingTimer):
    """When steps ended."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Look at the clock."""
        self.at.append(time.perf_counter())


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("networks", nargs="*")
    asked = parser.parse_args()
    wanted = asked.networks or list(NETWORKS)
    unknown = set(wanted) - set(NETWORKS)
    if unknown:
        parser.error(f"no network is called {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    chosen = {"device": asked.device, "workers": asked.workers}
    scene = settlement(seed=7, height=768, width=768, pixel_size_m=0.2)
    level = level_of(scene.image, scene.instances, pixel_size_m=0.2, sigma=4.0)
    place = make_place("synthetic", [level], share=1.0, sigma=4.0)
    rows = []
    configs = {name: config_of(NETWORKS[name], steps=WARM + STEPS, **chosen) for name in wanted}
    drawn = {
        name: CropDraws(places=[place], synthetic=[], config=config)
        for name, config in configs.items()
    }
    given_back = {name: plain(drawn[name], config)[0] for name, config in configs.items()}
    keep_freed_memory()
    for name, config in configs.items():
        draws = drawn[name]
        seconds, drawing = plain(draws, config)
        around = driven(draws, config)
        rows.append(
            {
                "network": name,
                "parameters_M": sum(
                    value.numel() for value in Segmenter(config, draws).network.parameters()
                )
                / 1e6,
                "given_back_s": given_back[name],
                "plain_s": seconds,
                "given_back_over_plain": given_back[name] / seconds,
                "lightning_s": around,
                "lightning_over_plain": around / seconds,
                "data_share": drawing / seconds,
            }
        )
    where = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    report(f"training on {where}, batch 8 x 256 px", rows)


if __name__ == "__main__":
    main()
