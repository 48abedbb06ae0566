"""Checkpoints: what was saved is what is loaded, or nothing is."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.checkpoint import load_checkpoint, read_card, save_checkpoint, weights_digest
from tests.models.small import TINY, card_for, weights_for


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the checkpoint of a small network."""
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, weights_for(TINY), card_for(TINY))
    return path


def _header(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8 : 8 + size]))


def _with_header(path: Path, header: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def test_card_and_weights_come_back_as_they_were(tmp_path: Path) -> None:
    weights = weights_for(TINY)
    weights["half"] = torch.randn(3, 4).to(torch.bfloat16)
    weights["turned"] = torch.randn(4, 5).T
    weights["count"] = torch.tensor(7)
    weights["none"] = torch.empty(0, 3)
    path = tmp_path / "model.safetensors"
    card = save_checkpoint(path, weights, card_for(TINY))
    assert card == card_for(TINY).model_copy(update={"sha256": weights_digest(weights)})
    assert read_card(path) == card
    loaded_card, loaded = load_checkpoint(path)
    assert loaded_card == card
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())
    assert all(loaded[name].dtype == value.dtype for name, value in weights.items())


def test_a_changed_copy_of_the_card_is_refused_as_it_would_change_nothing(saved: Path) -> None:
    card = read_card(saved)
    copy = saved.with_name("card.json")
    copy.write_text(card.model_dump_json(indent=2) + "\n", "utf-8")
    assert read_card(saved) == card
    said = json.loads(copy.read_text("utf-8"))
    said["outputs"]["threshold"] = 0.123
    for changed in (json.dumps(said), "", "[" * 100_000):
        copy.write_text(changed, "utf-8")
        with pytest.raises(ModelError, match=r"card\.json: not the card inside.*threshold: "):
            read_card(saved)
    with copy.open("wb") as handle:
        handle.truncate(2**40)  # refused unread
    with pytest.raises(ModelError, match=r"card\.json: not the card inside"):
        read_card(saved)
    # Beside a file of another name it may be anybody's.
    other = saved.rename(saved.with_name("other.safetensors"))
    assert read_card(other) == card


def test_saving_twice_gives_the_same_bytes_and_leaves_nothing_beside_them(saved: Path) -> None:
    before = saved.read_bytes()
    save_checkpoint(saved, weights_for(TINY), card_for(TINY))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_a_checkpoint_is_up_to_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    path = tmp_path / "model.safetensors"
    with _umask(mask):
        save_checkpoint(path, weights_for(TINY), card_for(TINY))
    assert path.stat().st_mode & 0o777 == mode


def test_a_write_that_fails_leaves_the_old_checkpoint(saved: Path) -> None:
    before = saved.read_bytes()
    # In the way of the temporary file.
    (saved.parent / f".{saved.name}.tmp").mkdir()
    with pytest.raises(OSError, match="directory"):
        save_checkpoint(saved, weights_for(TINY, seed=1), card_for(TINY))
    assert saved.read_bytes() == before


def test_the_digest_sees_names_types_and_shapes_and_not_their_order() -> None:
    a, b = torch.arange(6.0), torch.arange(4.0)
    told = weights_digest({"a": a, "b": b})
    assert told == weights_digest({"b": b, "a": a.clone()})
    others: list[dict[str, torch.Tensor]] = [
        {"a": a, "c": b},
        {"a": a.reshape(2, 3), "b": b},
        {"a": a.view(torch.int32), "b": b},
        {"a": a, "b": -b},
        {"a": a},
    ]
    assert len({told, *(weights_digest(other) for other in others)}) == 6


@pytest.mark.parametrize("place", [0.0, 0.3, 0.999])
def test_a_flipped_bit_is_found_and_both_digests_are_told(saved: Path, place: float) -> None:
    content = bytearray(saved.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start + int(place * (len(content) - start))] ^= 4
    promised = read_card(saved).sha256
    saved.write_bytes(content)
    with pytest.raises(ModelError, match="fetch it again") as caught:
        load_checkpoint(saved)
    told = str(caught.value)
    assert promised[:12] in told
    assert len({part for part in told.split() if part.endswith(("...,", "...;"))}) == 2


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -1])
def test_a_file_that_is_cut_short_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"model\.safetensors: "):
        load_checkpoint(saved)


class _Trap:
    sprung = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _spring, ()


def _spring() -> None:
    _Trap.sprung = True


@pytest.mark.parametrize("kind", ["zip", "plain"])
def test_pickles_are_refused_and_not_run(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.pt"
    if kind == "zip":
        torch.save({"weights": torch.zeros(3), "trap": _Trap()}, path)
    else:
        path.write_bytes(pickle.dumps(_Trap()))
    for read in (read_card, load_checkpoint):
        with pytest.raises(ModelError, match="pickles are refused"):
            read(path)
    assert not _Trap.sprung


@pytest.mark.parametrize("size", [2**40, 2**63, 2**64 - 1, 1, 0])
def test_a_header_of_an_impossible_size_is_refused_unread(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", size) + b"{}" * 50)
    with pytest.raises(ModelError, match="not a safetensors file"):
        read_card(path)


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"__metadata__": {}}',
        b'{"__metadata__": null}',
        b'{"__metadata__": {"overtile": 7}}',
        b'{"__metadata__": {"overtile": "{"}}',
        b'{"__metadata__": {"overtile": "{}"}}',
        b"{not json}",
        b"\xff\xfe\x00",
        b"[" * 200_000,
    ],
)
def test_a_file_without_a_valid_card_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    _with_header(path, header)
    with pytest.raises(ModelError, match=r"model\.safetensors: .*overtile models list"):
        read_card(path)


def test_a_folder_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(ModelError, match="cannot be read"):
            read_card(path)


def test_the_card_lies_in_the_metadata_alone(saved: Path) -> None:
    header = _header(saved)
    assert list(header["__metadata__"]) == ["overtile"]
    ModelCard.model_validate_json(header["__metadata__"]["overtile"])


def _entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (_entry(dtype="F4096"), "cannot be"),
        (_entry(shape=[-2]), "cannot be"),
        (_entry(shape=[2.0]), "cannot be"),
        (_entry(shape=[True, 2]), "cannot be"),
        (_entry(shape=[3]), "cannot be"),
        (_entry(shape=[2**40, 2**40]), "cannot be"),
        (_entry(shape=[1] * 100), "cannot be"),
        (_entry(data_offsets=[8, 0]), "cannot be"),
        (_entry(data_offsets=[0]), "cannot be"),
        (_entry(data_offsets=[0, 10**400]), "cannot be"),
        (_entry(shape=[10**9], data_offsets=[0, 4 * 10**9]), "damaged or cut short"),
        ("x", "cannot be"),
        ([[]], "cannot be"),
        (None, "cannot be"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused_with_the_card(
    saved: Path, entry: Any, message: str
) -> None:
    card = _header(saved)["__metadata__"]
    header = json.dumps({"__metadata__": card, "a": entry}).encode()
    saved.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    for read in (read_card, load_checkpoint):
        with pytest.raises(ModelError, match=rf"model\.safetensors: .*{message}"):
            read(saved)


def test_more_weights_than_any_network_may_have_are_refused_unread(saved: Path) -> None:
    card, size = _header(saved)["__metadata__"], 5 * 2**30
    entry = _entry(shape=[size // 4], data_offsets=[0, size])
    _with_header(saved, json.dumps({"__metadata__": card, "a": entry}).encode())
    with saved.open("r+b") as handle:
        handle.truncate(saved.stat().st_size + size)
    with pytest.raises(ModelError, match=r"take 5\.0 GiB, the limit is 4 GiB"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 20_000}, "its card cannot be used: .*width is 20000"),
        ({"width": -4}, "width is -4"),
        ({"depth": 60}, "depth is 60"),
        ({"classes": 10**9}, "classes is 1000000000"),
        ({"depth": 10**400}, "more than 30 digits"),
    ],
)
def test_a_card_whose_network_is_out_of_bounds_is_refused_when_it_is_read(
    saved: Path, arguments: dict[str, Any], message: str
) -> None:
    header = _header(saved)
    card = json.loads(header["__metadata__"]["overtile"])
    card["network"]["arguments"] |= arguments
    _with_header(saved, json.dumps({"__metadata__": {"overtile": json.dumps(card)}}).encode())
    with pytest.raises(ModelError, match=rf"model\.safetensors: .*{message}"):
        read_card(saved)


@pytest.mark.parametrize(("architecture", "dims"), [("unet", 3), ("unet_3d", 2)])
def test_a_card_that_mistakes_volumes_for_pictures_is_refused(
    saved: Path, architecture: str, dims: int
) -> None:
    header = _header(saved)
    card = json.loads(header["__metadata__"]["overtile"])
    card["network"] |= {"architecture": architecture, "dims": dims}
    _with_header(saved, json.dumps({"__metadata__": {"overtile": json.dumps(card)}}).encode())
    with pytest.raises(ModelError, match=rf"its card cannot be used: dims is {dims}, and "):
        read_card(saved)


@pytest.mark.parametrize("text", ['"' + "x" * 2**21 + '"', "[" + "1," * 2**20 + "1]"])
def test_a_card_larger_than_a_card_is_refused(saved: Path, text: str) -> None:
    _with_header(saved, json.dumps({"__metadata__": {"overtile": text}}).encode())
    with pytest.raises(ModelError, match=r"its card has \d+ characters, the limit is 1048576"):
        read_card(saved)


@pytest.mark.parametrize("width", [4, 64, 256])
def test_a_card_that_asks_for_a_larger_network_than_its_file_holds_is_refused(
    saved: Path, width: int
) -> None:
    from pipeline.models.registry import ModelRef, load_predictor

    header, content = _header(saved), saved.read_bytes()
    body = content[8 + int.from_bytes(content[:8], "little") :]
    card = json.loads(header["__metadata__"]["overtile"])
    card["network"]["arguments"] |= {"width": width, "depth": 4}
    header["__metadata__"]["overtile"] = json.dumps(card)
    told = json.dumps(header).encode()
    saved.write_bytes(struct.pack("<Q", len(told)) + told + body)
    with pytest.raises(ModelError, match=r"model\.safetensors: weights of 'small' do not fit"):
        load_predictor(ModelRef(name=str(saved), sha256=card["sha256"]), device="cpu")
