from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.training.config import TrainingConfig, read_config
from tests.unbounded import unbounded

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "training").glob("*.yaml"))
WHOLE: dict[str, Any] = {
    "places": [{"name": "p", "scenes": ["p.tif"], "labels": "p.geojson"}],
    "schedule": {"steps": 10, "warmup": 1, "decay": 2},
}
VOLUME = {"name": "v", "volume": "v.sgy", "labels": "l.sgy"}
TWO = [
    {"name": "a", "colour": "#ff0000", "values": [1]},
    {"name": "b", "colour": "#00ff00", "values": [2]},
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_training_that_comes_along_is_read(path: Path) -> None:
    config = read_config(path)
    assert config.schedule.steps > 0
    given = [bool(config.places), config.images is not None, config.volumes is not None]
    assert sum(given) == 1


def test_the_digest_tells_what_changes_a_step_from_what_does_not(tmp_path: Path) -> None:
    def digest(**changes: Any) -> str:
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(WHOLE | changes), "utf-8")
        return read_config(path).digest()

    assert digest() == digest(log_every=3, threads=1, save_every=7)
    assert len({digest(), digest(seed=5), digest(batch=4), digest(loss={"name": "dice"})}) == 4
    places = WHOLE["places"]
    named = [{**place, "area": "a.gpkg", "area_layer": "a"} for place in places]
    others = [{**place, "area": "a.gpkg", "area_layer": "b"} for place in places]
    assert digest(places=named) != digest(places=others)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"places": []}, "give `places`, `images` or `volumes`, one of them"),
        (
            {
                "places": [],
                "images": {"folder": "d"},
                "synthetic": {"share": 0.5, "first_seed": 1000, "count": 1, "size": 256},
            },
            "`images` are split by fold",
        ),
        ({"crop": 8}, "8 is no size: give one whole number of at least 16"),
        ({"crop": [64, 64]}, "no size: .* or for volumes three"),
        ({"crop": [64, 64, 64]}, "crops of pictures are squares; give one number"),
        ({"crop": 100}, "crop 100 is no multiple of the network's stride"),
        ({"network": {"name": "smp_dpt"}, "crop": 208}, "stride 32"),
        ({"batch": 3, "devices": 2}, "a batch of 3 cannot be shared by 2 devices"),
        ({"classes": [TWO[0], TWO[1] | {"name": "a"}]}, "two classes have one name: a, a"),
        ({"classes": [TWO[0], {"name": "b", "colour": "#00ff00"}]}, "needs `values`"),
        ({"classes": TWO, "loss": {"class_weights": [1]}}, "1 numbers for 2 classes"),
        ({"loss": {"finish": "lovasz", "finish_steps": 11}}, "finish_steps exceed the 10 steps"),
        ({"schedule": {"steps": 2, "warmup": 2, "decay": 2}}, "warmup \\+ decay exceed"),
        ({"network": {"encoder_depth": 3, "decoder_channels": [8]}}, "decoder_channels has 1"),
        ({"network": {"name": "nonet"}}, "no network is called 'nonet'"),
        ({"network": {"name": "unet_3d"}}, "unet_3d sees volumes"),
        ({"export": {"pad_to": 128}}, "pad_to goes with context 'pad'"),
        ({"export": {"preferred_gsd_m": [0.1, 0.2]}}, "within gsd_range_m, which must be given"),
        ({"augment": {"pixel_size_m": [2, 1]}}, "small to large"),
        (
            {"places": [WHOLE["places"][0] | {"within": [0.5, 0, 0.4, 1]}]},
            "block .* is empty",
        ),
        (
            {"places": [], "images": {"folder": "d", "folds": 3, "fold": 3}},
            "fold 3 of 3: folds count from 0",
        ),
        (
            {"places": [], "images": {"folder": "d", "fold": 1, "test_fold": 1}},
            "fold 1 is held out twice",
        ),
        ({"bathc": 4}, "bathc"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_trained_is_refused_when_the_file_is_read(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(WHOLE | changes), "utf-8")
    with pytest.raises(ConfigError, match=said) as refused:
        read_config(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": {"folder": "d"}}, "give `places`, `images` or `volumes`, one of them"),
        ({"validation": WHOLE["places"]}, "`volumes` hold their own validation and test"),
        ({"network": {"name": "unet"}}, "unet sees pictures: name unet_3d"),
        ({"network": {"encoder_weights": "x"}}, "unet_3d has no encoder that was trained before"),
        ({"crop": [64, 60, 64]}, r"crop \[64, 60, 64\] is no multiple of the network's stride 8"),
        ({"augment": {"tone": 0.1}}, "augment is for pictures: give `volumes.augment`"),
        ({"targets": {"border_weight": 6}}, "volumes have classes alone"),
        ({"targets": {"interior": True}}, "interior, gap and border_weight are for pictures"),
        ({"score": {"kind": "objects"}}, "objects is for pictures: .* kind pixels"),
        ({"score": {"flip": True}}, "score.flip, score.min_area_px: they are for pictures"),
        ({"loss": {"interior_weight": 2}}, "volumes have no interiors"),
        ({"export": {"bands": ["gray"] * 3}}, "volumes have amplitudes alone"),
        ({"export": {"context": "pad", "pad_to": 128}}, "pad is for pictures: models of volumes"),
        ({"volumes": {"train": []}}, "volumes.train"),
        ({"volumes": {"train": [VOLUME], "test": [VOLUME | {}]}}, "two volumes have one name: v"),
        ({"volumes": {"train": [VOLUME | {"inlines": [9, 3]}]}}, "first number, then the last"),
        ({"volumes": {"train": [VOLUME | {"values": [3, 3]}]}}, r"values \[3.0, 3.0\] must rise"),
        ({"volumes": {"train": [VOLUME], "augment": {"tone": 1}}}, "volumes.augment.tone"),
    ],
)
def test_what_volumes_do_not_have_is_refused_when_the_file_is_read(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = tmp_path / "c.yaml"
    volumes = {"volumes": {"train": [VOLUME]}, "schedule": WHOLE["schedule"]}
    path.write_text(yaml.safe_dump(volumes), "utf-8")
    config = read_config(path)
    assert (config.network.name, config.box, config.batch) == ("unet_3d", (64, 64, 64), 2)
    assert config.channels == 1
    # Through JSON: what stands twice is written twice, without an alias.
    path.write_text(json.dumps(volumes | changes), "utf-8")
    with pytest.raises(ConfigError, match=said):
        read_config(path)


def test_parts_of_pictures_that_are_switched_off_may_stand_beside_volumes(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    off = {"targets": {"interior": False, "border_weight": 0}, "score": {"thresholds": [0.5]}}
    path.write_text(
        yaml.safe_dump({"volumes": {"train": [VOLUME]}, "schedule": WHOLE["schedule"]} | off)
    )
    assert read_config(path).score.kind == "pixels"


def test_every_number_text_and_list_of_a_training_has_a_limit() -> None:
    # These have theirs in what reads them.
    read = {".crop", "AugmentConfig.pixel_size_m", "AugmentConfig.degrade_m"}
    assert set(unbounded(TrainingConfig.model_json_schema())) == read


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crop": 10**9}, "1000000000 is no size: .* at most 4096"),
        ({"crop": -64}, "-64 is no size"),
        ({"crop": 4096, "batch": 1000}, "a batch of 1000 crops of .* give a smaller crop or batch"),
        ({"augment": {"pixel_size_m": [0.1, 1e9]}}, "augment.pixel_size_m|at most 1e"),
        ({"augment": {"degrade_m": [1e-9, 1e300]}}, "at most 1e"),
        ({"augment": {"elastic": 1e9}}, "augment.elastic"),
        ({"targets": {"interior_px": [1.5, 1e9]}}, "targets.interior_px"),
        ({"targets": {"border_sigma": 1e9}}, "targets.border_sigma"),
        ({"workers": 10**9}, "workers"),
        ({"batch": 10**9}, "batch"),
        ({"memory_gb": 1e300}, "memory_gb"),
        ({"network": {"name": "unet", "width": 20_000}}, "network: .*width is 20000"),
        ({"network": {"name": "unet", "depth": -1}}, "network: .*depth is -1"),
        ({"network": {"name": "unet", "depth": 60}}, "network: .*depth is 60"),
        ({"network": {"name": "unet", "depth": "4"}}, "network: .*depth is '4'"),
        ({"network": {"name": "unet", "stride": 10**9}}, "network.stride"),
        ({"network": {"encoder_name": "tu-hf-hub:evil/repo"}}, "network: .*encoder_name is"),
        ({"network": {"encoder_name": "tu-local-dir:/etc"}}, "network: .*encoder_name is"),
        ({"network": {"name": "unet", "depth": float("nan")}}, "network"),
        ({"export": {"context": "pad", "pad_to": 10**9}}, "export.pad_to"),
        ({"export": {"use": "x" * 10_001}}, "export.use"),
        ({"score": {"thresholds": [0.5] * 1001}}, "score.thresholds"),
        ({"score": {"thresholds": []}}, "score.thresholds"),
    ],
)
def test_values_out_of_bounds_are_refused_when_the_file_is_read(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(WHOLE | changes), "utf-8")
    with pytest.raises(ConfigError, match=said) as refused:
        read_config(path)
    assert str(path) in str(refused.value)
