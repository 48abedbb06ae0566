"""A whole training of volumes: it learns a body, resumes as undisturbed, and its model maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segyio
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli.__main__ import app
from pipeline.errors import ConfigError
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.restore import restore_network
from pipeline.training.config import read_config
from pipeline.training.export.finish import WEIGHTS
from pipeline.training.fit import fit
from pipeline.training.show import show
from pipeline.training.step import state as states
from tests.mapping.scenery import run
from tests.training.test_fit import load_state
from tests.training.volumes.synthetic import made_volume, survey, write_config, write_segy


@pytest.mark.slow
def test_a_salt_body_is_learnt_shipped_and_mapped_as_one_forward_pass_says(tmp_path: Path) -> None:
    one = survey(tmp_path, 1, "one")
    config = write_config(
        tmp_path / "c.yaml",
        {"train": [one], "validation": [survey(tmp_path, 2, "two")], "augment": {"elastic": 1.0}},
        network={"width": 8, "depth": 1},
        crop=[16, 16, 32],
        foreground=0.4,
        schedule={"steps": 80, "warmup": 5, "decay": 40, "rate": 0.01, "average": 0.9},
        log_every=20,
        save_every=80,
    )
    summary = fit(config, tmp_path / "out")
    card, tensors = load_checkpoint(tmp_path / "out" / "model" / "model.safetensors")
    assert (card.network.dims, card.context, card.inputs.bands) == (3, "exact", ("gray",))
    assert card.training["data"] == ["one"]
    assert "train" not in card.training["recipe"]["volumes"]  # type: ignore[index, call-overload, operator]
    assert not {"augment", "targets", "images"} & set(card.training["recipe"])  # type: ignore[arg-type]
    assert str(tmp_path) not in card.model_dump_json()
    assert summary["scores"]["val"]["two"]["voxel_iou"] > 0.7
    assert card.bytes_per_pixel > 100
    low, high = np.percentile(made_volume(1)[0].astype(np.float64), (1, 99))
    told = card.training["black_and_white"]
    assert isinstance(told, dict)
    assert told["one"] == pytest.approx([low, high])
    for page in ("live.html", "test.html"):
        text = (tmp_path / "out" / page).read_text()
        assert "two inline 1" in text
        assert text.count("data:image/jpeg") >= 4
    # Mapped by the command's own code, with the stretch that it finds itself.
    rows = run(Path(one["volume"]), tmp_path / "mapped", model=str(tmp_path / "out/model"), tile=36)
    (row,) = rows["scenes"]
    assert row["state"] == "done"
    assert row["tiles"] > 1
    with segyio.open(tmp_path / "mapped" / "one" / "mask.sgy") as file:
        mask = np.asarray(segyio.tools.cube(file)) == 1
    amplitude, labels = made_volume(1)
    iou = (mask & (labels > 0)).sum() / (mask | (labels > 0)).sum()
    assert iou >= 0.9
    # One forward pass over the volume, mirrored far past its faces.
    assert card.network.rf_radius is not None
    halo = 2 * card.network.rf_radius
    scaled = (((amplitude - low) / (high - low)).clip(0, 1) - 0.5) / 0.5
    padded = torch.from_numpy(np.pad(scaled, halo, mode="symmetric").astype(np.float32))
    with torch.inference_mode():
        said = restore_network(card, tensors)(padded[None, None])[0, 0].sigmoid().numpy()
    whole = said[tuple(slice(halo, halo + side) for side in amplitude.shape)]
    threshold = card.outputs.threshold
    assert threshold is not None
    sure = np.abs(whole - threshold) > 0.0021
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(mask[sure], (whole >= threshold)[sure])


def test_a_training_that_was_stopped_ends_with_the_same_bytes(tmp_path: Path) -> None:
    one = survey(tmp_path, 1, "one") | {"inlines": [100, 117]}
    volumes = {"train": [one], "augment": {"elastic": 1.0, "noise": 1.0}}
    config = write_config(
        tmp_path / "c.yaml", volumes, schedule={"steps": 6, "warmup": 1, "decay": 2}
    )
    fit(config, tmp_path / "whole")
    whole = load_state(tmp_path / "whole" / WEIGHTS)
    # Stopped after its fourth step: the last checkpoint goes, and what came after it.
    stopped = tmp_path / "stopped"
    fit(config, stopped)
    for path in (stopped / "state-0000006.pt", stopped / WEIGHTS):
        path.unlink()
    assert [path.name for path in states.checkpoints(stopped)] == ["state-0000004.pt"]
    fit(config, stopped, resume=True)
    for name in (WEIGHTS, "model/model.safetensors", "state-0000006.pt"):
        mine, theirs = (load_state(folder / name) for folder in (tmp_path / "whole", stopped))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine), name
    # It really learnt something, and other volumes are another training.
    assert any(value.abs().max() > 0 for value in whole.values())
    more = yaml.safe_load(config.read_text())
    more["volumes"]["augment"]["gain"] = 0.1
    config.write_text(yaml.safe_dump(more))
    with pytest.raises(ConfigError, match="of another training"):
        fit(config, stopped, resume=True)


def test_classes_that_exclude_each_other_are_scored_tested_and_mapped(tmp_path: Path) -> None:
    amplitude, labels = made_volume(1)
    labels[:, :, :6] = 2
    volume, mask = tmp_path / "one.sgy", tmp_path / "labels.sgy"
    one = {"volume": str(write_segy(volume, amplitude)), "labels": str(write_segy(mask, labels))}
    splits = {
        "train": [one | {"name": "west", "inlines": [100, 115]}],
        "validation": [one | {"name": "middle", "inlines": [117, 119]}],
        "test": [one | {"name": "east", "inlines": [121, 123]}],
        "gap": 1,
    }
    config = write_config(
        tmp_path / "c.yaml",
        splits,
        classes=[
            {"name": "salt", "colour": "#3182bd", "values": [1]},
            {"name": "water", "colour": "#ff0000", "values": [2]},
        ],
        network={"width": 4, "depth": 1, "deep_supervision": True},
        loss={"softmax": True, "class_weights": [1.0, 2.0]},
    )
    scores = fit(config, tmp_path / "out")["scores"]
    assert {name: list(rows) for name, rows in scores.items()} == {
        "val": ["middle"], "test": ["east"],
    }  # fmt: skip
    run(volume, tmp_path / "mapped", model=str(tmp_path / "out" / "model"))
    chances = []
    for name in ("salt", "water"):
        with segyio.open(tmp_path / "mapped" / "one" / f"probability_{name}.sgy") as file:
            chances.append(np.asarray(segyio.tools.cube(file)))
    assert 0 < np.sum(chances, axis=0).max() <= 1.005


def test_validation_and_gap_are_no_part_of_what_a_resumption_must_agree_on(tmp_path: Path) -> None:
    one = {"name": "one", "volume": "v.sgy", "labels": "l.sgy"}

    def digest(**volumes: Any) -> str:
        path = write_config(tmp_path / "c.yaml", {"train": [one]} | volumes)
        return read_config(path).digest()

    other = one | {"name": "other"}
    assert digest() == digest(validation=[other], gap=3)
    assert len({digest(), digest(train=[other]), digest(augment={"flips": False})}) == 3


def test_networks_that_look_everywhere_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    nowhere = {"name": "one", "volume": "none.sgy", "labels": "none.sgy"}
    for network, said in (
        ({"normalisation": "instance", "width": 4, "depth": 1}, "looks further than 320 voxels"),
        ({"decoder_attention_type": "scse"}, "decoder_attention_type"),
        ({"pooling": "median"}, "median pooling is for pictures"),
    ):
        config = write_config(tmp_path / "c.yaml", {"train": [nowhere]}, network=network)
        with pytest.raises(ConfigError, match=said):
            fit(config, tmp_path / "out")


def test_the_batch_is_drawn_in_three_sections_a_crop(tmp_path: Path) -> None:
    one = survey(tmp_path, 1, "one")
    config = write_config(tmp_path / "c.yaml", {"train": [one]}, crop=[16, 16, 32])
    told = show(config, tmp_path / "out", tmp_path / "batch.png")
    assert told["crops"] == 2
    with Image.open(tmp_path / "batch.png") as picture:
        # Two crops: two upright sections of 224 rows and a level one of 112 each.
        assert picture.height > 2 * (224 + 224 + 112)
        assert picture.width > 3 * 112


def test_the_command_trains_volumes_and_tells_what_it_refuses(tmp_path: Path) -> None:
    one = survey(tmp_path, 1, "one")
    config = write_config(
        tmp_path / "c.yaml", {"train": [one]}, schedule={"steps": 2, "warmup": 0, "decay": 0}
    )
    done = CliRunner().invoke(app, ["train", str(config), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["steps"] == 2
    write_config(tmp_path / "c.yaml", {"train": [one]}, targets={"border_weight": 6})
    done = CliRunner().invoke(app, ["train", str(config), "--out", str(tmp_path / "other")])
    assert done.exit_code == 2
    assert "border_weight are for pictures" in done.stderr
