"""What a URL holds in confidence stands nowhere: not in files, nor in what is said."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from tests.mapping.scenery import blobs, write_scene
from tests.scenes.conftest import serving


def test_neither_outputs_nor_messages_hold_passwords_and_signatures(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", blobs(3, height=60, width=70)[None])
    out, told = tmp_path / "out", list[str]()
    with serving() as site:
        site.files["/a/s.tif"] = scene.read_bytes()
        place = f"http://me:PASSWORD@127.0.0.1:{site.port}"
        urls = (f"{place}/a/s.tif?sig=SIGNATURE", f"{place}/a/none.tif?sig=SIGNATURE")
        request = MapRequest(
            scenes=urls, out=out, task="bright", executor="serial", device="cpu", tile=64
        )
        summary = map_scenes(request, report=told.append)
    assert [row["state"] for row in summary["scenes"]] == ["done", "failed"]
    written = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert len(written) > 8
    everything = b"\n".join([*written, json.dumps(summary).encode(), *map(str.encode, told)])
    assert b"/a/s.tif" in everything
    assert b"PASSWORD" not in everything
    assert b"SIGNATURE" not in everything
