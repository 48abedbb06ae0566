"""PNG and JPEG images: what is whole is read to the pixel, what is not is refused."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes import image
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef

SALT = Path(__file__).resolve().parents[2].parent / "shared/data/salt/train/images"
GRAY = np.random.default_rng(0).integers(0, 255, (101, 101), np.uint8)


def ref(path: Path) -> SceneRef:
    """Return a reference to an image."""
    return SceneRef(kind="image", href=str(path))


@pytest.mark.parametrize(
    ("mode", "array", "colours"),
    [
        ("L", GRAY, ["gray"]),
        ("I;16", GRAY.astype(np.uint16) * 200, ["gray"]),
        ("RGB", np.dstack([GRAY, GRAY.T, 255 - GRAY]), ["red", "green", "blue"]),
    ],
)
def test_a_png_is_read_to_the_pixel(
    mode: str, array: np.ndarray, colours: list[str], tmp_path: Path
) -> None:
    Image.frombytes(mode, (101, 101), array.tobytes()).save(tmp_path / "a.png")
    scene = open_scene(ref(tmp_path / "a.png"))
    assert scene.info.georef is None
    assert [band.colour for band in scene.info.bands] == colours
    window = Window(row=50, col=3, height=51, width=90)
    pixels, valid = scene.read(window, tuple(range(1, len(colours) + 1)))
    expected = np.atleast_3d(array).transpose(2, 0, 1)[:, 50:101, 3:93]
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == array.dtype
    assert valid.all()


def test_bits_of_a_png_are_told(tmp_path: Path) -> None:
    Image.fromarray(GRAY > 100).save(tmp_path / "a.png")
    Image.fromarray(GRAY).save(tmp_path / "b.png")
    assert open_scene(ref(tmp_path / "a.png")).info.bits == 1
    assert open_scene(ref(tmp_path / "b.png")).info.bits in (0, 8)


def test_alpha_is_validity(tmp_path: Path) -> None:
    alpha = np.where(GRAY > 100, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([GRAY, GRAY, GRAY, alpha])).save(tmp_path / "a.png")
    scene = open_scene(ref(tmp_path / "a.png"))
    assert len(scene.info.bands) == 3
    _, valid = scene.read(Window(row=0, col=0, height=101, width=101), (1,))
    np.testing.assert_array_equal(valid, GRAY > 100)


@pytest.mark.parametrize("gray", [True, False])
def test_the_transparent_colour_of_a_png_is_no_data(tmp_path: Path, gray: bool) -> None:
    pixels = GRAY if gray else np.dstack([GRAY, GRAY.T, GRAY])
    colour = 77 if gray else tuple(int(value) for value in pixels[4, 9])
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=colour)
    scene = open_scene(ref(tmp_path / "a.png"))
    _, valid = scene.read(Window(row=0, col=0, height=101, width=101), (1,))
    missing = np.atleast_3d(pixels == np.array(colour)).all(axis=2)
    assert missing.any()
    np.testing.assert_array_equal(valid, ~missing)


def test_an_image_that_viewers_turn_is_mapped_as_it_lies_with_a_warning(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(GRAY[:50]).save(tmp_path / "a.jpg", exif=turned)
    info = open_scene(ref(tmp_path / "a.jpg")).info
    assert (info.height, info.width) == (50, 101)
    assert [doubt[:47] for doubt in info.warnings] == [
        "viewers turn it as its EXIF orientation 6 asks;"
    ]


def test_a_png_that_lacks_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((160, 160, 3), np.uint8)).save(path)
    content = path.read_bytes()
    start, end = content.index(b"IDAT") - 4, content.index(b"IEND") - 4
    body = b"IDAT" + zlib.compress(bytes(1000))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(content[:start] + chunk + content[end:])
    with pytest.raises(SceneError, match=r"cannot be decoded: .*Not enough image data"):
        open_scene(ref(path))


def test_a_world_file_beside_it_is_not_asked(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("1\n0\n0\n-1\n0\n0\n")
    assert open_scene(ref(tmp_path / "a.png")).info.georef is None


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_cut_anywhere_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.dstack([GRAY] * 3)).save(path)
    content = path.read_bytes()
    open_scene(ref(path))
    for size in (0, 3, 20, 60, len(content) // 2, len(content) - 2):
        path.write_bytes(content[:size])
        with pytest.raises(SceneError, match=rf"a\.{suffix}"):
            open_scene(ref(path))


def test_a_damaged_image_is_refused_or_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GRAY).save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(content)
        damaged[rng.integers(8, len(content))] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(SceneError):
            open_scene(ref(path)).close()


def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    monkeypatch.setattr(image, "MAX_DECODED_BYTES", 10_000)
    with pytest.raises(SceneError, match="the limit is"):
        open_scene(ref(tmp_path / "a.png"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("<VRTDataset></VRTDataset>")
    with pytest.raises(SceneError, match="neither PNG nor JPEG"):
        open_scene(ref(path))


@pytest.mark.data
@pytest.mark.skipif(not SALT.is_dir(), reason="../shared/data/salt is not here")
def test_a_salt_image_opens() -> None:
    scene = open_scene(ref(sorted(SALT.glob("*.png"))[0]))
    assert (scene.info.height, scene.info.width, scene.info.dtype) == (101, 101, "uint8")
    assert [band.colour for band in scene.info.bands][:1] in (["gray"], ["red"])
