"""ONNX files: their metadata are read and their content is digested without the library."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.checkpoint import DIGEST, KEY, read_card, read_onnx
from pipeline.models.engines.openvino import OpenVinoNetwork
from pipeline.models.onnx_file import NotOnnxError, graph_digest, metadata_of
from pipeline.models.registry import SHIPPED, card_of

pytestmark = pytest.mark.mapping


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(key: str, value: str) -> bytes:
    """Return an entry of ``metadata_props``."""
    return field(14, field(1, key.encode()) + field(2, value.encode()))


texts = st.text(max_size=300)
content = st.lists(
    st.builds(lambda n, b: field(n, b), st.sampled_from([2, 5, 8, 20]), st.binary(max_size=200)),
    max_size=5,
)


@given(
    before=content,
    graph=st.binary(max_size=300),
    after=content,
    pairs=st.dictionaries(texts, texts, max_size=5),
)
def test_metadata_are_read_and_have_no_part_in_the_digest(
    before: list[bytes], graph: bytes, after: list[bytes], pairs: dict[str, str]
) -> None:
    plain = varint(8) + varint(9) + b"".join(before) + field(7, graph) + b"".join(after)
    named = plain + b"".join(entry(key, value) for key, value in pairs.items())
    assert metadata_of(named) == pairs
    assert metadata_of(plain) == {}
    assert graph_digest(named) == graph_digest(plain)
    assert graph_digest(field(7, graph + b"x")) != graph_digest(field(7, graph))


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(some: bytes) -> None:
    for read in (metadata_of, graph_digest):
        try:
            read(some)
        except NotOnnxError as error:
            assert str(error)  # noqa: PT017


@given(graph=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_file_that_is_cut_off_is_refused(graph: bytes, data: st.DataObject) -> None:
    whole = field(7, graph)
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    with pytest.raises(NotOnnxError):
        metadata_of(cut)


@pytest.mark.parametrize(
    ("bytes_", "message"),
    [
        (b"", "has no graph"),
        (field(7, b"a") * 2, "has 2 graphs"),
        (field(7, b"a") + field(14, field(1, b"\xff")), "metadata that are no text"),
        (varint(7 << 3 | 2) + b"\xff" * 9 + b"\x01", "is cut off"),
        (field(2, b"") * 10_001, "more than 10000 fields"),
        (field(7, b"a") + field(14, b"\x0a" + varint(9 * 2**20) + b"a" * 9 * 2**20), "metadata"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(bytes_: bytes, message: str) -> None:
    with pytest.raises(NotOnnxError, match=message):
        metadata_of(bytes_)


def test_shipped_models_have_one_card_in_both_files() -> None:
    for name in ("buildings", "salt"):
        onnx = SHIPPED / name / "model.onnx"
        card, content_ = read_onnx(onnx)
        assert card == card_of(name) == read_card(SHIPPED / name / "model.safetensors")
        assert set(metadata_of(content_)) >= {KEY, DIGEST}


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_a_flipped_bit_is_noticed(tmp_path: Path, at: float) -> None:
    damaged = bytearray((SHIPPED / "buildings" / "model.onnx").read_bytes())
    damaged[int(at * len(damaged))] ^= 4
    (tmp_path / "m.onnx").write_bytes(damaged)
    with pytest.raises(ModelError, match=r"m\.onnx: .*(the file is damaged|not an ONNX file)"):
        read_onnx(tmp_path / "m.onnx")


def test_a_file_without_a_card_or_that_refers_to_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(field(7, b"graph"))
    with pytest.raises(ModelError, match="no model card in it"):
        read_card(path)
    path.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_card(path)
    card = card_of("buildings").model_dump_json()
    graph = field(7, field(5, field(13, field(1, b"location") + field(2, b"/etc/passwd"))))
    path.write_bytes(graph + entry(KEY, card) + entry(DIGEST, graph_digest(graph)))
    with pytest.raises(ModelError, match="may refer to other files"):
        read_card(path)


def test_a_card_beside_it_that_was_edited_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "buildings", tmp_path / "m")
    copy = tmp_path / "m" / "card.json"
    copy.write_text(copy.read_text().replace("0.55", "0.4"))
    with pytest.raises(ModelError, match="not the card inside model"):
        read_card(tmp_path / "m" / "model.onnx")


def test_openvino_multiplies_in_float32_also_where_the_processor_has_bfloat16() -> None:
    network = OpenVinoNetwork((SHIPPED / "buildings" / "model.onnx").read_bytes())
    assert network.precision == "f32"
