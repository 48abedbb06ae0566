"""The training between two steps, as Lightning drives it."""

from __future__ import annotations

import math
from dataclasses import replace

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pipeline.errors import ModelError
from pipeline.training.config import ScheduleConfig, TrainingConfig
from pipeline.training.data.batches import Batch, Sample
from pipeline.training.dataloader import AnyDraws, batch_at, loader_of
from pipeline.training.step import network as networks
from pipeline.training.step.device import layout_of, on_cuda
from pipeline.training.step.objective import central_part, loss_at, loss_of_outputs, probabilities
from pipeline.training.step.state import Average

LARGEST_GRADIENT = 5.0
"""Norm to which gradients are cut."""


class Segmenter(pl.LightningModule):
    """Network, averaged weights and optimiser; a step is a function of its number."""

    def __init__(self, config: TrainingConfig, draws: AnyDraws) -> None:
        """Build the network at its first step.

        Args:
            config: The training.
            draws: Where its crops are laid.
        """
        super().__init__()
        self.config = config
        self.draws = draws
        torch.manual_seed(config.seed)
        self.network = networks.build_network(config)
        self.layout = layout_of(self.network, cuda=on_cuda(config))
        self.average = Average(self.network, decay=config.schedule.average)
        self.step = 0
        self.counts = torch.zeros(3, dtype=torch.float64)
        self.redrawn = 0
        self.skipped = 0

    def begin(self) -> None:
        """Fit the encoder's norms to the data: before the first step, not on resuming."""
        if self.config.network.encoder_weights is None:
            return
        # Batches past the last step: nothing is seen twice.
        last = self.config.schedule.steps
        batches = [batch_at(self.draws, last + k) for k in range(4)]
        networks.unfold_norms(self.network, torch.cat([batch.image for batch in batches]))
        self.average = Average(self.network, decay=self.config.schedule.average)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW: the encoder slower, decay on convolutions alone."""
        schedule = self.config.schedule
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            key = (name.startswith("encoder."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
        return torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "scale": schedule.encoder_rate if encoder else 1.0,
                    "weight_decay": schedule.weight_decay if decays else 0.0,
                }
                for (encoder, decays), parameters in sorted(groups.items(), key=lambda kv: kv[0])
            ],
            lr=schedule.rate,
            fused=self.device.type == "cuda",
        )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the batches of the steps that are left, or this process's part of them."""
        return loader_of(
            self.draws,
            steps=range(self.step, self.config.schedule.steps),
            rank=self.global_rank,
            ranks=self.trainer.world_size,
            pin=self.device.type == "cuda",
        )

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Return the batch on a device, laid as its steps want it."""
        image = batch.image.to(device, non_blocking=True)
        return replace(
            batch,
            image=image.contiguous(memory_format=self.layout),
            target=batch.target.to(device, non_blocking=True),
            weight=batch.weight.to(device, non_blocking=True),
        )

    def on_fit_start(self) -> None:
        """Keep the averaged weights where the network is."""
        self.average.to(self.device)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set rate and chance: both are functions of the step."""
        rate = rate_at(self.step, self.config.schedule)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["scale"]
        # Dropout; a step that is taken again after a crash drops the same.
        torch.manual_seed(generator_seed(self.config.seed, self.step))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch.

        Raises:
            ModelError: The loss is no longer a number.
        """
        schedule = self.config.schedule
        outputs = self.network(batch.image)
        loss = loss_of_outputs(
            loss_at(
                self.config.loss,
                step=self.step,
                steps=schedule.steps,
                classes=len(self.config.classes),
            ),
            outputs,
            batch.target,
            batch.weight,
            coarse=self.config.loss.coarse,
        )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(f"the loss is {value} at step {self.step}; lower schedule.rate")
        self._count(outputs if isinstance(outputs, Tensor) else outputs[0], batch)
        return loss

    @torch.no_grad()
    def _count(self, logits: Tensor, batch: Batch) -> None:
        """Add up true positives, false positives and false negatives over the classes."""
        classes = len(self.config.classes)
        known = central_part(batch.weight, logits)[:, None] > 0
        predictions = probabilities(logits, self.config.loss, classes=classes)
        found = (predictions[:, :classes] > 0.5) & known
        true = (central_part(batch.target, logits)[:, :classes] > 0) & known
        both = (found & true).sum()
        counts = torch.stack([both, found.sum() - both, true.sum() - both])
        self.counts = self.counts.to(counts.device) + counts
        self.redrawn += batch.redrawn
        self.skipped += batch.skipped

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Cut the gradient to `LARGEST_GRADIENT`."""
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)

    def advance(self) -> None:
        """Take the new weights into the average: the step is done."""
        self.average.update(self.network, self.step)
        self.step += 1

    def taken(self) -> dict[str, float]:
        """Return Dice, IoU, precision and recall since last asked, and start anew."""
        tp, fp, fn = self.counts.tolist()
        self.counts.zero_()
        return {
            "dice": 2 * tp / max(2 * tp + fp + fn, 1.0),
            "iou": tp / max(tp + fp + fn, 1.0),
            "precision": tp / max(tp + fp, 1.0),
            "recall": tp / max(tp + fn, 1.0),
        }


def rate_at(step: int, schedule: ScheduleConfig) -> float:
    """Return the rate: a linear rise, a plateau, half a cosine down to a hundredth."""
    if step < schedule.warmup:
        return schedule.rate * (step + 1) / schedule.warmup
    left = schedule.steps - step
    if left >= schedule.decay:
        return schedule.rate
    down = 0.5 + 0.5 * math.cos(math.pi * (1.0 - left / schedule.decay))
    return schedule.rate * (0.01 + 0.99 * down)


def generator_seed(seed: int, step: int) -> int:
    """Return what torch's generator starts from at a step."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)
