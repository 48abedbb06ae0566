"""Volumes: SEG-Y in, SEG-Y out, equal to one forward pass over all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segyio
import torch
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.mapping.plan_scene import dry_run
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.tiles.workers import CheckedWorkers
from pipeline.mapping.volume.block_task import BlockJob, map_block
from pipeline.mapping.volume.plan import plan_volume
from pipeline.models.card import Class, Inputs, ModelCard, Outputs, Terms
from pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from pipeline.models.describe import describe_network
from pipeline.models.networks import build
from pipeline.models.restore import restore_network
from pipeline.validation.validate import check_file
from tests.mapping.scenery import contents, run

SEISMIC = Path(__file__).resolve().parents[3].parent / "shared/data/seismic"
SHAPE = (21, 18, 30)
CUBE = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
CUBE[3, 4, 5] = np.nan
VALUES = (-3.0, 3.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 3D U-Net of 2015's kind with random weights, whose answers vary."""
    arguments: dict[str, Any] = {"in_channels": 1, "classes": 1, "width": 4, "depth": 1}
    torch.manual_seed(3)
    network = build("unet_3d", arguments)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(part.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(part.running_var, 0.2, 0.6)  # type: ignore[arg-type]
    # Its last layer is scaled so that about half of all voxels are salt.
    last = [part for part in network.modules() if isinstance(part, torch.nn.Conv3d)][-1]
    with torch.no_grad():
        said = network.eval()(torch.randn(1, 1, 32, 32, 32))
        last.weight *= 1.5 / said.std()
        assert last.bias is not None
        last.bias -= last.bias + 1.5 * (said.mean() - last.bias) / said.std()
    card = ModelCard(
        name="cube",
        network=describe_network("unet_3d", arguments),
        inputs=Inputs(bands=("gray",), mean=(0.5,), std=(0.25,)),
        outputs=Outputs(classes=(Class(name="salt", colour="#3182bd"),)),
        terms=Terms(license="Apache-2.0"),
    )
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_checkpoint(path, network.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def whole(model: Path) -> NDArray[np.float32]:
    """What one forward pass says of the volume, mirrored far past its faces."""
    card, tensors = load_checkpoint(model)
    assert card.network.rf_radius is not None
    halo = 2 * card.network.rf_radius
    scaled = ((CUBE + 3) / 6).clip(0, 1)
    values = np.where(np.isfinite(CUBE), (scaled - 0.5) / 0.25, 0).astype(np.float32)
    padded = np.pad(values, halo, mode="symmetric")
    padded = np.pad(padded, [(0, side % 2) for side in padded.shape])
    with torch.inference_mode():
        said = restore_network(card, tensors)(torch.from_numpy(padded)[None, None]).sigmoid()[0, 0]
    inner = tuple(slice(halo, halo + side) for side in SHAPE)
    return np.asarray(said.numpy()[inner])


def write_volume(path: Path, *, turned: bool = False) -> Path:
    """Write the cube, sorted along inlines or along crosslines."""
    spec = segyio.spec()
    spec.sorting, spec.format = (1 if turned else 2), 5
    spec.ilines, spec.xlines = 100 + np.arange(SHAPE[0]), 300 + np.arange(SHAPE[1])
    spec.samples = np.arange(SHAPE[2]) * 4.0
    with segyio.create(path, spec) as file:
        file.text[0] = b"C 1 A SURVEY".ljust(3200)
        file.bin[segyio.BinField.Interval] = 4000
        order = [(i, x) for i in range(SHAPE[0]) for x in range(SHAPE[1])]
        if turned:
            order.sort(key=lambda pair: (pair[1], pair[0]))
        for number, (i, x) in enumerate(order):
            file.header[number] = {
                segyio.TraceField.INLINE_3D: 100 + i,
                segyio.TraceField.CROSSLINE_3D: 300 + x,
                segyio.TraceField.CDP_X: 1000 + 25 * i,
                segyio.TraceField.offset: 1,
            }
            file.trace[number] = CUBE[i, x]
    return path


def samples(path: Path) -> NDArray[np.float32]:
    """Return a volume as other programs read it, its slower axis first."""
    found = np.asarray(segyio.tools.cube(str(path)))
    return found if found.shape == SHAPE else found.swapaxes(0, 1)


@pytest.mark.parametrize("turned", [False, True])
def test_a_mapped_volume_is_one_forward_pass_on_the_traces_of_its_source(
    tmp_path: Path, model: Path, whole: NDArray[np.float32], *, turned: bool
) -> None:
    source = write_volume(tmp_path / "cube.sgy", turned=turned)
    (row,) = run(source, tmp_path / "out", model=str(model), tile=28, values=VALUES)["scenes"]
    assert row["state"] == "done"
    assert row["tiles"] > 4
    out = tmp_path / "out" / "cube"
    chances, mask = samples(out / "probability.sgy"), samples(out / "mask.sgy")
    known = np.isfinite(CUBE)
    # Half a step of quantising, and a hair.
    assert np.abs(chances - whole)[known].max() <= 0.002 + 1e-5
    assert whole.std() > 0.02
    assert (chances[~known] == -1).all()
    assert (mask[~known] == -1).all()
    np.testing.assert_array_equal(mask[known] == 1, (chances >= 0.5)[known])
    assert row["voxels"]["salt"] == (mask == 1).sum() > 0
    assert row["voxels"]["nodata"] == 1
    with segyio.open(source) as given, segyio.open(out / "mask.sgy") as made:
        assert made.sorting == given.sorting
        np.testing.assert_array_equal(made.ilines, given.ilines)
        np.testing.assert_array_equal(made.samples, given.samples)
        assert made.bin[segyio.BinField.Interval] == 4000
        assert [dict(head) for head in made.header] == [dict(head) for head in given.header]
        told = made.text[0].decode()
    assert not [complaint for path in out.iterdir() for complaint in check_file(path)]
    assert told.startswith("C 1 A SURVEY")
    assert "Overtile, model cube: 0 background, 1 salt, -1 no data" in told
    assert (out / "quicklook.png").stat().st_size > 1000


def test_the_size_of_blocks_changes_hardly_anything_and_a_second_run_nothing(
    tmp_path: Path, model: Path
) -> None:
    source = write_volume(tmp_path / "cube.sgy")
    found = []
    for tile in (28, None):
        out = tmp_path / f"out{tile}"
        run(source, out, model=str(model), tile=tile, values=VALUES)
        found.append(samples(out / "cube" / "probability.sgy"))
    assert np.abs(found[0] - found[1]).max() <= 0.004 + 1e-6
    before = contents(tmp_path / "out28" / "cube")
    (row,) = run(source, tmp_path / "out28", model=str(model), tile=28, values=VALUES)["scenes"]
    assert row["state"] == "unchanged"
    assert contents(tmp_path / "out28" / "cube") == before
    (row,) = run(source, tmp_path / "out28", model=str(model), values=(-2.0, 2.0))["scenes"]
    assert row["state"] == "failed"
    assert "another plan (other stretch)" in row["reason"]


def test_threads_write_the_bytes_of_a_serial_run_and_blocks_that_are_there_are_kept(
    tmp_path: Path, model: Path
) -> None:
    source = write_volume(tmp_path / "cube.sgy")
    settings: dict[str, Any] = {"model": str(model), "tile": 36, "values": VALUES}
    run(source, tmp_path / "serial", **settings)
    run(source, tmp_path / "local", executor="local", **settings)
    wanted = contents(tmp_path / "serial" / "cube")
    assert contents(tmp_path / "local" / "cube") == wanted
    # What a run that was stopped after its first block left behind is not computed again.
    request = MapRequest(
        scenes=(str(source),), out=tmp_path / "again", task="bright", executor="serial",
        device="cpu", **settings,
    )  # fmt: skip
    crew = CheckedWorkers(request, request.chosen_task)
    draft = plan_volume(request, request.chosen_task, str(source), "cube")
    plan = draft.ready(crew.engine(draft.card, pixels=0), tmp_path / "again" / ".work" / "cube")
    plan.blocks.mkdir(parents=True)
    assert not map_block(BlockJob(plan=plan, index=0, core=next(plan.grid.cores()))).reused
    run(source, tmp_path / "again", **settings)
    assert contents(tmp_path / "again" / "cube") == wanted
    log = (tmp_path / "again" / "cube" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line).get("reused") for line in log[:3]] == [True, False, False]


def test_what_cannot_be_mapped_is_told_in_words(tmp_path: Path, model: Path) -> None:
    source = write_volume(tmp_path / "cube.sgy")
    with pytest.raises(ConfigError, match=r"--tile 8 leaves no room .* give at least \d+"):
        run(source, tmp_path / "a", model=str(model), tile=8)
    with pytest.raises(ConfigError, match=r"too little for model 'cube'; it needs 1\.6"):
        run(source, tmp_path / "b", model=str(model), max_memory=1_600_000_000)
    with pytest.raises(ConfigError, match="is a volume; leave --aoi out"):
        run(source, tmp_path / "c", model=str(model), aoi=tmp_path / "a.geojson")
    with pytest.raises(ConfigError, match="predicted with torch"):
        run(source, tmp_path / "d", model=str(model), device="openvino")
    picture = tmp_path / "p.png"
    picture.write_bytes(b"x")
    (row,) = run(picture, tmp_path / "e", model=str(model))["scenes"]
    assert "it is no volume" in row["reason"]


def test_a_volume_that_is_no_mask_is_complained_of(tmp_path: Path) -> None:
    source = write_volume(tmp_path / "cube.sgy")
    found = check_file(source)
    assert any("not finite (1x" in line for line in found)
    assert any("negative values that are not -1" in line for line in found)
    source.write_bytes(source.read_bytes()[:-100])
    assert "not readable as SEG-Y" in check_file(source)[0]


def test_a_dry_run_tells_blocks_and_cost(tmp_path: Path, model: Path) -> None:
    source = write_volume(tmp_path / "cube.sgy")
    request = MapRequest(
        scenes=(str(source),), out=tmp_path / "out", task="bright", model=str(model), tile=28
    )
    (row,) = dry_run(request)["scenes"]
    assert row["state"] == "ready"
    assert row["voxels"] == np.prod(SHAPE)
    assert row["tiles"] > 4
    assert not (tmp_path / "out").exists()
    json.dumps(row)


@pytest.mark.data
@pytest.mark.skipif(not SEISMIC.is_dir(), reason="../shared/data/seismic is not here")
def test_a_real_volume_of_whole_numbers_gets_a_mask_on_its_traces(
    tmp_path: Path, model: Path
) -> None:
    (row,) = run(SEISMIC / "f3.sgy", tmp_path / "out", model=str(model))["scenes"]
    assert row["state"] == "done"
    mask = tmp_path / "out" / "f3" / "mask.sgy"
    with segyio.open(SEISMIC / "f3.sgy") as given, segyio.open(mask) as made:
        assert [dict(head) for head in made.header] == [dict(head) for head in given.header]
        assert set(np.unique(made.trace.raw[:])) <= {0.0, 1.0}
        assert int(made.format) == 5
